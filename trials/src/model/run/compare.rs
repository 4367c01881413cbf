//! Looks at everything that there is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bitacora::{Event, Sequence, StreamHead, StreamId, SubscribeOptions, Subscription, Timestamp};

use super::Run;
use crate::model::operation::{KEYS, STREAMS};
use crate::model::plain::State;
use crate::workload::{key, stream};

/// The consumers there are.
const CONSUMERS: u8 = 2;
/// Of which type of aggregate a stream is, and its id.
pub(super) const AGGREGATES: [(&str, &str); 4] = [("a", "1"), ("a", "10"), ("b", "1"), ("a", "2")];

pub(super) fn consumer(number: u8) -> String {
    format!("consumer {number}")
}

impl Run {
    /// The events by sequence and by stream, the streams, the keys.
    pub(super) fn compare(&self) {
        let mut expected = self.model.events();
        let visited = self.store().visit(.., |found| {
            let event = expected.next().unwrap_or_else(|| panic!("an event that nobody made: {found:?}"));
            let is_equal = found.sequence == event.sequence
                && found.stream == event.stream.as_str()
                && found.version == event.version
                && found.id == event.id
                && found.event_type == event.event_type.as_str()
                && found.timestamp == event.timestamp
                && found.payload == event.payload;
            assert!(is_equal, "{found:?}, expected {event:?}");
            Ok(ControlFlow::Continue(()))
        });
        visited.unwrap_or_else(|error| panic!("a read: {error}"));
        assert!(expected.next().is_none(), "the log ends too early");
        for number in 0..STREAMS.len() as u8 {
            let found = self.store().read_stream(&stream(STREAMS[usize::from(number)]), ..);
            let mut expected = self.model.events_of(number);
            for event in found {
                let event = event.unwrap_or_else(|error| panic!("a read: {error}"));
                assert_eq!(Some(&event), expected.next(), "stream {number}");
            }
            assert!(expected.next().is_none(), "stream {number} ends too early");
        }
        self.compare_streams("");
        self.compare_keys();
        self.compare_correlations();
        self.compare_subscriptions();
    }

    /// The events of each correlation id, from both ends.
    fn compare_correlations(&self) {
        let mut expected: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in self.model.events() {
            if let Some(id) = &event.metadata.correlation_id {
                expected.entry(id).or_default().push(event);
            }
        }
        for (id, expected) in expected {
            let found = |events: bitacora::Result<Vec<Event>>| events.unwrap_or_else(|error| panic!("{id}: {error}"));
            let forwards = found(self.store().read_correlation(id, ..).collect());
            assert_eq!(forwards.iter().collect::<Vec<_>>(), expected, "{id}");
            let mut backwards = found(self.store().read_correlation(id, ..).rev().collect());
            backwards.reverse();
            assert_eq!(backwards, forwards, "{id}, backwards");
        }
    }

    /// What subscriptions that begin now give before they would wait.
    fn compare_subscriptions(&self) {
        let after = self.store().last_sequence().get() / 2;
        let of_stream = SubscribeOptions::new().stream(&stream(STREAMS[0])).after(Sequence::new(after));
        let mut all = self.store().subscribe(SubscribeOptions::new());
        let mut some = self.store().subscribe(of_stream);
        let next = |subscription: &mut Subscription| {
            subscription.try_next().unwrap_or_else(|error| panic!("a subscription: {error}"))
        };
        for event in self.model.events() {
            assert_eq!(next(&mut all).as_ref(), Some(event), "a subscription to all");
        }
        for event in self.model.events_of(0).filter(|event| event.sequence.get() > after) {
            assert_eq!(next(&mut some).as_ref(), Some(event), "a subscription to a stream, after {after}");
        }
        assert_eq!((next(&mut all), next(&mut some)), (None, None), "there is no more");
    }

    fn head(&self, number: u8) -> Option<StreamHead> {
        let last = self.model.events_of(number).next_back()?;
        Some(StreamHead { version: last.version, sequence: last.sequence })
    }

    /// The names of streams and their heads.
    fn compare_streams(&self, prefix: &str) {
        let mut expected = Vec::new();
        for number in 0..STREAMS.len() as u8 {
            let name = stream(STREAMS[usize::from(number)]);
            let head = self.head(number);
            let found = self.store().stream_head(&name).unwrap_or_else(|error| panic!("the head of {name}: {error}"));
            assert_eq!(found, head, "the head of {name}");
            expected.extend(head.filter(|_| name.as_str().starts_with(prefix)).map(|head| (name, head)));
        }
        expected.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        let found: bitacora::Result<Vec<(StreamId, StreamHead)>> = self.store().streams(prefix).collect();
        assert_eq!(found.unwrap_or_else(|error| panic!("streams: {error}")), expected, "streams of {prefix:?}");
    }

    fn compare_keys(&self) {
        for number in 0..KEYS {
            let name = key(usize::from(number));
            let found = self.store().key_use(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
            let expected = self.model.key_use(number);
            let receipt = found.as_ref().map(|found| &found.receipt);
            assert_eq!(receipt, expected.as_ref().map(|(receipt, _)| receipt), "{name}");
            if let (Some(found), Some((_, Some(stated)))) = (found, expected) {
                assert_eq!(found.content_hash, [stated; 32], "the content of {name}");
            }
        }
    }

    /// What lies beside the log.
    pub(super) fn state(&self) -> State {
        let mut state = State::default();
        for number in 0..CONSUMERS {
            let found = self.store().checkpoint(&consumer(number)).unwrap_or_else(|error| panic!("{error}"));
            state.checkpoints.extend(found.map(|checkpoint| (number, checkpoint)));
        }
        for (number, (kind, id)) in (0u8..).zip(AGGREGATES) {
            let found = self.store().snapshots(kind, id, Sequence::MAX).unwrap_or_else(|error| panic!("{error}"));
            if !found.is_empty() {
                state.snapshots.insert(number, found);
            }
        }
        state
    }

    /// Asks for single things.
    pub(super) fn look(&self, number: u8) {
        let event = self.store().event(Sequence::new(u64::from(number)));
        let expected = self.model.events().find(|event| event.sequence.get() == u64::from(number));
        assert_eq!(event.unwrap_or_else(|error| panic!("event {number}: {error}")).as_ref(), expected);
        let time = Timestamp::from_micros(super::CLOCK_MICROS + (i64::from(number) - 32) * 8);
        let at = self.store().sequence_at(time).unwrap_or_else(|error| panic!("{time:?}: {error}"));
        let expected = self.model.events().filter(|event| event.timestamp <= time).count() as u64;
        assert_eq!(at.get(), expected, "the last sequence at {time:?}");
        self.compare_streams(["", "a", "a-1", "b-2"][usize::from(number % 4)]);
        self.compare_keys();
        assert_eq!(self.state(), *self.model.state(), "what lies beside the log");
        self.look_for_snapshots(time);
        let info = self.store().info().unwrap_or_else(|error| panic!("{error}"));
        let streams = (0..STREAMS.len() as u8).filter(|number| self.head(*number).is_some()).count() as u64;
        let first = self.model.events().next().map_or(0, |event: &Event| event.sequence.get());
        let found = (info.streams, info.first_sequence.get(), info.last_sequence.get());
        assert_eq!(found, (streams, first, self.model.last()), "the store in numbers");
    }

    /// Snapshots by type, time and id.
    fn look_for_snapshots(&self, time: Timestamp) {
        let mut expected: Vec<_> = self.model.state().snapshots.values().flatten().cloned().collect();
        expected.sort_by(|one, other| (other.timestamp, &other.snapshot_id).cmp(&(one.timestamp, &one.snapshot_id)));
        for snapshot in &expected {
            let found = self.store().snapshot(&snapshot.snapshot_id).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(found.as_ref(), Some(snapshot), "a snapshot by its id");
        }
        expected.retain(|snapshot| snapshot.timestamp >= time);
        let found = self.store().recent_snapshots(time).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found, expected, "snapshots since {time:?}");
        expected.retain(|snapshot| snapshot.aggregate_type == "a");
        let found = self.store().snapshots_of_type("a", time).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found, expected, "snapshots of one type since {time:?}");
    }
}
