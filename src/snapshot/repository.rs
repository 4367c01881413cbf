//! Snapshots in an index's state: how they are kept, found and let go.
//!
//! ```text
//! s/i/ id                                   the snapshot, see `envelope`
//! s/a/ type 00 id 00 !sequence              its timestamp, then its id: newest first
//! s/t/ type 00 created id                   its id, by time, of one type
//! s/c/ created id                           its id, by time
//! ```
//!
//! A snapshot's data stands once; what points to it is small, so looking for one reads no others, and the keys of one
//! that is let go are known without reading it. All of it changes in one write.
//!
//! Invariants:
//! 1. Of each aggregate, the newest [`KEPT_PER_AGGREGATE`] snapshots are kept, by their last event's sequence.
//! 2. A pointer without data, and data that cannot be read, count as unreadable and are passed over; nothing here fails
//!    because of them.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::index::{Direction, Index, StateWrite, StreamHead};
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::types::{Sequence, StoreId, StreamId, Timestamp, Version};

use super::Snapshot;
use super::envelope;

/// Snapshots kept of one aggregate: the newest, and the one before for when the newest cannot be read.
const KEPT_PER_AGGREGATE: usize = 2;

/// Pointers read at a time.
const PAGE: usize = 256;

const BY_ID: &str = "s/i/";
const BY_AGGREGATE: &str = "s/a/";
const BY_TYPE: &str = "s/t/";
const BY_TIME: &str = "s/c/";

fn id_key(snapshot_id: &str) -> Vec<u8> {
    [BY_ID.as_bytes(), snapshot_id.as_bytes()].concat()
}

fn aggregate_prefix(aggregate_type: &str, aggregate_id: &str) -> Vec<u8> {
    [BY_AGGREGATE.as_bytes(), aggregate_type.as_bytes(), &[0], aggregate_id.as_bytes(), &[0]].concat()
}

/// The later, the smaller.
fn aggregate_key(aggregate_type: &str, aggregate_id: &str, sequence: Sequence) -> Vec<u8> {
    let mut key = aggregate_prefix(aggregate_type, aggregate_id);
    key.extend_from_slice(&(!sequence.get()).to_be_bytes());
    key
}

fn type_prefix(aggregate_type: &str) -> Vec<u8> {
    [BY_TYPE.as_bytes(), aggregate_type.as_bytes(), &[0]].concat()
}

/// Bytes that order as times do, before 1970 too.
fn time_bytes(time: Timestamp) -> [u8; 8] {
    (time.as_micros().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn time_of(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_micros((u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed())
}

/// The key below `prefix` of the snapshot that was made at `time`.
fn time_key(prefix: &[u8], time: Timestamp, snapshot_id: &str) -> Vec<u8> {
    [prefix, &time_bytes(time), snapshot_id.as_bytes()].concat()
}

/// What a key below [`BY_AGGREGATE`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pointer {
    sequence: Sequence,
    timestamp: Timestamp,
    snapshot_id: String,
}

impl Pointer {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            sequence: snapshot.last_event_sequence,
            timestamp: snapshot.timestamp,
            snapshot_id: snapshot.snapshot_id.clone(),
        }
    }

    fn value(&self) -> Vec<u8> {
        [&time_bytes(self.timestamp), self.snapshot_id.as_bytes()].concat()
    }

    /// `rest` is what follows the aggregate in the key.
    fn read(rest: &[u8], value: &[u8]) -> Option<Self> {
        let sequence = Sequence::new(!u64::from_be_bytes(rest.try_into().ok()?));
        let (timestamp, snapshot_id) = value.split_first_chunk::<8>()?;
        let snapshot_id = String::from_utf8(snapshot_id.to_vec()).ok()?;
        Some(Self { sequence, timestamp: time_of(*timestamp), snapshot_id })
    }

    /// The keys of the snapshot that the pointer is of, without its own.
    fn other_keys(&self, aggregate_type: &str) -> [Vec<u8>; 3] {
        [
            id_key(&self.snapshot_id),
            time_key(&type_prefix(aggregate_type), self.timestamp, &self.snapshot_id),
            time_key(BY_TIME.as_bytes(), self.timestamp, &self.snapshot_id),
        ]
    }
}

/// The snapshots in an index.
#[derive(Debug)]
pub(crate) struct Snapshots {
    index: Arc<dyn Index>,
    store_id: StoreId,
    unreadable: AtomicU64,
    /// Held from looking at what there is of an aggregate to writing what is to be, so that two savers do not keep
    /// pointers to what the other lets go.
    saving: Mutex<()>,
}

impl Snapshots {
    pub(crate) fn new(index: Arc<dyn Index>, store_id: StoreId) -> Self {
        Self { index, store_id, unreadable: AtomicU64::new(0), saving: Mutex::new(()) }
    }

    /// How many snapshots were passed over because they could not be read.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Keeps a snapshot, and lets go of those of its aggregate that are too many; of itself too, if it is older than
    /// all that are kept. The log must be durable up to it.
    ///
    /// # Errors
    /// `InvalidInput`: its aggregate's type or id cannot be a stream's, its id is not made of them and its version, or
    /// its state is too large. `Io`, `StorageFull`, `Closed`, `ReadOnly`: the index.
    pub(crate) fn save(&self, snapshot: &Snapshot) -> Result<()> {
        check(snapshot)?;
        let envelope = envelope::encode(snapshot, self.store_id)?;
        let new = Pointer::of(snapshot);
        let kind = &snapshot.aggregate_type;
        let _saving = self.saving.lock();
        let (known, damaged) = self.pointers(kind, &snapshot.aggregate_id, Sequence::MAX)?;

        let mut kept: Vec<&Pointer> = known.iter().filter(|pointer| pointer.sequence != new.sequence).collect();
        kept.push(&new);
        kept.sort_by_key(|pointer| std::cmp::Reverse(pointer.sequence));
        kept.truncate(KEPT_PER_AGGREGATE);
        if !kept.contains(&&new) {
            return Ok(());
        }

        let mut writes: Vec<_> = damaged.into_iter().map(StateWrite::Delete).collect();
        for gone in known.iter().filter(|pointer| !kept.contains(pointer)) {
            writes.extend(gone.other_keys(kind).map(StateWrite::Delete));
            writes.push(StateWrite::Delete(aggregate_key(kind, &snapshot.aggregate_id, gone.sequence)));
        }
        // After the deletions, since a snapshot that is replaced shares keys with the new one.
        let [by_id, by_type, by_time] = new.other_keys(kind);
        let id = || new.snapshot_id.clone().into_bytes();
        writes.push(StateWrite::Put(by_id, envelope));
        writes.push(StateWrite::Put(by_type, id()));
        writes.push(StateWrite::Put(by_time, id()));
        writes.push(StateWrite::Put(aggregate_key(kind, &snapshot.aggregate_id, new.sequence), new.value()));
        self.index.write_state(&writes, new.sequence)
    }

    /// The snapshots of an aggregate that can be read and rest on nothing later than `at_most`, newest first.
    ///
    /// # Errors
    /// `Io`, `Closed`: the index.
    pub(crate) fn latest(&self, aggregate_type: &str, aggregate_id: &str, at_most: Sequence) -> Result<Vec<Snapshot>> {
        if StreamId::of(aggregate_type, aggregate_id).is_err() {
            return Ok(Vec::new());
        }
        let (pointers, damaged) = self.pointers(aggregate_type, aggregate_id, at_most)?;
        for key in damaged {
            self.pass_over(&key.escape_ascii().to_string(), "its pointer is damaged");
        }
        let mut found = Vec::new();
        for pointer in pointers {
            let snapshot = self.read(&pointer.snapshot_id)?;
            // Two aggregates may give one id, "a-b" of "c" and "a" of "b-c": then the one saved later is there.
            let is_its_own = |snapshot: &Snapshot| {
                snapshot.aggregate_type == aggregate_type
                    && snapshot.aggregate_id == aggregate_id
                    && snapshot.last_event_sequence == pointer.sequence
            };
            found.extend(snapshot.filter(is_its_own));
        }
        Ok(found)
    }

    /// The snapshot of an aggregate's state after this event, if there is one that can be read. Found by its id, which such an event
    /// gives it, so that no pointer is looked for. Nothing is counted: who finds none here asks for the latest.
    pub(crate) fn at(&self, aggregate_type: &str, aggregate_id: &str, head: StreamHead) -> Option<Snapshot> {
        let id = snapshot_id(&format!("{aggregate_type}-{aggregate_id}"), head.version);
        let bytes = self.index.state(&id_key(&id)).ok()??;
        // Two aggregates may give one id.
        envelope::decode(&bytes, self.store_id).ok().filter(|snapshot| {
            snapshot.aggregate_type == aggregate_type
                && snapshot.aggregate_id == aggregate_id
                && snapshot.last_event_version == head.version
                && snapshot.last_event_sequence == head.sequence
        })
    }

    /// The snapshot with this id, if it can be read.
    ///
    /// # Errors
    /// `Io`, `Closed`: the index.
    pub(crate) fn by_id(&self, snapshot_id: &str) -> Result<Option<Snapshot>> {
        match self.index.state(&id_key(snapshot_id))? {
            Some(bytes) => Ok(self.decode(snapshot_id, &bytes)),
            None => Ok(None),
        }
    }

    /// The snapshots made at or after `since` that can be read, newest first.
    ///
    /// # Errors
    /// `Io`, `Closed`: the index.
    pub(crate) fn recent(&self, since: Timestamp) -> Result<Vec<Snapshot>> {
        self.since(BY_TIME.as_bytes(), since)
    }

    /// The same, of one type of aggregate.
    ///
    /// # Errors
    /// `Io`, `Closed`: the index.
    pub(crate) fn of_type(&self, aggregate_type: &str, since: Timestamp) -> Result<Vec<Snapshot>> {
        if aggregate_type.contains('\0') {
            return Ok(Vec::new());
        }
        self.since(&type_prefix(aggregate_type), since)
    }

    /// The id of each aggregate's newest snapshot, whether that can be read or not. What lies between is not read.
    ///
    /// # Errors
    /// `Io`, `Closed`: the index.
    pub(crate) fn newest_ids(&self) -> Result<Vec<String>> {
        let (mut ids, mut from, mut aggregate) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let page = self.index.scan_state(BY_AGGREGATE.as_bytes(), &from, Direction::Forwards, PAGE)?;
            let is_last = page.len() < PAGE;
            for (key, value) in page {
                // Each page begins with the last key of the one before.
                let Some((of, sequence)) = key.split_last_chunk::<8>().filter(|_| key != from) else { continue };
                if of != aggregate
                    && let Some(pointer) = Pointer::read(sequence, &value)
                {
                    ids.push(pointer.snapshot_id);
                    aggregate = of.to_vec();
                }
                from = key;
            }
            if is_last {
                return Ok(ids);
            }
        }
    }

    fn since(&self, prefix: &[u8], since: Timestamp) -> Result<Vec<Snapshot>> {
        let mut ids = Vec::new();
        let mut from = Vec::new();
        'pages: loop {
            let page = self.index.scan_state(prefix, &from, Direction::Backwards, PAGE)?;
            let is_last = page.len() < PAGE;
            for (key, id) in page {
                // Each page begins with the last key of the one before.
                if key == from {
                    continue;
                }
                let time = key.get(prefix.len()..).and_then(|rest| rest.first_chunk::<8>().copied()).map(time_of);
                if time.is_some_and(|time| time < since) {
                    break 'pages;
                }
                ids.push(id);
                from = key;
            }
            if is_last {
                break;
            }
        }
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.read(&String::from_utf8_lossy(&id))?);
        }
        Ok(found)
    }

    /// How many there are, and when the oldest and the newest were made. Reads no snapshot.
    ///
    /// # Errors
    /// `Io`, `Closed`: the index.
    pub(crate) fn ages(&self) -> Result<(u64, Option<(Timestamp, Timestamp)>)> {
        let (mut count, mut ages) = (0, None::<(Timestamp, Timestamp)>);
        let mut from = Vec::new();
        loop {
            let page = self.index.scan_state(BY_TIME.as_bytes(), &from, Direction::Forwards, PAGE)?;
            let is_last = page.len() < PAGE;
            for (key, _) in page {
                let time = key.get(BY_TIME.len()..).and_then(|rest| rest.first_chunk::<8>().copied()).map(time_of);
                if let Some(time) = time {
                    count += 1;
                    ages = Some((ages.map_or(time, |(oldest, _)| oldest), time));
                }
                from = key;
            }
            if is_last {
                return Ok((count, ages));
            }
            from.push(0);
        }
    }

    /// The pointers of an aggregate up to `at_most`, newest first, and the keys of those that are damaged.
    fn pointers(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        at_most: Sequence,
    ) -> Result<(Vec<Pointer>, Vec<Vec<u8>>)> {
        let prefix = aggregate_prefix(aggregate_type, aggregate_id);
        let from = aggregate_key(aggregate_type, aggregate_id, at_most);
        let (mut pointers, mut damaged) = (Vec::new(), Vec::new());
        for (key, value) in self.index.scan_state(&prefix, &from, Direction::Forwards, usize::MAX)? {
            match Pointer::read(key.get(prefix.len()..).unwrap_or_default(), &value) {
                Some(pointer) => pointers.push(pointer),
                None => damaged.push(key),
            }
        }
        Ok((pointers, damaged))
    }

    /// The snapshot that a pointer leads to.
    fn read(&self, snapshot_id: &str) -> Result<Option<Snapshot>> {
        let bytes = self.index.state(&id_key(snapshot_id))?;
        if bytes.is_none() {
            self.pass_over(snapshot_id, "it is not there");
        }
        Ok(bytes.and_then(|bytes| self.decode(snapshot_id, &bytes)))
    }

    fn decode(&self, snapshot_id: &str, bytes: &[u8]) -> Option<Snapshot> {
        match envelope::decode(bytes, self.store_id) {
            Ok(snapshot) => Some(snapshot),
            Err(why) => {
                self.pass_over(snapshot_id, &why.to_string());
                None
            }
        }
    }

    fn pass_over(&self, snapshot_id: &str, why: &str) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(snapshot_id, why, "a snapshot cannot be read and is passed over");
    }
}

fn check(snapshot: &Snapshot) -> Result<()> {
    let invalid =
        |why: &str| Error::new(ErrorKind::InvalidInput, format!("snapshot {:?}: {why}", snapshot.snapshot_id));
    if snapshot.aggregate_type.is_empty() || snapshot.aggregate_id.is_empty() {
        return Err(invalid("its aggregate has no type or no id"));
    }
    // A stream's name has no control characters, so neither part has the zero byte that ends it in a key.
    let stream = StreamId::of(&snapshot.aggregate_type, &snapshot.aggregate_id)?;
    let id = snapshot_id(stream.as_str(), snapshot.last_event_version);
    if snapshot.snapshot_id != id {
        return Err(invalid(&format!("its id must be {id}")));
    }
    Ok(())
}

fn snapshot_id(stream: &str, version: Version) -> String {
    format!("{stream}@{version}")
}

#[cfg(test)]
mod tests;
