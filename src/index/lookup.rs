//! What every index does over an ordered map of bytes: look-ups, scans, and taking a batch apart into entries.
//!
//! The index in memory and the one on disk keep the same entries and share this code, so that a simulation without
//! RocksDB walks through the same encodings and the same searches.

use std::ops::ControlFlow;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::METADATA_BYTES_MAX;
use crate::types::{Sequence, StoreId, StreamId, Version};

use super::keys::{self, HEADS, STATE_SEQUENCE_KEY, WATERMARK_KEY};
use super::{Direction, IndexBatch, KeyEntry, Place, StreamHead, Watermark};

/// Places that there is room for before they are looked up.
const PLACES_EXPECTED: usize = 128;

/// Where a scan begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start<'a> {
    /// At the end that the direction starts from.
    End,
    /// At this key; where it is not there, at the next one in the scan's direction.
    At(&'a [u8]),
    /// At this key; where it is not there, at the one before it, whatever the direction; where there is none, at the
    /// end that the direction starts from.
    Covering(&'a [u8]),
}

/// What a scan does with an entry.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>;

/// An ordered map of bytes. A scan sees one state of it from beginning to end.
pub(super) trait Entries {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Shows the entries whose keys start with `prefix`, until `visit` breaks off.
    fn scan(&self, prefix: &[u8], start: Start<'_>, direction: Direction, visit: Visit<'_>) -> Result<()>;
}

/// The smallest key after all keys that start with `prefix`; `None` where there is no such key.
pub(super) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut after = prefix.get(..=last)?.to_vec();
    if let Some(byte) = after.last_mut() {
        *byte += 1;
    }
    Some(after)
}

pub(super) fn head(entries: &impl Entries, stream: &str) -> Result<Option<StreamHead>> {
    entries.get(&keys::head_key(stream))?.map(|value| keys::decode_head(&value)).transpose()
}

pub(super) fn key(entries: &impl Entries, key: &str) -> Result<Option<KeyEntry>> {
    entries.get(&keys::idempotency_key(key))?.map(|value| keys::decode_key_entry(&value)).transpose()
}

/// The watermark, which must be of this store.
pub(super) fn watermark(entries: &impl Entries, store_id: StoreId) -> Result<Option<Watermark>> {
    let Some(value) = entries.get(WATERMARK_KEY)? else { return Ok(None) };
    let watermark = keys::decode_watermark(&value)?;
    if watermark.store_id == store_id { Ok(Some(watermark)) } else { Err(foreign(watermark.store_id, store_id)) }
}

/// The highest sequence that the state rests on.
pub(super) fn state_sequence(entries: &impl Entries) -> Result<Sequence> {
    let value = entries.get(STATE_SEQUENCE_KEY)?;
    value.map_or(Ok(Sequence::ZERO), |value| keys::decode_state_sequence(&value))
}

/// The error of an index that belongs to another store.
pub(super) fn foreign(found: StoreId, expected: StoreId) -> Error {
    Error::new(ErrorKind::Io, format!("the index is of store {found}, not of {expected}"))
}

pub(super) fn places(
    entries: &impl Entries,
    stream: &str,
    from: Version,
    direction: Direction,
    limit: usize,
) -> Result<Vec<(Version, Place)>> {
    let mut found = Vec::with_capacity(limit.min(PLACES_EXPECTED));
    if limit == 0 {
        return Ok(found);
    }
    let prefix = keys::posting_prefix(stream);
    let start = keys::posting_key(stream, from);
    let start = match direction {
        // No posting begins before the first version; and to go on from one that was looked for backwards costs as much again.
        Direction::Forwards if from <= Version::FIRST => Start::End,
        Direction::Forwards => Start::Covering(&start),
        Direction::Backwards => Start::At(&start),
    };
    let mut decoded = Vec::new();
    entries.scan(&prefix, start, direction, &mut |key, value| {
        let version_first = keys::version_of_posting_key(key.get(prefix.len()..).unwrap_or_default())?;
        keys::decode_posting(value, &mut decoded)?;
        let versions = (version_first.get()..).map(Version::new);
        let within = versions.zip(decoded.iter().copied()).filter(|(version, _)| match direction {
            Direction::Forwards => *version >= from,
            Direction::Backwards => *version <= from,
        });
        let room = limit - found.len();
        match direction {
            Direction::Forwards => found.extend(within.take(room)),
            Direction::Backwards => {
                let within: Vec<_> = within.collect();
                found.extend(within.into_iter().rev().take(room));
            }
        }
        Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    check_gapless(stream, direction, &found)?;
    Ok(found)
}

/// A stream's versions have no gap, so one between two postings is a fault of the index.
fn check_gapless(stream: &str, direction: Direction, found: &[(Version, Place)]) -> Result<()> {
    let gap = found.iter().zip(found.iter().skip(1)).find(|((left, _), (right, _))| match direction {
        Direction::Forwards => left.next() != *right,
        Direction::Backwards => right.next() != *left,
    });
    match gap {
        None => Ok(()),
        Some(((left, _), (right, _))) => Err(Error::new(
            ErrorKind::Io,
            format!("the index is damaged: stream {stream}: version {right} beside {left}"),
        )),
    }
}

/// The places of the events with a correlation id.
pub(super) fn correlated(
    entries: &impl Entries,
    correlation_id: &str,
    from: Sequence,
    direction: Direction,
    limit: usize,
) -> Result<Vec<Place>> {
    let mut found: Vec<Place> = Vec::new();
    if limit == 0 || correlation_id.len() > METADATA_BYTES_MAX {
        return Ok(found);
    }
    let start = keys::correlation_key(correlation_id, from);
    let start = match direction {
        Direction::Forwards => Start::Covering(&start),
        Direction::Backwards => Start::At(&start),
    };
    let mut decoded = Vec::new();
    entries.scan(&keys::correlation_prefix(correlation_id), start, direction, &mut |_, value| {
        keys::decode_posting(value, &mut decoded)?;
        let room = limit - found.len();
        match direction {
            Direction::Forwards => found.extend(decoded.iter().filter(|place| place.sequence >= from).take(room)),
            Direction::Backwards => {
                found.extend(decoded.iter().rev().filter(|place| place.sequence <= from).take(room));
            }
        }
        Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    check_order(correlation_id, direction, &found)?;
    Ok(found)
}

/// Postings of one id follow each other, so an order that turns between two is a fault of the index.
fn check_order(correlation_id: &str, direction: Direction, found: &[Place]) -> Result<()> {
    let is_sorted = found.is_sorted_by(|left, right| match direction {
        Direction::Forwards => left.sequence < right.sequence,
        Direction::Backwards => left.sequence > right.sequence,
    });
    if is_sorted {
        return Ok(());
    }
    let text = format!("the index is damaged: correlation id {correlation_id:?}: its postings overlap");
    Err(Error::new(ErrorKind::Io, text))
}

pub(super) fn streams(
    entries: &impl Entries,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(StreamId, StreamHead)>> {
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    let prefix = keys::head_key(prefix);
    debug_assert!(prefix.starts_with(HEADS), "only heads are scanned");
    let after = after.map(keys::head_key);
    let start = after.as_deref().map_or(Start::End, Start::At);
    entries.scan(&prefix, start, Direction::Forwards, &mut |key, value| {
        if after.as_deref() != Some(key) {
            found.push((keys::stream_of_head_key(key)?, keys::decode_head(value)?));
        }
        Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}

/// The callers' keys of the family `state`.
pub(super) fn scan_state(
    entries: &impl Entries,
    prefix: &[u8],
    from: &[u8],
    direction: Direction,
    limit: usize,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    let start = keys::state_key(from);
    let start = if from.is_empty() { Start::End } else { Start::At(&start) };
    entries.scan(&keys::state_key(prefix), start, direction, &mut |key, value| {
        found.push((key.get(1..).unwrap_or_default().to_vec(), value.to_vec()));
        Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}

/// Checks that a batch may follow `previous` in the index of `store_id`.
pub(super) fn check_batch(batch: &IndexBatch, previous: Option<Watermark>, store_id: StoreId) -> Result<()> {
    let invalid = |why: String| Err(Error::new(ErrorKind::InvalidInput, format!("index batch: {why}")));
    let watermark = batch.watermark;
    if watermark.store_id != store_id {
        return invalid(format!("it is of store {}, the index of {store_id}", watermark.store_id));
    }
    if let Some(previous) = previous
        && watermark.sequence < previous.sequence
    {
        return invalid(format!("it ends at sequence {}, the index at {}", watermark.sequence, previous.sequence));
    }
    Ok(())
}

/// Shows the entries of a batch, in the order of their keys, which is that of the batch if it is sorted as it must be.
pub(super) fn each_entry(batch: &IndexBatch, mut put: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    let mut last: Vec<u8> = Vec::new();
    let mut put = |key: Vec<u8>, value: &[u8]| {
        if last >= key {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("index batch: {} does not follow {}", key.escape_ascii(), last.escape_ascii()),
            ));
        }
        put(&key, value)?;
        last = key;
        Ok(())
    };
    for posting in &batch.correlations {
        let Some(first) = posting.places.first() else { continue };
        put(keys::correlation_key(&posting.correlation_id, first.sequence), &keys::encode_posting(&posting.places))?;
    }
    for (stream, head) in &batch.heads {
        put(keys::head_key(stream.as_str()), &keys::encode_head(*head))?;
    }
    for (key, entry) in &batch.keys {
        put(keys::idempotency_key(key), &keys::encode_key_entry(entry))?;
    }
    for posting in &batch.postings {
        put(keys::posting_key(posting.stream.as_str(), posting.version_first), &keys::encode_posting(&posting.places))?;
    }
    put(WATERMARK_KEY.to_vec(), &keys::encode_watermark(&batch.watermark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_after_a_prefix_is_after_all_that_start_with_it() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xff"), None);
        assert_eq!(after_prefix(b""), None);
    }
}
