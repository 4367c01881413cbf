//! Consumers' checkpoints, by name, in an index's state.
//!
//! A checkpoint that cannot be read counts as none: its consumer goes back, and sees again what it has seen. It never
//! goes ahead of what was set.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::types::Sequence;

use super::{Index, StateWrite};

/// A consumer's name, bytes: it is part of a key of the index.
pub(crate) const CHECKPOINT_NAME_BYTES_MAX: usize = 255;

/// A checkpoint's data, bytes: it is written whole each time.
pub(crate) const CHECKPOINT_DATA_BYTES_MAX: usize = 1024 * 1024;

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
}

impl Checkpoints {
    pub(crate) fn new(index: Arc<dyn Index>) -> Self {
        Self { index, setting: Mutex::new(()) }
    }

    /// A consumer's checkpoint.
    ///
    /// # Errors
    /// `InvalidInput`: the name. `Io`, `Closed`: the index.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Checkpoint>> {
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
    fn golden_bytes() {
        let golden = [1, 5, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', 250, 255, 122, 147];
        assert_eq!(encode(&checkpoint(5, b"ab")), golden);
        assert_eq!(decode(&golden), Some(checkpoint(5, b"ab")));
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
