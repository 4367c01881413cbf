use super::*;
use crate::types::NewEvent;

const COUNTERS: usize = 7;

/// Counters whose events lie among each other, in commits over two streams too; of one an event cannot be read.
fn crowd(policy: SnapshotPolicy) -> Repository<Counter> {
    let repository = repository(policy);
    let mut random = 1_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for round in 0..150_u64 {
        let id = next(COUNTERS as u64).to_string();
        if round % 10 == 9 {
            let metadata = Metadata::default();
            let mut one = repository.decide(&id, &CounterCommand::AddEach(vec![1; 3])).unwrap();
            let mut other = repository.decide("paired", &CounterCommand::Add(1)).unwrap();
            let commit = one.add_to(Commit::new(), &metadata).unwrap();
            let commit = other.add_to(commit, &metadata).unwrap();
            let receipt = repository.store().commit(commit).unwrap();
            repository.committed(one, &receipt).unwrap();
            repository.committed(other, &receipt).unwrap();
        } else {
            add(&repository, &id, next(5));
        }
    }
    let odd = NewEvent::new(EventType::new("Burnt").unwrap(), CodecId::BINCODE, vec![1]);
    let stream = Repository::<Counter>::stream("odd").unwrap();
    add(&repository, "odd", 1);
    repository.store().append(&stream, ExpectedVersion::Any, vec![odd]).unwrap();
    add(&repository, "0", 1);
    repository
}

type Shown = Vec<(String, std::result::Result<Loaded<Counter>, ErrorKind>)>;

fn restored(repository: &Repository<Counter>, options: &RestoreOptions<'_>) -> (Shown, RestoreStats) {
    let mut shown = Vec::new();
    let stats = repository
        .restore_each(repository.aggregate_ids(), options, &mut |id, loaded| {
            shown.push((id.to_owned(), loaded.map_err(|error| error.kind())));
            Ok(())
        })
        .unwrap();
    (shown, stats)
}

/// Goal: whichever way many are restored, the states are those that a load of each gives.
/// Method: both ways, by one thread and by three, in rounds of one, three and all, from snapshots and from the beginning, now and
/// as of sequences and versions, one of them within a commit; one aggregate cannot be read.
#[test]
fn a_pass_over_the_log_and_a_read_of_each_give_the_same_states() {
    let repository = crowd(every(5));
    let end = repository.store().last_sequence();
    let points = [
        (Sequence::MAX, Version::MAX),
        (end, Version::MAX),
        (Sequence::new(14), Version::MAX),
        (Sequence::new(77), Version::MAX),
        (Sequence::MAX, Version::new(4)),
        (Sequence::ZERO, Version::MAX),
    ];
    for (sequence_max, version_max) in points {
        for use_snapshots in [true, false] {
            let expected: Shown = repository
                .aggregate_ids()
                .map(|id| {
                    let id = id.unwrap();
                    let as_of = if version_max == Version::MAX {
                        AsOf::Sequence(sequence_max)
                    } else {
                        AsOf::Version(version_max)
                    };
                    let loaded = if use_snapshots {
                        repository.load_as_of(&id, as_of)
                    } else {
                        repository.load_full_as_of(&id, as_of)
                    };
                    (id, loaded.map_err(|error| error.kind()))
                })
                .collect();
            assert_eq!(expected.len(), COUNTERS + 2);
            for way in [RestoreWay::OnePass, RestoreWay::EachByItself] {
                for threads in [1, 3] {
                    for states_max in [1, 3, 1_000] {
                        let options = RestoreOptions {
                            use_snapshots,
                            sequence_max,
                            version_max,
                            threads: threads.try_into().unwrap(),
                            states_max,
                            way: Some(way),
                            ..RestoreOptions::new(repository.store())
                        };
                        let (shown, stats) = restored(&repository, &options);
                        assert_eq!(shown, expected, "{options:?}");
                        assert_eq!(stats.aggregates, expected.len() as u64);
                        let rounds = (expected.len().div_ceil(states_max)) as u64;
                        let each = if way == RestoreWay::EachByItself { rounds } else { 0 };
                        assert_eq!((stats.rounds_each, stats.rounds_in_one_pass), (each, rounds - each));
                    }
                }
            }
        }
    }
    let odd = repository.load("odd").unwrap_err().kind();
    assert_eq!(odd, ErrorKind::UnknownPayload, "the one that cannot be read");
}

#[test]
fn the_cheaper_way_is_chosen_by_cost() {
    let way = |aggregates, events, log_events, threads| RestoreCost { aggregates, events, log_events, threads }.way();
    let (each, pass) = (RestoreWay::EachByItself, RestoreWay::OnePass);
    // Nothing to do; one wallet of a long log; a tenth of the wallets; all of them, and little since their snapshots.
    assert_eq!(way(0, 0, 0, 1), each);
    assert_eq!(way(1, 100, 1_000_000, 1), each);
    assert_eq!(way(1_000, 100_000, 1_000_000, 1), each);
    assert_eq!(way(10_000, 20_000, 1_000_000, 1), each);
    // A whole log of many wallets, whatever the threads; one of fewer with the two that a till has.
    for threads in 1..=4 {
        assert_eq!(way(100_000, 1_000_000, 1_000_000, threads), pass, "{threads}");
    }
    assert_eq!(way(10_000, 1_000_000, 1_000_000, 2), pass);
    // Many wallets, few events each, and little log since their snapshots.
    assert_eq!(way(10_000, 20_000, 40_000, 1), pass);
    assert_eq!(way(10_000, 50_000, 50_000, 2), pass);
    // Nothing overflows.
    assert_eq!(way(u64::MAX, 0, 1, 1), pass);
    assert_eq!(way(1, 1, u64::MAX, 0), each);
    assert_eq!(way(u64::MAX, u64::MAX, u64::MAX, u64::MAX), each);
}

#[test]
fn progress_never_goes_back_and_ends_with_all() {
    let repository = crowd(SnapshotPolicy::Never);
    for way in [RestoreWay::OnePass, RestoreWay::EachByItself] {
        let told = crate::sync::Mutex::new(Vec::new());
        let progress = |done: u64| told.lock().push(done);
        let options = RestoreOptions {
            states_max: 4,
            way: Some(way),
            progress: Some(&progress),
            threads: std::num::NonZeroUsize::MIN,
            ..RestoreOptions::new(repository.store())
        };
        let (shown, _) = restored(&repository, &options);
        let told = told.lock().clone();
        assert!(told.is_sorted(), "{told:?}");
        assert_eq!(told.last(), Some(&(shown.len() as u64)), "{told:?}");
    }
}

#[test]
fn what_the_visitor_says_ends_the_restoring() {
    let repository = crowd(SnapshotPolicy::Never);
    let mut seen = 0;
    let stopped =
        repository.restore_each(repository.aggregate_ids(), &RestoreOptions::new(repository.store()), &mut |_, _| {
            seen += 1;
            Err(Error::new(ErrorKind::Io, "enough"))
        });
    assert_eq!((stopped.unwrap_err().kind(), seen), (ErrorKind::Io, 1));
    let options = Options::new().background(false);
    assert_eq!(restore_threads(&Store::in_memory(options).unwrap()).get(), 1);
}
