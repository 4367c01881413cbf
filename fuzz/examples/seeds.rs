//! Writes the seeds of the corpora: `cargo run --example seeds` in this folder, or `cargo run --example seeds -- operations` for
//! one kind of them. Their bytes are those of real stores, and the same each time but for times and event ids.

use std::path::Path;
use std::sync::Arc;

use bitacora::aggregate::DomainEvent;
use bitacora::disk::Disk;
use bitacora::disk::sim::SimulatedDisk;
use bitacora::index::MemoryIndexProvider;
use bitacora::money::{Currency, Money};
use bitacora::payment::{
    CompensationInitiated, CompensationReason, GatewayCommand, OutcomeQueried, PaymentCompleted, PaymentEvent,
    PaymentStarted, QueriedOutcome, Step, StepCommandPublished, StepSucceeded,
};
use bitacora::wallet::{
    BalanceAdjusted, FundsDeposited, FundsHeld, HoldCaptured, HoldExpired, HoldExtended, HoldIncreased, HoldReleased,
    LimitsSet, OverdraftLimitSet, RefundCredited, TransferCredited, TransferDebited, WalletClosed, WalletEvent,
    WalletFrozen, WalletLimits, WalletOpened, WalletUnfrozen,
};
use bitacora::{
    Align, CodecId, Commit, Environment, EventType, ExpectedVersion, Metadata, NewEvent, Options, Store, StreamId,
    Timestamp, internals,
};
use bitacora_trials::model::Plan;
use bitacora_trials::model::operation::{Batch, Change, Expected, Fact, Key, Operation, Part, Selection};
use bitacora_trials::workload::Shape;

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), bytes).unwrap();
}

fn event(text: &str) -> NewEvent {
    NewEvent::new(EventType::new("Seeded").unwrap(), CodecId::RAW, text.as_bytes().to_vec())
}

fn commits() -> Vec<Commit> {
    let stream = |name| StreamId::new(name).unwrap();
    let mut metadata = Metadata { actor: Some("till".into()), ..Metadata::default() };
    metadata.pairs.push(("occurred_at".into(), "now".into()));
    let rich = NewEvent { tags: vec!["a".into(), "bc".into()], ..event("rich").with_metadata(metadata) };
    vec![
        Commit::new().append(&stream("a-1"), ExpectedVersion::NoStream, vec![rich]).idempotency_key("key"),
        Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![event("one"), event("two")]),
        Commit::new().append(&stream("b-1"), ExpectedVersion::Any, vec![event(&"x".repeat(3_500))]),
    ]
}

/// The files of a store with its three commits, in two segments.
fn store(align: Align) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    disk.create_directory(Path::new("/store")).unwrap();
    disk.create_directory(Path::new("/store/log")).unwrap();
    let identity = internals::store_of_segment(&[]).swap_remove(0);
    disk.write_file(&Path::new("/store").join(identity.0), &identity.1).unwrap();
    let environment = Environment::new(Arc::new(disk.clone()), Arc::new(MemoryIndexProvider::default()));
    let options = Options::new().segment_bytes(if align == Align::Packed { 4096 } else { 8192 }).background(false);
    let store = Store::open_in(&environment, "/store", options.align(align)).unwrap();
    for commit in commits() {
        store.commit(commit).unwrap();
    }
    store.housekeep().unwrap();
    store.close().unwrap();
    disk
}

fn logs() {
    const FIRST: &str = "/store/log/00000000000000000001";
    let disk = store(Align::Packed);
    let segment = disk.read_file(Path::new(&format!("{FIRST}.seg"))).unwrap();
    let seal = disk.read_file(Path::new(&format!("{FIRST}.seal"))).unwrap();
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    write("segment", "two-commits", &segment);
    write("segment", "torn", &segment[..700]);
    write("segment", "header", &segment[..512]);
    let mut rotten = segment.clone();
    rotten[600] ^= 1;
    write("segment", "rotten", &rotten);
    let aligned = store(Align::Sector).read_file(Path::new(&format!("{FIRST}.seg"))).unwrap();
    write("segment", "sectors", &aligned);
    write("frame", "frame", &with(5, &segment[512..1_024]));
    write("frame", "record", &with(0, &segment[512 + 56..1_024]));
    write("frame", "segment-header", &with(1, &segment[..512]));
    write("frame", "seal", &with(2, &seal));
    write("frame", "seal-repaired", &with(2, &seal[..seal.len() - 32]));
    write("frame", "identity", &with(3, &internals::store_of_segment(&[])[0].1));
    write("frame", "control", &with(4, &disk.read_file(Path::new("/store/control")).unwrap()));
}

fn index() {
    write("keys", "head-key", b"\x00ha-1");
    write("keys", "version", &[1, 0, 0, 0, 0, 0, 0, 0, 9]);
    write("keys", "head", &[&[2, 1][..], &[3; 16]].concat());
    write("keys", "idempotency-key", &[&[3, 1][..], &[4; 44]].concat());
    write("keys", "watermark", &[&[4, 1][..], &[7; 52]].concat());
    write("keys", "identity", &[&[5, 1][..], &[7; 16]].concat());
    write("keys", "state-sequence", &[&[6, 1][..], &[5; 8]].concat());
    write("keys", "posting", &[7, 1, 3, 9, 1, 200, 4, 56, 4, 100, 56, 7, 5, 128, 4, 56]);
    let fields = [5, b'a', b'-', b'1', b'@', b'3', 1, b'1', 1, b'a', 1, 3, 251, 44, 1, 2, 1];
    let snapshot = [&b"BTSN\x01\x00"[..], &[7; 16], &[17, 0, 0, 0, 5, 0, 0, 0], &[0; 4], &fields, b"state"].concat();
    write("snapshot", "whole", &snapshot);
    write("snapshot", "short", &snapshot[..40]);
    write("snapshot", "newer", &[&b"BTSN\x02\x00"[..], &snapshot[6..]].concat());
}

/// Events as the targets take them: the number of the type and schema version, the payload's length, the payload.
fn events<E: DomainEvent>(target: &str, name: &str, types: &[&str], events: &[E]) {
    let bytes = events.iter().flat_map(|event| {
        let kind = types.iter().position(|name| *name == event.event_type()).unwrap();
        let kind = kind + types.len() * usize::from(event.schema_version() - 1);
        let payload = event.encode().unwrap();
        [vec![u8::try_from(kind).unwrap(), u8::try_from(payload.len()).unwrap()], payload].concat()
    });
    write(target, name, &bytes.collect::<Vec<u8>>());
}

fn money(minor: i64) -> Money {
    Money { minor, currency: Currency::from_code("EUR").unwrap() }
}

fn wallets() {
    const TYPES: &[&str] = WalletEvent::TYPES;
    let limits = WalletLimits { per_day: Some(900), ..WalletLimits::default() };
    let opened = WalletEvent::from(WalletOpened { currency: money(0).currency, overdraft_limit: 100, limits });
    let deposited = |minor| WalletEvent::from(FundsDeposited { amount: money(minor) });
    let held = |hold_id: &str| {
        WalletEvent::from(FundsHeld {
            hold_id: hold_id.into(),
            amount: money(30),
            payment_id: Some("p".into()),
            time_to_live_micros: Some(5),
            expires_at: Some(Timestamp::from_micros(9)),
        })
    };
    let captured = |minor, released, is_final| {
        WalletEvent::from(HoldCaptured { hold_id: "h".into(), amount: money(minor), released, is_final })
    };
    let released = WalletEvent::from(HoldReleased { hold_id: "g".into(), amount: money(30) });
    let life =
        [opened.clone(), deposited(500), held("h"), held("g"), captured(5, 0, false), captured(20, 5, true), released];
    events("wallet_event", "life", TYPES, &life);
    let (id, amount) = (String::from, money(7));
    let account = [
        opened.clone(),
        deposited(500),
        held("h"),
        HoldIncreased { hold_id: id("h"), amount }.into(),
        HoldExtended { hold_id: id("h"), time_to_live_micros: 9, expires_at: Timestamp::from_micros(9) }.into(),
        captured(30, 0, false),
        HoldExpired { hold_id: id("h"), amount, expires_at: Timestamp::from_micros(9) }.into(),
        RefundCredited { hold_id: id("h"), amount }.into(),
        TransferDebited { transfer_id: id("t"), to_user_id: id("b"), amount }.into(),
        TransferCredited { transfer_id: id("t"), from_user_id: id("b"), amount }.into(),
        BalanceAdjusted { amount: money(-477), reason: id("r"), operator: id("o") }.into(),
        OverdraftLimitSet { overdraft_limit: 5 }.into(),
        LimitsSet { limits: WalletLimits::default() }.into(),
        WalletFrozen { debits_only: true }.into(),
        WalletUnfrozen {}.into(),
        WalletClosed {}.into(),
    ];
    events("wallet_event", "account", TYPES, &account);
    events("wallet_event", "extremes", TYPES, &[opened, deposited(i64::MAX), deposited(i64::MAX)]);
    events("wallet_event", "unopened", TYPES, &[held("h"), deposited(-5)]);
}

fn payments() {
    let started = PaymentEvent::from(PaymentStarted {
        payment_id: "1".into(),
        user_id: "u".into(),
        currency: money(0).currency,
        wallet_amount: 30,
        card_amount: 70,
        deadline: Timestamp::from_micros(9),
        settles: true,
    });
    let done = |step| PaymentEvent::from(StepSucceeded { step, attempt: 1, amount: 70, reference: Some("r".into()) });
    // A command's id is no more than sixteen bytes here.
    let published = |step| {
        PaymentEvent::from(StepCommandPublished {
            step,
            attempt: 1,
            command_id: Default::default(),
            idempotency_key: "k".into(),
            amount: 70,
        })
    };
    let queried = PaymentEvent::from(OutcomeQueried {
        command: GatewayCommand::Authorise,
        attempt: 1,
        outcome: QueriedOutcome::NotSeen,
    });
    let undone =
        PaymentEvent::from(CompensationInitiated { reason: CompensationReason::Timeout, detail: "late".into() });
    let completed = PaymentEvent::from(PaymentCompleted { wallet_amount: 30, card_amount: 70 });
    let paid = [
        started.clone(),
        done(Step::Reserve),
        published(Step::Charge),
        done(Step::Charge),
        published(Step::Capture),
        done(Step::Capture),
        completed.clone(),
    ];
    events("payment_event", "paid", PaymentEvent::TYPES, &paid);
    events(
        "payment_event",
        "undone",
        PaymentEvent::TYPES,
        &[started.clone(), published(Step::Charge), queried, undone],
    );
    events("payment_event", "out-of-order", PaymentEvent::TYPES, &[completed, started, done(Step::Capture)]);
}

const FACT: Fact = Fact { kind: 0, codec: 0, second_schema: false, tags: 0, metadata: 0, payload_bytes: 40, fill: 1 };

fn part(stream: u8, expected: Expected, facts: &[Fact]) -> Part {
    Part { stream, expected, facts: facts.to_vec() }
}

fn batch(key: Option<u8>, parts: &[Part]) -> Batch {
    let key = key.map(|number| Key { number, stated: None });
    Batch { parts: parts.to_vec(), key, durable: false, reserve: false }
}

fn plan(name: &str, operations: Vec<Operation>) {
    let plan = Plan { shape: Shape { tail_events_max: 1000, ..Shape::plain() }, operations };
    assert_eq!(Plan::decode(&plan.encode()), plan, "{name} is read as it was written");
    write("store_operations", name, &plan.encode());
}

fn operations() {
    use Operation::{Again, Beside, Commit, Cut, Hold, Housekeep, Kill, Look, PowerCut, Resume, Submit, Sync, Wait};
    let rich = Fact { kind: 1, codec: 2, second_schema: true, tags: 2, metadata: 3, ..FACT };
    let large = |stream| part(stream, Expected::Current, &[Fact { payload_bytes: 1_904, ..FACT }]);
    let one = |stream, expected| Commit(batch(None, &[part(stream, expected, &[FACT])]));
    let read = Selection { from: 0, to: 0, bounds: 0, ends: 0b0110, kind: None };
    let reopen = Operation::Reopen { verify: true, lose_index: false };
    let appends = Commit(batch(None, &[part(0, Expected::NoStream, &[FACT, rich]), part(1, Expected::Any, &[rich])]));
    plan(
        "appends",
        vec![appends, Housekeep, reopen.clone(), Operation::ReadStream { stream: 0, selection: read }, Beside],
    );
    let keyed = Commit(batch(Some(1), &[part(0, Expected::Any, &[FACT, FACT])]));
    let again = |change| Again { which: 0, change, submit: false };
    plan(
        "keys",
        vec![
            keyed,
            again(Change::Nothing),
            again(Change::Payload),
            again(Change::Circumstances),
            reopen,
            Look { number: 2 },
        ],
    );
    let roll = |stream| Commit(batch(None, &[large(stream)]));
    let hold = Hold { stream: Some(1), selection: read };
    plan(
        "rolls",
        vec![
            roll(1),
            roll(1),
            hold,
            roll(1),
            Housekeep,
            roll(2),
            PowerCut { seed: 3 },
            Resume { events: 2 },
            Look { number: 4 },
        ],
    );
    let fill = Operation::Full { spare: 20 };
    plan("full", vec![roll(0), fill, roll(0), roll(1), roll(2), Sync, Operation::Room, roll(1), Look { number: 3 }]);
    let submit = Submit(batch(None, &[part(2, Expected::Any, &[FACT])]));
    plan(
        "kills",
        vec![
            one(0, Expected::Any),
            Kill,
            submit.clone(),
            submit,
            Wait { which: 0 },
            Cut { calls: 1, seed: 9, kill: false },
            one(1, Expected::Any),
            Sync,
            Operation::Snapshot { stream: 0, version: 0 },
            Operation::Consume { consumer: 1, events: 2 },
            PowerCut { seed: 200 },
        ],
    );
}

fn expectations() {
    let one = |expected| Operation::Commit(batch(None, &[part(0, expected, &[FACT])]));
    let expectations = [Expected::NoStream, Expected::Exists, Expected::Current, Expected::Ahead, Expected::Behind];
    plan("expectations", expectations.map(one).to_vec());
    // Found a wrong model: version zero is that of a stream without events.
    let both =
        Operation::Commit(batch(None, &[part(0, Expected::NoStream, &[FACT]), part(0, Expected::Exists, &[FACT])]));
    let zero = Operation::Commit(batch(
        None,
        &[
            part(1, Expected::NoStream, &[FACT]),
            part(1, Expected::Exists, &[FACT]),
            part(2, Expected::Current, &[FACT]),
        ],
    ));
    plan("version-zero", vec![both, one(Expected::Current), one(Expected::Ahead), zero]);
}

/// The folder's number, and then what is done to which file, see the target.
fn directories() {
    const CLOSED: u8 = 1;
    const KILLED: u8 = 2;
    const SECTORS: u8 = 3;
    const WITHOUT_INDEX: u8 = 4;
    write("directory", "empty", &[0]);
    write("directory", "closed", &[CLOSED]);
    write("directory", "killed", &[KILLED]);
    write("directory", "sectors", &[SECTORS]);
    write("directory", "without-index", &[WITHOUT_INDEX]);
    write("directory", "cut", &[KILLED, 0, 4, 0, 3]);
    write("directory", "flipped", &[CLOSED, 2, 2, 88, 2, 5, 2, 3, 0, 3, 1]);
    write("directory", "zeroed", &[SECTORS, 4, 3, 0, 16]);
    write("directory", "copied-and-renamed", &[CLOSED, 5, 2, 0, 0, 16, 6, 3, 0, 0, 17]);
    write("directory", "swapped", &[WITHOUT_INDEX, 7, 2, 0, 0, 4]);
    write("directory", "stray", &[&[0, 11, 6, 5][..], b"hello", &[11, 0, 4], b"BTSG"].concat());
    write("directory", "forged", &[&[CLOSED, 8, 2, 120, 2, 3][..], b"xyz", &[10, 2, 0, 0]].concat());
}

fn main() {
    let targets: [(&str, fn()); 7] = [
        ("logs", logs),
        ("index", index),
        ("wallets", wallets),
        ("payments", payments),
        ("operations", operations),
        ("expectations", expectations),
        ("directories", directories),
    ];
    let asked: Vec<String> = std::env::args().skip(1).collect();
    for (name, make) in targets {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            make();
        }
    }
}
