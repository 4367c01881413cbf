//! Consumers' checkpoints, by name, in an index's state.
//!
//! A checkpoint that cannot be read counts as none: its consumer goes back, and sees again what it has seen. It never
//! goes ahead of what was set.
//!
//! Consumers' checkpoints are in the log too, now and then: events of the stream `system-checkpoints`. An index that is made anew,
//! or lost the latest changes of its state to a power cut, gets them from there. Only what lies beyond the index has to be looked
//! through for that: a checkpoint is set before its event is written, and an ingest makes durable what was set before.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::types::{CodecId, Sequence};

use super::{Direction, Index, StateWrite};

/// A consumer's name, bytes: it is part of a key of the index.
pub(crate) const CHECKPOINT_NAME_BYTES_MAX: usize = 255;

/// A checkpoint's data, bytes: it is written whole each time.
pub(crate) const CHECKPOINT_DATA_BYTES_MAX: usize = 1024 * 1024;

/// The stream of the events that hold consumers' checkpoints.
pub(crate) const LOGGED_STREAM: &str = "system-checkpoints";
/// Their type.
pub(crate) const LOGGED_TYPE: &str = "ConsumerCheckpoint";
/// The version of their payload.
pub(crate) const LOGGED_SCHEMA: u16 = 1;

/// Their payload.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Logged {
    name: String,
    sequence: u64,
}

/// Checkpoints by the names of their consumers.
pub(crate) type Checkpointed = BTreeMap<String, Sequence>;

/// The payload of the event that holds a checkpoint.
///
/// # Errors
/// `InvalidInput`: the name is longer than any consumer's.
pub(crate) fn encode_logged(name: &str, sequence: Sequence) -> Result<Vec<u8>> {
    codec::encode(&Logged { name: name.to_owned(), sequence: sequence.get() })
}

/// The checkpoint in the event at `at`; `None` where it is of another kind or version, or says what cannot be: that a consumer had
/// dealt with what came after it.
pub(crate) fn decode_logged(
    event_type: &str,
    schema_version: u16,
    codec: CodecId,
    payload: &[u8],
    at: Sequence,
) -> Option<(String, Sequence)> {
    if (event_type, schema_version, codec) != (LOGGED_TYPE, LOGGED_SCHEMA, CodecId::BINCODE) {
        return None;
    }
    let Logged { name, sequence } = codec::decode(payload).ok()?;
    let sequence = Sequence::new(sequence);
    (sequence < at && key(&name).is_ok()).then_some((name, sequence))
}

/// Notes the later one of what is noted and this.
pub(crate) fn note(checkpointed: &mut Checkpointed, name: String, sequence: Sequence) {
    let noted = checkpointed.entry(name).or_default();
    *noted = sequence.max(*noted);
}

const PREFIX: &[u8] = b"c/";
const FORMAT: u8 = 1;

/// A consumer's durable place in the log, with a few bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last sequence it has dealt with.
    pub sequence: Sequence,
    /// What it needs beside it; at most 1 MiB.
    pub data: Vec<u8>,
}

impl Checkpoint {
    /// Checks that it is not beyond the log's end. One that is tells that events are missing, and is never followed; `whose` says
    /// who had dealt with them.
    ///
    /// # Errors
    /// `Corrupt`: it is beyond.
    pub(crate) fn check_within(&self, log_end: Sequence, whose: &str) -> Result<()> {
        if self.sequence <= log_end {
            return Ok(());
        }
        Err(Error::corrupt(Corruption {
            file: "log".into(),
            offset: None,
            sequence: Some(log_end.next()),
            expected: format!("events up to {}, which {whose} had dealt with", self.sequence),
            found: "the end of the log".into(),
        }))
    }
}

/// Format, sequence, data, checksum of all before it.
fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(checkpoint.data.len() + 13);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&checkpoint.sequence.get().to_le_bytes());
    bytes.extend_from_slice(&checkpoint.data);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// `None` where the bytes are not those of a checkpoint.
fn decode(bytes: &[u8]) -> Option<Checkpoint> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (&FORMAT, content) = content.split_first()? else { return None };
    let (sequence, data) = content.split_first_chunk::<8>()?;
    Some(Checkpoint { sequence: Sequence::new(u64::from_le_bytes(*sequence)), data: data.to_vec() })
}

fn key(name: &str) -> Result<Vec<u8>> {
    let invalid = |why: &str| Error::new(ErrorKind::InvalidInput, format!("checkpoint {name:?}: its name {why}"));
    if name.is_empty() {
        return Err(invalid("is empty"));
    }
    if name.len() > CHECKPOINT_NAME_BYTES_MAX {
        return Err(invalid(&format!("has {} bytes, at most {CHECKPOINT_NAME_BYTES_MAX} are allowed", name.len())));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid("has control characters"));
    }
    Ok([PREFIX, name.as_bytes()].concat())
}

/// The checkpoints in an index.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    index: Arc<dyn Index>,
    /// Held from looking at a checkpoint to setting it, so that two setters cannot make it go back.
    setting: Mutex<()>,
    /// What the log has and the index, which is open to read, has not.
    logged: Mutex<Checkpointed>,
}

impl Checkpoints {
    pub(crate) fn new(index: Arc<dyn Index>) -> Self {
        Self { index, setting: Mutex::new(()), logged: Mutex::default() }
    }

    /// The same over an index that is open to read, and what the log has beyond it.
    pub(crate) fn with_logged(index: Arc<dyn Index>, logged: Checkpointed) -> Self {
        Self { logged: Mutex::new(logged), ..Self::new(index) }
    }

    /// Takes in what more of the log was read.
    pub(crate) fn note_logged(&self, more: Checkpointed) {
        let mut logged = self.logged.lock();
        more.into_iter().for_each(|(name, sequence)| note(&mut logged, name, sequence));
    }

    /// A consumer's checkpoint.
    ///
    /// # Errors
    /// `InvalidInput`: the name. `Io`, `Closed`: the index.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Checkpoint>> {
        let set = self.set_in_index(name)?;
        let logged = self.logged.lock().get(name).copied().unwrap_or(Sequence::ZERO);
        let is_set = logged == Sequence::ZERO || set.as_ref().is_some_and(|set| set.sequence >= logged);
        Ok(if is_set { set } else { Some(Checkpoint { sequence: logged, data: Vec::new() }) })
    }

    fn set_in_index(&self, name: &str) -> Result<Option<Checkpoint>> {
        let Some(bytes) = self.index.state(&key(name)?)? else { return Ok(None) };
        let checkpoint = decode(&bytes);
        if checkpoint.is_none() {
            tracing::warn!(consumer = name, bytes = bytes.len(), "a checkpoint is damaged and counts as none");
        }
        Ok(checkpoint)
    }

    /// Sets a consumer's checkpoint. The log must be durable up to it.
    ///
    /// # Errors
    /// `InvalidInput`: the name, the length of the data, or a sequence lower than what is set. `Io`, `StorageFull`,
    /// `Closed`: the index.
    pub(crate) fn set(&self, name: &str, checkpoint: &Checkpoint) -> Result<()> {
        let key = key(name)?;
        let data_bytes = checkpoint.data.len();
        if data_bytes > CHECKPOINT_DATA_BYTES_MAX {
            let why = format!("has {data_bytes} bytes, at most {CHECKPOINT_DATA_BYTES_MAX} are allowed");
            return Err(Error::new(ErrorKind::InvalidInput, format!("checkpoint {name:?}: its data {why}")));
        }
        let _setting = self.setting.lock();
        if let Some(set) = self.get(name)?
            && checkpoint.sequence < set.sequence
        {
            let why = format!("{} is before {}, where it is", checkpoint.sequence, set.sequence);
            return Err(Error::new(ErrorKind::InvalidInput, format!("checkpoint {name:?}: {why}")));
        }
        self.index.write_state(&[StateWrite::Put(key, encode(checkpoint))], checkpoint.sequence)
    }

    /// Sets a consumer's checkpoint, without data, where it is not as far yet. The log must be durable up to it.
    ///
    /// # Errors
    /// `InvalidInput`: the name. `Io`, `StorageFull`, `Closed`: the index.
    pub(crate) fn advance(&self, name: &str, sequence: Sequence) -> Result<()> {
        let _setting = self.setting.lock();
        if self.get(name)?.is_some_and(|set| set.sequence >= sequence) {
            return Ok(());
        }
        let checkpoint = Checkpoint { sequence, data: Vec::new() };
        self.index.write_state(&[StateWrite::Put(key(name)?, encode(&checkpoint))], sequence)
    }

    /// All checkpoints by name, without their data. One that is damaged counts as zero, or as the log has it.
    ///
    /// # Errors
    /// `Io`, `Closed`: the index.
    pub(crate) fn all(&self) -> Result<Checkpointed> {
        const PAGE: usize = 256;
        let mut all = self.logged.lock().clone();
        let mut from = Vec::new();
        loop {
            let page = self.index.scan_state(PREFIX, &from, Direction::Forwards, PAGE)?;
            let is_last = page.len() < PAGE;
            for (key, value) in page {
                let name = key.get(PREFIX.len()..).and_then(|name| std::str::from_utf8(name).ok());
                if let Some(name) = name {
                    let sequence = decode(&value).map_or(Sequence::ZERO, |checkpoint| checkpoint.sequence);
                    note(&mut all, name.to_owned(), sequence);
                }
                from = key;
            }
            if is_last {
                return Ok(all);
            }
            // Behind the last key of this page.
            from.push(0);
        }
    }

    /// Whether this may be a consumer's name.
    ///
    /// # Errors
    /// `InvalidInput`: it may not.
    pub(crate) fn check_name(name: &str) -> Result<()> {
        key(name).map(drop)
    }
}

/// Puts checkpoints that the log holds back into an index that lost them. Where they are set further they stay.
///
/// # Errors
/// `Io`, `StorageFull`: the index.
pub(crate) fn restore(index: &Arc<dyn Index>, logged: &Checkpointed) -> Result<()> {
    let checkpoints = Checkpoints::new(Arc::clone(index));
    logged.iter().try_for_each(|(name, sequence)| checkpoints.advance(name, *sequence))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::index::{IndexEvidence, IndexProvider, MemoryIndexProvider};
    use crate::types::StoreId;

    const STORE: StoreId = StoreId::from_bytes([1; 16]);

    fn checkpoints() -> (MemoryIndexProvider, Arc<dyn Index>, Checkpoints) {
        let provider = MemoryIndexProvider::default();
        let index = provider.open(Path::new("index"), STORE).unwrap();
        (provider, Arc::clone(&index), Checkpoints::new(index))
    }

    fn checkpoint(sequence: u64, data: &[u8]) -> Checkpoint {
        Checkpoint { sequence: Sequence::new(sequence), data: data.to_vec() }
    }

    #[test]
    fn all_checkpoints_are_listed_with_those_that_only_the_log_has() {
        let (_provider, index, checkpoints) = checkpoints();
        for number in 0..600 {
            checkpoints.set(&format!("c{number:03}"), &checkpoint(number, b"data")).unwrap();
        }
        let logged =
            Checkpointed::from([("c001".to_owned(), Sequence::new(900)), ("log".to_owned(), Sequence::new(5))]);
        let all = Checkpoints::with_logged(index, logged).all().unwrap();
        assert_eq!(all.len(), 601);
        assert_eq!((all["c001"], all["c599"], all["log"]), (Sequence::new(900), Sequence::new(599), Sequence::new(5)));
    }

    #[test]
    fn golden_bytes() {
        let golden = [1, 5, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', 250, 255, 122, 147];
        assert_eq!(encode(&checkpoint(5, b"ab")), golden);
        assert_eq!(decode(&golden), Some(checkpoint(5, b"ab")));
    }

    #[test]
    fn golden_bytes_of_a_logged_checkpoint() {
        let golden = [6, b'e', b'x', b'p', b'o', b'r', b't', 251, 44, 1];
        assert_eq!(encode_logged("export", Sequence::new(300)).unwrap(), golden);
        let decoded = |at| decode_logged(LOGGED_TYPE, LOGGED_SCHEMA, CodecId::BINCODE, &golden, Sequence::new(at));
        assert_eq!(decoded(301), Some(("export".to_owned(), Sequence::new(300))));
        assert_eq!(decoded(300), None, "an event cannot hold a checkpoint beyond itself");
    }

    #[test]
    fn what_is_no_logged_checkpoint_is_passed_over() {
        let payload = encode_logged("export", Sequence::new(3)).unwrap();
        let at = Sequence::new(9);
        assert!(decode_logged(LOGGED_TYPE, LOGGED_SCHEMA, CodecId::BINCODE, &payload, at).is_some());
        assert_eq!(decode_logged("Other", LOGGED_SCHEMA, CodecId::BINCODE, &payload, at), None);
        assert_eq!(decode_logged(LOGGED_TYPE, 2, CodecId::BINCODE, &payload, at), None);
        assert_eq!(decode_logged(LOGGED_TYPE, LOGGED_SCHEMA, CodecId::JSON, &payload, at), None);
        assert_eq!(decode_logged(LOGGED_TYPE, LOGGED_SCHEMA, CodecId::BINCODE, &payload[1..], at), None);
        let nameless = encode_logged("", Sequence::new(3)).unwrap();
        assert_eq!(decode_logged(LOGGED_TYPE, LOGGED_SCHEMA, CodecId::BINCODE, &nameless, at), None);
    }

    #[test]
    fn what_the_log_holds_is_restored_and_never_takes_a_checkpoint_back() {
        let (_, index, checkpoints) = checkpoints();
        checkpoints.set("a", &checkpoint(5, b"data")).unwrap();
        checkpoints.set("b", &checkpoint(5, b"data")).unwrap();
        let mut logged = Checkpointed::new();
        for (name, sequence) in [("a", 4), ("b", 7), ("b", 6), ("c", 3)] {
            note(&mut logged, name.to_owned(), Sequence::new(sequence));
        }
        let overlaid = Checkpoints::with_logged(Arc::clone(&index), logged.clone());
        let expected = [("a", checkpoint(5, b"data")), ("b", checkpoint(7, b"")), ("c", checkpoint(3, b""))];
        for (name, checkpoint) in &expected {
            assert_eq!(overlaid.get(name).unwrap().as_ref(), Some(checkpoint), "over an index that is open to read");
        }
        restore(&index, &logged).unwrap();
        for (name, checkpoint) in &expected {
            assert_eq!(checkpoints.get(name).unwrap().as_ref(), Some(checkpoint));
        }
    }

    #[test]
    fn a_checkpoint_reads_back_by_its_name() {
        let (_, _, checkpoints) = checkpoints();
        assert_eq!(checkpoints.get("export").unwrap(), None);
        checkpoints.set("export", &checkpoint(5, b"")).unwrap();
        checkpoints.set("exports", &checkpoint(2, b"x")).unwrap();
        assert_eq!(checkpoints.get("export").unwrap(), Some(checkpoint(5, b"")));
        assert_eq!(checkpoints.get("exports").unwrap(), Some(checkpoint(2, b"x")));
    }

    #[test]
    fn it_stands_or_goes_on_but_never_back() {
        let (_, _, checkpoints) = checkpoints();
        checkpoints.set("export", &checkpoint(5, b"a")).unwrap();
        checkpoints.set("export", &checkpoint(5, b"b")).unwrap();
        let error = checkpoints.set("export", &checkpoint(4, b"c")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(checkpoints.get("export").unwrap(), Some(checkpoint(5, b"b")));
    }

    #[test]
    fn it_is_evidence_for_the_log_up_to_its_sequence() {
        let (provider, _, checkpoints) = checkpoints();
        checkpoints.set("export", &checkpoint(5, b"")).unwrap();
        let state_sequence = Sequence::new(5);
        let expected = IndexEvidence::Present { watermark: None, state_sequence };
        assert_eq!(provider.evidence(Path::new("index"), STORE), expected);
    }

    #[test]
    fn a_damaged_checkpoint_counts_as_none_and_can_be_set_again() {
        let (_, index, checkpoints) = checkpoints();
        let bytes = encode(&checkpoint(5, b"data"));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            index.write_state(&[StateWrite::Put(key("export").unwrap(), damaged)], Sequence::ZERO).unwrap();
            assert_eq!(checkpoints.get("export").unwrap(), None, "bit {bit}");
        }
        checkpoints.set("export", &checkpoint(1, b"")).unwrap();
        assert_eq!(checkpoints.get("export").unwrap(), Some(checkpoint(1, b"")));
    }

    #[test]
    fn names_and_data_are_taken_at_the_limit_and_refused_one_past_it() {
        let (_, _, checkpoints) = checkpoints();
        let name = "n".repeat(CHECKPOINT_NAME_BYTES_MAX);
        let data = vec![7; CHECKPOINT_DATA_BYTES_MAX];
        checkpoints.set(&name, &checkpoint(1, &data)).unwrap();
        assert_eq!(checkpoints.get(&name).unwrap().unwrap().data, data);
        for (name, data_bytes) in [
            (String::new(), 0),
            ("a\0".to_owned(), 0),
            (format!("{name}n"), 0),
            (name.clone(), CHECKPOINT_DATA_BYTES_MAX + 1),
        ] {
            let error = checkpoints.set(&name, &checkpoint(2, &vec![0; data_bytes])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}");
        }
    }
}
