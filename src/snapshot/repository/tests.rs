use std::path::Path;

use super::*;
use crate::index::{IndexEvidence, IndexProvider, MemoryIndexProvider};
use crate::types::{CodecId, Version};

const STORE: StoreId = StoreId::from_bytes([1; 16]);

struct Fixture {
    provider: MemoryIndexProvider,
    index: Arc<dyn Index>,
    snapshots: Snapshots,
}

fn fixture() -> Fixture {
    let provider = MemoryIndexProvider::default();
    let index = provider.open(Path::new("index"), STORE).unwrap();
    Fixture { provider, index: Arc::clone(&index), snapshots: Snapshots::new(index, STORE) }
}

/// A snapshot at a version, its sequence ten times and its time a hundred times that.
fn snapshot(aggregate_type: &str, aggregate_id: &str, version: u64) -> Snapshot {
    Snapshot {
        snapshot_id: format!("{aggregate_type}-{aggregate_id}@{version}"),
        aggregate_id: aggregate_id.into(),
        aggregate_type: aggregate_type.into(),
        timestamp: Timestamp::from_micros(i64::try_from(version).unwrap() * 100),
        last_event_version: Version::new(version),
        last_event_sequence: Sequence::new(version * 10),
        schema_version: 1,
        codec: CodecId::BINCODE,
        state: format!("{aggregate_type}/{aggregate_id}/{version}").into_bytes(),
    }
}

fn ids(snapshots: &[Snapshot]) -> Vec<&str> {
    snapshots.iter().map(|snapshot| snapshot.snapshot_id.as_str()).collect()
}

impl Fixture {
    fn save(&self, snapshot: &Snapshot) {
        self.snapshots.save(snapshot).unwrap();
    }

    fn keys(&self) -> usize {
        self.index.scan_state(b"", b"", Direction::Forwards, usize::MAX).unwrap().len()
    }
}

#[test]
fn a_snapshot_is_found_by_id_by_aggregate_by_type_and_by_time() {
    let f = fixture();
    for (aggregate_type, id, version) in
        [("wallet", "a", 1), ("wallet", "ab", 2), ("payment", "a", 3), ("wallet", "a", 4)]
    {
        f.save(&snapshot(aggregate_type, id, version));
    }
    assert_eq!(f.snapshots.by_id("wallet-ab@2").unwrap(), Some(snapshot("wallet", "ab", 2)));
    assert_eq!(f.snapshots.by_id("wallet-ab@1").unwrap(), None);
    let latest = |aggregate_type, id, at_most| f.snapshots.latest(aggregate_type, id, Sequence::new(at_most)).unwrap();
    assert_eq!(ids(&latest("wallet", "a", u64::MAX)), ["wallet-a@4", "wallet-a@1"]);
    assert_eq!(ids(&latest("wallet", "a", 40)), ["wallet-a@4", "wallet-a@1"]);
    assert_eq!(ids(&latest("wallet", "a", 39)), ["wallet-a@1"]);
    assert_eq!(ids(&latest("wallet", "a", 9)), [""; 0]);
    assert_eq!(ids(&latest("wallet", "", u64::MAX)), [""; 0]);
    assert_eq!(ids(&latest("wallet", "a\0", u64::MAX)), [""; 0]);
    let since = Timestamp::from_micros;
    let recent = |time| f.snapshots.recent(since(time)).unwrap();
    assert_eq!(ids(&recent(i64::MIN)), ["wallet-a@4", "payment-a@3", "wallet-ab@2", "wallet-a@1"]);
    assert_eq!(ids(&recent(300)), ["wallet-a@4", "payment-a@3"]);
    assert_eq!(ids(&recent(401)), [""; 0]);
    let of_type = |aggregate_type, time| f.snapshots.of_type(aggregate_type, since(time)).unwrap();
    assert_eq!(ids(&of_type("wallet", 200)), ["wallet-a@4", "wallet-ab@2"]);
    assert_eq!(ids(&of_type("wall", 0)), [""; 0]);
    assert_eq!(f.snapshots.unreadable(), 0);
}

#[test]
fn the_snapshot_of_a_streams_end_is_found_by_its_version_and_no_other() {
    let f = fixture();
    f.save(&snapshot("wallet", "a", 4));
    f.save(&snapshot("a-b", "c", 2));
    let at = |aggregate_type, id, version, sequence| {
        let head = StreamHead { version: Version::new(version), sequence: Sequence::new(sequence) };
        f.snapshots.at(aggregate_type, id, head)
    };
    assert_eq!(at("wallet", "a", 4, 40), Some(snapshot("wallet", "a", 4)));
    assert_eq!(at("wallet", "a", 5, 50), None, "the stream has gone on");
    assert_eq!(at("wallet", "a", 3, 30), None);
    assert_eq!(at("wallet", "a", 4, 41), None, "of another stream with this name");
    assert_eq!(at("a-b", "c", 2, 20), Some(snapshot("a-b", "c", 2)));
    assert_eq!(at("a", "b-c", 2, 20), None, "of another aggregate that gives the same id");
    let id = id_key("wallet-a@4");
    let mut damaged = f.index.state(&id).unwrap().unwrap();
    damaged[40] ^= 1;
    f.index.write_state(&[StateWrite::Put(id, damaged)], Sequence::ZERO).unwrap();
    assert_eq!(at("wallet", "a", 4, 40), None);
    assert_eq!(f.snapshots.unreadable(), 0, "who looks for the latest counts it");
}

#[test]
fn the_newest_two_of_an_aggregate_are_kept_and_nothing_is_left_of_the_others() {
    let f = fixture();
    f.save(&snapshot("wallet", "b", 1));
    let others = f.keys();
    for version in 1..=5 {
        f.save(&snapshot("wallet", "a", version));
    }
    assert_eq!(ids(&f.snapshots.latest("wallet", "a", Sequence::MAX).unwrap()), ["wallet-a@5", "wallet-a@4"]);
    assert_eq!(f.keys(), others + 2 * 4, "four keys a snapshot");
    assert_eq!(f.snapshots.by_id("wallet-a@3").unwrap(), None);
    assert_eq!(ids(&f.snapshots.recent(Timestamp::EPOCH).unwrap()), ["wallet-a@5", "wallet-a@4", "wallet-b@1"]);
}

#[test]
fn a_snapshot_older_than_those_kept_is_not_kept() {
    let f = fixture();
    f.save(&snapshot("wallet", "a", 7));
    f.save(&snapshot("wallet", "a", 9));
    f.save(&snapshot("wallet", "a", 8));
    assert_eq!(ids(&f.snapshots.latest("wallet", "a", Sequence::MAX).unwrap()), ["wallet-a@9", "wallet-a@8"]);
    let keys = f.keys();
    f.save(&snapshot("wallet", "a", 7));
    assert_eq!(f.snapshots.by_id("wallet-a@7").unwrap(), None);
    assert_eq!(f.keys(), keys);
}

#[test]
fn saving_a_snapshot_again_replaces_it() {
    let f = fixture();
    f.save(&snapshot("wallet", "a", 7));
    let keys = f.keys();
    f.save(&snapshot("wallet", "a", 7));
    assert_eq!(f.keys(), keys);
    let later = Snapshot { timestamp: Timestamp::from_micros(9_999), state: vec![1], ..snapshot("wallet", "a", 7) };
    f.save(&later);
    assert_eq!(f.keys(), keys, "nothing points to the earlier time any more");
    assert_eq!(f.snapshots.recent(Timestamp::EPOCH).unwrap(), std::slice::from_ref(&later));
    assert_eq!(f.snapshots.latest("wallet", "a", Sequence::MAX).unwrap(), [later]);
}

#[test]
fn a_snapshot_is_evidence_for_the_log_up_to_its_last_event() {
    let f = fixture();
    f.save(&snapshot("wallet", "a", 7));
    f.save(&snapshot("wallet", "b", 6));
    let expected = IndexEvidence::Present { watermark: None, state_sequence: Sequence::new(70) };
    assert_eq!(f.provider.evidence(Path::new("index"), STORE), expected);
}

#[test]
fn a_damaged_or_foreign_snapshot_is_counted_and_the_one_before_it_serves() {
    let f = fixture();
    f.save(&snapshot("wallet", "a", 7));
    f.save(&snapshot("wallet", "a", 8));
    let key = id_key("wallet-a@8");
    let mut damaged = f.index.state(&key).unwrap().unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    let foreign = envelope::encode(&snapshot("wallet", "a", 8), StoreId::from_bytes([2; 16])).unwrap();
    let put = |value| StateWrite::Put(key.clone(), value);
    for (count, write) in (1..).zip([put(damaged), put(foreign), put(Vec::new()), StateWrite::Delete(key.clone())]) {
        f.index.write_state(&[write], Sequence::ZERO).unwrap();
        assert_eq!(ids(&f.snapshots.latest("wallet", "a", Sequence::MAX).unwrap()), ["wallet-a@7"]);
        assert_eq!(f.snapshots.unreadable(), count);
    }
    assert_eq!(f.snapshots.by_id("wallet-a@8").unwrap(), None);
    assert_eq!(ids(&f.snapshots.recent(Timestamp::EPOCH).unwrap()), ["wallet-a@7"]);
    assert_eq!(ids(&f.snapshots.of_type("wallet", Timestamp::EPOCH).unwrap()), ["wallet-a@7"]);
    f.save(&snapshot("wallet", "a", 8));
    assert_eq!(ids(&f.snapshots.latest("wallet", "a", Sequence::MAX).unwrap()), ["wallet-a@8", "wallet-a@7"]);
}

#[test]
fn a_damaged_pointer_is_passed_over_and_cleared_away_by_the_next_save() {
    let f = fixture();
    f.save(&snapshot("wallet", "a", 7));
    let key = aggregate_key("wallet", "a", Sequence::new(90));
    f.index.write_state(&[StateWrite::Put(key.clone(), vec![1])], Sequence::ZERO).unwrap();
    assert_eq!(ids(&f.snapshots.latest("wallet", "a", Sequence::MAX).unwrap()), ["wallet-a@7"]);
    assert_eq!(f.snapshots.unreadable(), 1);
    f.save(&snapshot("wallet", "a", 8));
    assert_eq!(f.index.state(&key).unwrap(), None);
}

#[test]
fn aggregates_whose_names_give_one_id_do_not_get_each_others_state() {
    let f = fixture();
    f.save(&snapshot("a-b", "c", 7));
    f.save(&snapshot("a", "b-c", 7));
    assert_eq!(f.snapshots.latest("a", "b-c", Sequence::MAX).unwrap(), [snapshot("a", "b-c", 7)]);
    assert_eq!(f.snapshots.latest("a-b", "c", Sequence::MAX).unwrap(), []);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let f = fixture();
    let good = snapshot("wallet", "a", 7);
    let long = "i".repeat(crate::limits::STREAM_NAME_BYTES_MAX);
    for bad in [
        Snapshot { snapshot_id: "wallet-a@8".into(), ..good.clone() },
        snapshot("wallet", "", 7),
        snapshot("", "a", 7),
        snapshot("wal\0let", "a", 7),
        snapshot("wallet", "a\0", 7),
        snapshot("wallet", &long, 7),
        Snapshot { state: vec![0; crate::limits::SNAPSHOT_BYTES_MAX + 1], ..good.clone() },
    ] {
        assert_eq!(f.snapshots.save(&bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{}", bad.snapshot_id);
    }
    assert_eq!(f.keys(), 0);
}

#[test]
fn recent_snapshots_are_found_over_many_pages() {
    let f = fixture();
    let count = PAGE * 2 + 3;
    for number in 1..=count {
        f.save(&snapshot("wallet", &number.to_string(), number as u64));
    }
    let recent = f.snapshots.recent(Timestamp::from_micros(200)).unwrap();
    let versions: Vec<_> = recent.iter().map(|snapshot| snapshot.last_event_version.get()).collect();
    assert_eq!(versions, (2..=count as u64).rev().collect::<Vec<_>>());
    assert_eq!(f.snapshots.of_type("wallet", Timestamp::EPOCH).unwrap().len(), count);
}

#[test]
fn times_before_1970_order_before_those_after() {
    let times = [i64::MIN, -1, 0, 1, i64::MAX].map(Timestamp::from_micros);
    for pair in times.windows(2) {
        assert!(time_bytes(pair[0]) < time_bytes(pair[1]));
    }
    assert!(times.iter().all(|time| time_of(time_bytes(*time)) == *time));
}

#[test]
fn golden_bytes_of_keys() {
    // Snapshots outlive the program that made them, so their keys are a format.
    assert_eq!(id_key("a-1@3"), b"s/i/a-1@3");
    assert_eq!(aggregate_key("a", "1", Sequence::new(1)), b"s/a/a\x001\0\xff\xff\xff\xff\xff\xff\xff\xfe");
    let [_, by_type, by_time] = Pointer::of(&snapshot("a", "1", 3)).other_keys("a");
    assert_eq!(by_type, b"s/t/a\0\x80\0\0\0\0\0\x01\x2ca-1@3");
    assert_eq!(by_time, b"s/c/\x80\0\0\0\0\0\x01\x2ca-1@3");
}
