//! The heads of many streams at once are those that a look-up of each gives.

use super::*;

const STREAMS: usize = 3_000;

fn name(number: usize) -> StreamId {
    stream(&format!("a-{number:04}"))
}

#[test]
fn many_heads_at_once_are_those_of_each() {
    let environment = Environment::in_memory();
    let store = Store::open_in(&environment, "/s", Options::new()).unwrap();
    let append = |store: &Store, number: usize| {
        store.append(&name(number), ExpectedVersion::Any, vec![event("once"), event("twice")]).unwrap();
    };
    // Every third one is not there, and other streams stand before and behind.
    let is_there = |number: &usize| !number.is_multiple_of(3);
    (0..STREAMS).filter(is_there).for_each(|number| append(&store, number));
    for other in ["B-1", "a", "a-", "a-9999", "b-1"] {
        store.append(&stream(other), ExpectedVersion::Any, vec![event("other")]).unwrap();
    }
    // What is closed is in the index, and what comes after that in the tails.
    store.close().unwrap();
    let store = Store::open_in(&environment, "/s", Options::new()).unwrap();
    (0..STREAMS).step_by(7).for_each(|number| append(&store, number));
    for step in [1, 2, 5, 13, 40] {
        for first in [0, 1, 100] {
            let streams: Vec<StreamId> = (first..STREAMS).step_by(step).map(name).collect();
            let each: Vec<_> = streams.iter().map(|stream| store.stream_head(stream).unwrap()).collect();
            assert_eq!(store.stream_heads("a-", &streams).unwrap(), Some(each), "every {step} from {first}");
        }
    }
    let mut streams: Vec<StreamId> = (0..STREAMS).map(name).collect();
    assert_eq!(store.stream_heads("a-", streams.get(..10).unwrap()).unwrap(), None, "they are few");
    streams.swap(5, 6);
    assert_eq!(store.stream_heads("a-", &streams).unwrap(), None, "they are in another order");
}
