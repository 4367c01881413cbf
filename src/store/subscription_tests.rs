//! Subscriptions: what is there, then what comes, each once, whatever runs beside them.

use std::time::Instant;

use super::*;
use crate::types::Metadata;

const LONG: Duration = Duration::from_secs(60);

fn small() -> Options {
    Options::new().segment_bytes(crate::limits::SEGMENT_BYTES_MIN).preallocation(Preallocation::Grow)
}

fn small_store(tail_events: usize) -> Store {
    Store::open_in(&Environment::in_memory(), "/s", small().tail_events_max(tail_events)).unwrap()
}

/// An event that tells its own number: every third has a correlation id, every second another type.
fn numbered(number: u64) -> NewEvent {
    let mut event = event(&number.to_string());
    if number.is_multiple_of(3) {
        event.metadata = Metadata { correlation_id: Some("c".into()), ..Metadata::default() };
    }
    if number.is_multiple_of(2) {
        event.event_type = EventType::new("Even").unwrap();
    }
    event
}

fn append(store: &Store, name: &str, number: u64) -> Sequence {
    store.append(&stream(name), ExpectedVersion::Any, vec![numbered(number)]).unwrap().sequence_last
}

fn append_all(store: &Store, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        append(store, "a-1", number);
    }
}

fn even() -> EventType {
    EventType::new("Even").unwrap()
}

/// What there is now.
fn drain(subscription: &mut Subscription) -> Vec<u64> {
    std::iter::from_fn(|| subscription.try_next().unwrap()).map(|event| event.sequence.get()).collect()
}

#[test]
fn a_subscription_catches_up_and_then_goes_live() {
    let store = store();
    append_all(&store, 1..=5);
    let mut all = store.subscribe(SubscribeOptions::new());
    let mut later = store.subscribe(SubscribeOptions::new().after(Sequence::new(3)));
    let mut beyond = store.subscribe(SubscribeOptions::new().after(Sequence::new(7)));
    assert_eq!((drain(&mut all), drain(&mut later), drain(&mut beyond)), (vec![1, 2, 3, 4, 5], vec![4, 5], vec![]));
    assert_eq!(all.reached(), Sequence::new(5));
    append_all(&store, 6..=8);
    assert_eq!(all.next_timeout(LONG).unwrap().unwrap().sequence, Sequence::new(6));
    assert_eq!(all.next().unwrap().unwrap().sequence, Sequence::new(7));
    assert_eq!((drain(&mut all), drain(&mut later), drain(&mut beyond)), (vec![8], vec![6, 7, 8], vec![8]));
    let started = Instant::now();
    assert_eq!(all.next_timeout(Duration::from_millis(20)).unwrap(), None);
    assert!(started.elapsed() >= Duration::from_millis(20));
}

/// Whether an event of this number and stream is asked for.
type Wanted = fn(u64, &str) -> bool;

#[test]
fn a_subscription_shows_what_fits_all_that_is_asked_for() {
    // Goal: the same events whatever the way to them: the log, a stream's places, a correlation id's. Method: every filter over
    // the same store, from several places, half of it there before and half coming after.
    let store = small_store(40);
    let name = |number: u64| ["a-1", "a-2", "b-1", "system-x"][usize::try_from(number % 4).unwrap()];
    let options = SubscribeOptions::new;
    let filters: Vec<(SubscribeOptions, Wanted)> = vec![
        (options(), |_, _| true),
        (options().without_system_streams(), |_, name| name != "system-x"),
        (options().event_type(&even()), |number, _| number % 2 == 0),
        (options().event_type(&even()).event_type(&EventType::new("Noted").unwrap()), |_, _| true),
        (options().stream(&stream("a-2")), |_, name| name == "a-2"),
        (options().stream_prefix("a-"), |_, name| name.starts_with("a-")),
        (options().correlation_id("c"), |number, _| number % 3 == 0),
        (options().correlation_id("c").stream(&stream("a-2")), |number, name| number % 3 == 0 && name == "a-2"),
        (options().correlation_id("c").event_type(&even()).stream_prefix("b"), |number, name| {
            number % 6 == 0 && name == "b-1"
        }),
        (options().stream(&stream("none")), |_, _| false),
        (options().correlation_id("none"), |_, _| false),
    ];
    let mut open = Vec::new();
    for number in 1..=400 {
        if number == 200 || number == 1 {
            for (at, (filter, _)) in filters.iter().enumerate() {
                for after in [0, 1, 57, 199, 200, 250] {
                    open.push((at, after, store.subscribe(filter.clone().after(Sequence::new(after))), Vec::new()));
                }
            }
        }
        append(&store, name(number), number);
        if number.is_multiple_of(7) {
            open.iter_mut().for_each(|(_, _, subscription, seen)| seen.extend(drain(subscription)));
        }
    }
    for (at, after, mut subscription, mut seen) in open {
        seen.extend(drain(&mut subscription));
        let expected: Vec<u64> = (after + 1..=400).filter(|number| (filters[at].1)(*number, name(*number))).collect();
        assert_eq!(seen, expected, "filter {at} after {after}");
        assert_eq!(subscription.reached(), Sequence::new(400), "also where the last ones do not fit");
    }
}

/// Goal: no gap and no double between what was there and what comes. Method: four writers; subscribers that start at any
/// moment, from any place, by every way to the events; small tails and segments, so that places move into the index meanwhile.
#[test]
fn nothing_is_missed_or_seen_twice_beside_four_writers() {
    const EACH: u64 = 400;
    let store = small_store(60);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4u64)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    let written = (0..EACH).map(|number| {
                        let name = format!("w-{}", (thread + number) % 5);
                        (name.clone(), append(store, &name, number), number)
                    });
                    written.collect::<Vec<_>>()
                })
            })
            .collect();
        let readers: Vec<_> = (0..12u64)
            .map(|reader| {
                let store = &store;
                scope.spawn(move || {
                    let options = SubscribeOptions::new();
                    let options = match reader % 4 {
                        0 => options,
                        1 => options.stream(&stream("w-1")),
                        2 => options.correlation_id("c"),
                        _ => options.event_type(&even()).stream_prefix("w-"),
                    };
                    while store.last_sequence() < Sequence::new(reader * 97) {
                        std::thread::yield_now();
                    }
                    let after = store.last_sequence().get() * (reader % 3) / 2;
                    let mut subscription = store.subscribe(options.after(Sequence::new(after)));
                    let mut seen = Vec::new();
                    while subscription.reached() < Sequence::new(4 * EACH) {
                        // By turns waiting and asking, so that both are tried.
                        let next = match seen.len() % 3 {
                            0 => subscription.try_next(),
                            _ => subscription.next_timeout(Duration::from_millis(5)),
                        };
                        seen.extend(next.unwrap().map(|event| event.sequence));
                    }
                    (reader, after, seen)
                })
            })
            .collect();
        let mut written: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        written.sort_unstable_by_key(|(_, sequence, _)| *sequence);
        assert_eq!(written.len() as u64, 4 * EACH);
        for reader in readers {
            let (reader, after, seen) = reader.join().unwrap();
            let wanted = |name: &str, number: u64| match reader % 4 {
                0 => true,
                1 => name == "w-1",
                2 => number.is_multiple_of(3),
                _ => number.is_multiple_of(2),
            };
            let expected: Vec<Sequence> = written
                .iter()
                .filter(|(name, sequence, number)| wanted(name, *number) && sequence.get() > after)
                .map(|(_, sequence, _)| *sequence)
                .collect();
            assert_eq!(seen, expected, "reader {reader} after {after}");
        }
    });
    store.close().unwrap();
}

#[test]
fn a_waiting_subscription_is_woken_by_a_commit_and_by_the_end_of_the_store() {
    let store = store();
    let (seen, news) = std::sync::mpsc::channel();
    let waiting: Vec<_> = [SubscribeOptions::new(), SubscribeOptions::new().stream(&stream("a-1"))]
        .into_iter()
        .map(|options| {
            let (subscription, seen) = (store.subscribe(options), seen.clone());
            let show = move |event: Result<Event>| {
                let sequence = event.unwrap().sequence.get();
                seen.send(sequence).unwrap();
                sequence
            };
            std::thread::spawn(move || subscription.map(show).collect::<Vec<_>>())
        })
        .collect();
    for number in 1..=20 {
        append(&store, "a-1", number);
        // Both have had this one before the next is there, so each time they wait, or are about to.
        assert_eq!((news.recv_timeout(LONG), news.recv_timeout(LONG)), (Ok(number), Ok(number)));
    }
    let mut told = store.subscribe(SubscribeOptions::new().after(Sequence::new(20)));
    drop(store);
    for thread in waiting {
        assert_eq!(thread.join().unwrap(), (1..=20).collect::<Vec<_>>());
    }
    assert_eq!(told.try_next().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(told.next_timeout(LONG).unwrap_err().kind(), ErrorKind::Closed);
    assert!(told.next().is_none());
}

#[test]
fn a_subscription_to_a_store_that_is_open_to_read_follows_its_writers() {
    let environment = Environment::in_memory();
    let open = || Store::open_in(&environment, "/s", small()).unwrap();
    let store = open();
    append_all(&store, 1..=9);
    let reader = Store::open_read_only_in(&environment, "/s").unwrap();
    let mut all = reader.subscribe(SubscribeOptions::new());
    let mut of_stream = reader.subscribe(SubscribeOptions::new().stream(&stream("a-1")));
    let mut correlated = reader.subscribe(SubscribeOptions::new().correlation_id("c"));
    assert_eq!((drain(&mut all), drain(&mut correlated)), ((1..=9).collect(), vec![3, 6, 9]));
    assert_eq!(all.next_timeout(Duration::from_millis(1)).unwrap(), None);
    append_all(&store, 10..=12);
    assert_eq!((drain(&mut all), drain(&mut correlated)), (vec![10, 11, 12], vec![12]));
    // The writer ends and another one follows, while somebody waits.
    let waiting =
        std::thread::spawn(move || all.take(2).map(|event| event.unwrap().sequence.get()).collect::<Vec<_>>());
    append(&store, "a-1", 13);
    store.close().unwrap();
    let store = open();
    append(&store, "b-1", 14);
    assert_eq!(waiting.join().unwrap(), [13, 14]);
    assert_eq!(drain(&mut of_stream), (1..=13).collect::<Vec<_>>());
    let last = reader.subscribe(SubscribeOptions::new().after(Sequence::new(14)));
    let waiting = std::thread::spawn(move || last.count());
    reader.close().unwrap();
    assert_eq!(waiting.join().unwrap(), 0, "the end of the store that is open to read ends it");
    assert_eq!(of_stream.try_next().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_subscription_shows_nothing_that_is_not_acknowledged() {
    // Method: a commit that was submitted and is not written yet, in a store without a thread that would write it.
    let store = Store::in_memory(small().background(false)).unwrap();
    append(&store, "a-1", 1);
    let mut subscription = store.subscribe(SubscribeOptions::new());
    let mut of_stream = store.subscribe(SubscribeOptions::new().stream(&stream("a-1")));
    let ticket = store.submit(Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![numbered(2)])).unwrap();
    assert_eq!((drain(&mut subscription), drain(&mut of_stream)), (vec![1], vec![1]));
    ticket.wait().unwrap();
    assert_eq!((drain(&mut subscription), drain(&mut of_stream)), (vec![2], vec![2]));
}

#[cfg(feature = "simulation")]
#[test]
fn a_poisoned_store_gives_what_was_acknowledged_and_then_says_so() {
    use crate::disk::sim::{Failure, Fault, OperationKind, SimulatedDisk};
    use crate::index::MemoryIndexProvider;
    let disk = SimulatedDisk::default();
    let environment = Environment::new(Arc::new(disk.clone()), Arc::new(MemoryIndexProvider::default()));
    let store = Store::open_in(&environment, "/s", small()).unwrap();
    append(&store, "a-1", 1);
    let waiting = {
        let subscription = store.subscribe(SubscribeOptions::new());
        std::thread::spawn(move || subscription.map(|event| event.map_err(|error| error.kind())).collect::<Vec<_>>())
    };
    let mut late = store.subscribe(SubscribeOptions::new());
    disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Sync).for_good());
    store.append(&stream("a-1"), ExpectedVersion::Any, vec![numbered(2)]).unwrap_err();
    let seen = waiting.join().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].as_ref().unwrap().sequence, seen[1].clone()), (Sequence::FIRST, Err(ErrorKind::Poisoned)));
    assert_eq!(late.try_next().unwrap().unwrap().sequence, Sequence::FIRST);
    assert_eq!(late.try_next().unwrap_err().kind(), ErrorKind::Poisoned);
}

#[test]
fn damage_in_the_log_ends_a_subscription_with_an_error() {
    let environment = Environment::in_memory();
    let store = Store::open_in(&environment, "/s", small().background(false)).unwrap();
    append_all(&store, 1..=300);
    let path = Path::new("/s/log/00000000000000000001.seg");
    let file = environment.disk.open(path, crate::disk::OpenMode::ReadWrite).unwrap();
    crate::disk::write_all_at(file.as_ref(), &[&[0xff; 64]], 1024).unwrap();
    for options in [SubscribeOptions::new(), SubscribeOptions::new().stream(&stream("a-1"))] {
        let mut subscription = store.subscribe(options);
        let seen: Vec<_> = subscription.by_ref().take(300).collect();
        let (last, sound) = seen.split_last().unwrap();
        assert!(!sound.is_empty() && sound.iter().all(Result::is_ok));
        assert_eq!(last.as_ref().unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(subscription.try_next().unwrap_err().kind(), ErrorKind::Corrupt, "and says it again");
        assert!(subscription.next().is_none());
    }
}
