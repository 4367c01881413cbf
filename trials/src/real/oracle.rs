//! What must be true of a store, its wallets and its payments, after its child was killed or its power cut.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bitacora::aggregate::DomainEvent;
use bitacora::payment::{FileGateway, Journal, Orchestrator, PAYMENT_TYPE, PaymentEvent};
use bitacora::wallet::WalletEvent;
use bitacora::{Result, Sequence, Store, service, verify};

use super::day::{From, gateway_in, recover, store_in};
use super::plan::{Owner, PAYERS, Plan, Planned, USERS, WRITERS, deed_id, deed_of, key};

/// What was acknowledged, over all lives of a store.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Where the last child's writers went on: all before that is in the log, acknowledged or not.
    pub begun: [u64; WRITERS],
    /// First and last sequence of each commit, by writer and number.
    pub commits: BTreeMap<(usize, u64), (u64, u64)>,
    /// The sequence of each deposit, by payer and number.
    pub deposits: BTreeMap<(usize, u64), u64>,
    /// Kind and sequence of each payment's outcome, by payer and number.
    pub payments: BTreeMap<(usize, u64), (String, u64)>,
}

impl Known {
    /// Takes a child's lines. Returns the first failure that it told of.
    ///
    /// # Panics
    /// Where a line is none of a child's.
    pub fn take(&mut self, lines: &[String]) -> Option<String> {
        let mut failure = None;
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
            let of = || (usize::try_from(number(1)).expect("few threads"), number(2));
            match words[0] {
                "open" | "closed" => {}
                "commit" => {
                    self.commits.insert(of(), (number(3), number(4)));
                }
                "deposit" => {
                    self.deposits.insert(of(), number(3));
                }
                "payment" => {
                    self.payments.insert(of(), (words[3].to_owned(), number(4)));
                }
                "failed" => failure = failure.or_else(|| Some(line.clone())),
                _ => panic!("a child said {line:?}"),
            }
        }
        failure
    }
}

/// A writer's events as the log has them.
#[derive(Default)]
struct Track {
    /// First and last sequence of each commit.
    commits: Vec<(u64, u64)>,
    /// The commit that is being read, and where in it.
    reading: Vec<Planned>,
    part: usize,
}

/// The plain events: all that was acknowledged, nothing that was not submitted, whole commits, equal bytes, gapless.
/// Returns where the writers go on.
///
/// # Panics
/// Where they are not.
pub fn check_events(store: &Store, plan: Plan, known: &Known, label: &str) -> [u64; WRITERS] {
    let mut tracks: [Track; WRITERS] = std::array::from_fn(|_| Track::default());
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    let mut last = 0;
    let visited = store.visit(.., |event| {
        let sequence = event.sequence.get();
        assert_eq!(sequence, last + 1, "{label}: sequences are gapless");
        last = sequence;
        if let Some(version) = versions.get_mut(event.stream) {
            *version += 1;
        } else {
            versions.insert(event.stream.to_owned(), 1);
        }
        assert_eq!(event.version.get(), versions[event.stream], "{label}: {} at {sequence}", event.stream);
        let Some(Owner { writer, number, part }) = Owner::of(event.id) else {
            let is_money = event.stream.starts_with("wallet-user-") || event.stream.starts_with("payment-deed-");
            assert!(
                is_money || event.stream == service::RECOVERY_STREAM,
                "{label}: sequence {sequence} was never submitted: {event:?}"
            );
            return Ok(ControlFlow::Continue(()));
        };
        let track = &mut tracks[writer];
        if track.part == track.reading.len() {
            track.reading = plan.events(writer, track.commits.len() as u64);
            track.part = 0;
            track.commits.push((sequence, sequence));
        }
        let place = track.commits.len() - 1;
        let is_next = number == place as u64 && part as usize == track.part;
        assert!(
            is_next,
            "{label}: sequence {sequence} is commit {number} part {part} of writer {writer}, after {place}"
        );
        let (first, end) = track.commits[place];
        assert!(track.part == 0 || sequence == end + 1, "{label}: the commit at {first} is torn apart at {sequence}");
        track.commits[place].1 = sequence;
        let planned = &track.reading[track.part];
        let is_equal = event.stream == planned.stream && event.id == planned.id && event.payload == planned.payload;
        assert!(is_equal, "{label}: sequence {sequence} is {event:?}, was submitted as {planned:?}");
        track.part += 1;
        Ok(ControlFlow::Continue(()))
    });
    visited.unwrap_or_else(|error| panic!("{label}: {error}"));
    assert_eq!(store.last_sequence(), Sequence::new(last), "{label}");
    for (writer, track) in tracks.iter().enumerate() {
        let count = track.commits.len() as u64;
        assert!(count >= known.begun[writer], "{label}: writer {writer} has {count} commits, there were more before");
        assert_eq!(track.part, track.reading.len(), "{label}: writer {writer}'s last commit is not whole");
        let acknowledged = known.commits.range((writer, 0)..=(writer, u64::MAX));
        for ((_, number), place) in acknowledged.clone() {
            let found = usize::try_from(*number).ok().and_then(|number| track.commits.get(number));
            assert_eq!(
                found,
                Some(place),
                "{label}: lost: writer {writer}'s commit {number} was acknowledged at {place:?}"
            );
        }
        let done = acknowledged.last().map_or(0, |((_, number), _)| number + 1).max(known.begun[writer]);
        let is_submitted = count <= done + plan.in_flight(writer);
        assert!(is_submitted, "{label}: writer {writer} has more commits than were submitted");
        if let Some(last) = track.commits.len().checked_sub(1) {
            let used = store.key_use(&key(writer, last as u64)).unwrap_or_else(|error| panic!("{label}: {error}"));
            let place = used.map(|used| (used.receipt.sequence_first.get(), used.receipt.sequence_last.get()));
            assert_eq!(place, Some(track.commits[last]), "{label}: key of writer {writer}'s last commit");
        }
    }
    tracks.map(|track| track.commits.len() as u64)
}

/// What the log says of money.
#[derive(Debug, Default)]
struct Money {
    /// Balance by user: deposited less captured.
    balances: BTreeMap<String, i64>,
    captured: i64,
    deposits: BTreeMap<u64, String>,
    payments: BTreeMap<String, Trail>,
}

#[derive(Debug, Default)]
struct Trail {
    wallet: i64,
    card: i64,
    outcomes: Vec<(&'static str, u64)>,
}

fn money(store: &Store) -> Result<Money> {
    let mut money = Money::default();
    for event in store.read_all(..) {
        let event = event?;
        if let Some(user) = event.stream.aggregate_id("wallet") {
            let balance = money.balances.entry(user.to_owned()).or_default();
            match WalletEvent::decode(&event)? {
                WalletEvent::FundsDeposited(fact) => {
                    *balance += fact.amount.minor;
                    money.deposits.insert(event.sequence.get(), user.to_owned());
                }
                WalletEvent::HoldCaptured(fact) => {
                    *balance -= fact.amount.minor;
                    money.captured += fact.amount.minor;
                }
                _ => {}
            }
        } else if let Some(id) = event.stream.aggregate_id(PAYMENT_TYPE) {
            let trail = money.payments.entry(id.to_owned()).or_default();
            let kind = match PaymentEvent::decode(&event)? {
                PaymentEvent::PaymentStarted(fact) => {
                    (trail.wallet, trail.card) = (fact.wallet_amount, fact.card_amount);
                    continue;
                }
                PaymentEvent::PaymentCompleted(_) => "completed",
                PaymentEvent::PaymentCompensated(_) => "compensated",
                PaymentEvent::PaymentRejected(_) => "rejected",
                _ => continue,
            };
            trail.outcomes.push((kind, event.sequence.get()));
        }
    }
    Ok(money)
}

/// The wallets and payments: at most one outcome each, those acknowledged as they were, nobody charged twice; full and
/// incremental replay agree. Returns where the payers go on.
///
/// # Panics
/// Where they are not.
pub fn check_money(store: &Store, folder: &Path, known: &Known, label: &str) -> [u64; PAYERS] {
    let money = money(store).unwrap_or_else(|error| panic!("{label}: {error}"));
    for (id, trail) in &money.payments {
        assert!(trail.outcomes.len() <= 1, "{label}: payment {id} ended as {:?}", trail.outcomes);
    }
    for ((payer, number), (kind, sequence)) in &known.payments {
        let outcomes = money.payments.get(&deed_id(*payer, *number)).map(|trail| trail.outcomes.as_slice());
        let expected = [(kind.as_str(), *sequence)];
        assert_eq!(outcomes, Some(&expected[..]), "{label}: lost: payment {number} of payer {payer}");
    }
    for ((payer, number), sequence) in &known.deposits {
        assert!(
            money.deposits.contains_key(sequence),
            "{label}: lost: deposit {number} of payer {payer} at {sequence}"
        );
    }
    let check = service::check(store).unwrap_or_else(|error| panic!("{label}: {error}"));
    assert!(check.is_ok, "{label}: {:?}", check.findings);
    if let Ok(journal) = Journal::read(gateway_in(folder)) {
        let double: Vec<_> = journal.charges.iter().filter(|(_, charge)| charge.is_double()).collect();
        assert!(double.is_empty(), "{label}: charged twice: {double:?}");
    }
    let mut next = [0; PAYERS];
    let begun = money.payments.keys().filter_map(|id| deed_of(id));
    for (payer, number) in begun.chain(known.deposits.keys().copied()) {
        next[payer] = next[payer].max(number + 1);
    }
    next
}

/// Recovers the services, carries every payment to its end, and adds up all money: what went in less what completed
/// payments took is what wallets hold, and cards were charged with what completed payments say.
///
/// # Panics
/// Where it does not add up.
pub fn settle(store: &Store, folder: &Path, plan: Plan, label: &str) {
    let wallets = plan.wallets(store);
    let open = || -> Result<()> {
        let gateway = Arc::new(FileGateway::open_with(gateway_in(folder), plan.gateway())?);
        let payments = Orchestrator::new(wallets.clone(), gateway, plan.payments())?;
        recover(&wallets, &payments).map(drop)
    };
    open().unwrap_or_else(|error| panic!("{label}: {error}"));
    let money = money(store).unwrap_or_else(|error| panic!("{label}: {error}"));
    let journal = Journal::read(gateway_in(folder)).unwrap_or_else(|error| panic!("{label}: {error}"));
    let mut taken = 0;
    for (id, trail) in &money.payments {
        let [(kind, _)] = trail.outcomes[..] else { panic!("{label}: payment {id} ended as {:?}", trail.outcomes) };
        let is_paid = kind == "completed";
        taken += if is_paid { trail.wallet } else { 0 };
        let charged = journal.charges.get(id).map_or((0, 0), |charge| (charge.net(), charge.open()));
        let expected = (if is_paid { trail.card } else { 0 }, 0);
        assert_eq!(charged, expected, "{label}: {kind} payment {id} of {} by card is charged and open", trail.card);
    }
    assert_eq!(money.captured, taken, "{label}: what left the wallets and what was paid from them");
    for user in 0..USERS {
        let user = format!("user-{user}");
        let told = wallets.load(&user).unwrap_or_else(|error| panic!("{label}: {error}"));
        let expected = money.balances.get(&user).copied().unwrap_or_default();
        let is_sum = told.state.balance() == expected && told.state.locked_balance() == 0;
        assert!(is_sum, "{label}: wallet {user} tells {:?}, its events are {expected}", told.state);
    }
}

/// Opens what a killed child left, holds it against all that is known, and returns where the next child goes on. One in
/// two is only read, so that the next child meets what the kill left.
///
/// # Panics
/// Where the store is at fault.
#[must_use]
pub fn check(folder: &Path, plan: Plan, known: &Known, opens_to_write: bool, label: &str) -> From {
    let path = store_in(folder);
    let store = if opens_to_write { Store::open(&path, plan.options()) } else { Store::open_read_only(&path) };
    let store = store.unwrap_or_else(|error| panic!("{label}: open: {error}"));
    let commits = check_events(&store, plan, known, label);
    let deeds = check_money(&store, folder, known, label);
    if opens_to_write {
        settle(&store, folder, plan, label);
        store.close().unwrap_or_else(|error| panic!("{label}: {error}"));
        let report = verify(&path).unwrap_or_else(|error| panic!("{label}: {error}"));
        assert!(report.is_ok(), "{label}: {:?}", report.findings);
    }
    From { commits, deeds }
}

/// The same of a store without wallets and payments, with a checkpoint and snapshots beside the events.
///
/// # Panics
/// Where the store is at fault.
pub fn check_plain(folder: &Path, plan: Plan, known: &Known, label: &str) {
    let path = store_in(folder);
    let store = Store::open(&path, plan.options()).unwrap_or_else(|error| panic!("{label}: open: {error}"));
    check_events(&store, plan, known, label);
    let checkpoint = store.checkpoint("consumer").unwrap_or_else(|error| panic!("{label}: {error}"));
    assert!(checkpoint.is_none_or(|found| found.sequence <= store.last_sequence()), "{label}: a checkpoint is ahead");
    store.close().unwrap_or_else(|error| panic!("{label}: {error}"));
    let report = verify(&path).unwrap_or_else(|error| panic!("{label}: {error}"));
    assert!(report.is_ok(), "{label}: {:?}", report.findings);
}
