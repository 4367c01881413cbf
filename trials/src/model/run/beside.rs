//! What lies beside the log, and who else opens it.

use bitacora::snapshot::Snapshot;
use bitacora::{Checkpoint, CodecId, ErrorKind, Event, Sequence, Store, Version};

use super::compare::{AGGREGATES, consumer};
use super::{Run, build, ready, refusal_of};
use crate::model::operation::Batch;
use crate::workload::ROOT;

/// A version and a sequence that no plan reaches.
const BEYOND: u64 = 1_000_000;

impl Run {
    /// At a version of the stream where there is one, and beyond the log otherwise.
    pub(super) fn snapshot(&mut self, number: u8, version: u8) {
        let count = self.model.events_of(number).count();
        let event = self.model.events_of(number).nth(usize::from(version) % (count + 1));
        let place = event.map_or((BEYOND, BEYOND), |event| (event.version.get(), event.sequence.get()));
        let (kind, id) = AGGREGATES[usize::from(number)];
        let snapshot = Snapshot {
            snapshot_id: format!("{kind}-{id}@{}", place.0),
            aggregate_id: id.to_owned(),
            aggregate_type: kind.to_owned(),
            timestamp: self.model.now(),
            last_event_version: Version::new(place.0),
            last_event_sequence: Sequence::new(place.1),
            schema_version: 1,
            codec: CodecId::JSON,
            state: vec![version; usize::from(version)],
        };
        let expected = self.model.save_snapshot(number, snapshot.clone());
        let found = self.store().save_snapshot(&snapshot).map_err(|error| refusal_of(&error));
        assert_eq!(found, expected, "save {snapshot:?}");
    }

    pub(super) fn checkpoint(&mut self, number: u8, sequence: u64) {
        let checkpoint = Checkpoint { sequence: Sequence::new(sequence), data: vec![number; number.into()] };
        let expected = self.model.set_checkpoint(number, checkpoint.clone());
        let found = self.store().set_checkpoint(&consumer(number), &checkpoint).map_err(|error| refusal_of(&error));
        assert_eq!(found, expected, "set {checkpoint:?}");
    }

    pub(super) fn consume(&mut self, number: u8, events: u8) {
        let name = consumer(number);
        let checkpoint = self.store().checkpoint(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(checkpoint.as_ref(), self.model.state().checkpoints.get(&number), "{name}");
        let from = checkpoint.map_or(Sequence::FIRST, |checkpoint| checkpoint.sequence.next());
        let found: bitacora::Result<Vec<Event>> = self.store().read_all(from..).take(usize::from(events)).collect();
        let found = found.unwrap_or_else(|error| panic!("{name} reads: {error}"));
        let expected = self.model.events().filter(|event| event.sequence >= from).take(usize::from(events));
        assert!(found.iter().eq(expected), "{name} reads {found:?}");
        if let Some(last) = found.last() {
            self.checkpoint(number, last.sequence.get());
        }
    }

    /// A reader sees what there is and writes nothing; a second writer is kept out.
    pub(super) fn beside(&self) {
        let reader = Store::open_read_only_in(&self.world.environment(), ROOT)
            .unwrap_or_else(|error| panic!("a reader beside the writer: {error}"));
        let found: bitacora::Result<Vec<Event>> = reader.read_all(..).collect();
        let found = found.unwrap_or_else(|error| panic!("a reader beside the writer reads: {error}"));
        assert!(found.iter().eq(self.model.events()), "a reader beside the writer sees {found:?}");
        for (name, expected) in self.model.events().map(|event| (&event.stream, event)) {
            let found = reader.read_stream(name, expected.version..=expected.version).next().transpose();
            let found = found.unwrap_or_else(|error| panic!("a reader beside the writer reads {name}: {error}"));
            assert_eq!(found.as_ref(), Some(expected), "a reader beside the writer");
        }
        let commit = build::commit(&ready(&Batch::of_one_event(), &self.model, &mut 0), false);
        let refused = reader.commit(commit).err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::ReadOnly), "a commit to a reader");
        let second = self.world.open(&self.shape).err().map(|error| error.kind());
        assert_eq!(second, Some(ErrorKind::Locked), "a second writer");
    }
}
