//! A snapshot <-> bytes. Pure.
//!
//! ```text
//!  0  magic "BTSN"
//!  4  format, u16
//!  6  store id, 16
//! 22  bytes of the fields, u32
//! 26  bytes of the state, u32
//! 30  crc32 of all bytes but these four
//! 34  the fields, in the payload codec: snapshot id, aggregate id, aggregate type, timestamp, version, sequence,
//!     schema version, codec
//!  .  the state, as it is
//! ```
//!
//! Integers are little-endian. The state stands apart from the fields, so that it may be as large as a payload may.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::types::{CodecId, Sequence, StoreId, Timestamp, Version};

use super::Snapshot;

const MAGIC: [u8; 4] = *b"BTSN";
const FORMAT: u16 = 1;
const CRC_OFFSET: usize = 30;
const HEADER_BYTES: usize = 34;

const _: () = assert!(CRC_OFFSET == MAGIC.len() + 2 + 16 + 4 + 4, "the checksum follows the lengths");
const _: () = assert!(HEADER_BYTES == CRC_OFFSET + 4, "the checksum ends the header");

/// Why bytes are no snapshot of this store that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not the bytes that were written.
    Damaged(&'static str),
    /// Written by a version with another format.
    Format(u16),
    /// Of another store.
    Foreign(StoreId),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(why) => write!(f, "damaged: {why}"),
            Self::Format(format) => write!(f, "format {format} is not known"),
            Self::Foreign(store_id) => write!(f, "of store {store_id}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Fields {
    snapshot_id: String,
    aggregate_id: String,
    aggregate_type: String,
    timestamp: Timestamp,
    last_event_version: Version,
    last_event_sequence: Sequence,
    schema_version: u16,
    codec: CodecId,
}

/// The bytes of a snapshot of this store.
///
/// # Errors
/// `InvalidInput`: the state is larger than it may be.
pub(super) fn encode(snapshot: &Snapshot, store_id: StoreId) -> Result<Vec<u8>> {
    let state_bytes = snapshot.state.len();
    if state_bytes > SNAPSHOT_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "snapshot {}: its state has {state_bytes} bytes, at most {SNAPSHOT_BYTES_MAX} are allowed",
                snapshot.snapshot_id
            ),
        ));
    }
    let fields = codec::encode(&Fields {
        snapshot_id: snapshot.snapshot_id.clone(),
        aggregate_id: snapshot.aggregate_id.clone(),
        aggregate_type: snapshot.aggregate_type.clone(),
        timestamp: snapshot.timestamp,
        last_event_version: snapshot.last_event_version,
        last_event_sequence: snapshot.last_event_sequence,
        schema_version: snapshot.schema_version,
        codec: snapshot.codec,
    })?;
    let length = |bytes: usize| {
        u32::try_from(bytes).map_err(|source| Error::with_source(ErrorKind::InvalidInput, "encode a snapshot", source))
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + fields.len() + state_bytes);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(store_id.as_bytes());
    bytes.extend_from_slice(&length(fields.len())?.to_le_bytes());
    bytes.extend_from_slice(&length(state_bytes)?.to_le_bytes());
    assert!(bytes.len() == CRC_OFFSET, "the checksum follows the lengths");
    let crc = checksum(&[&bytes, &fields, &snapshot.state]);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&fields);
    bytes.extend_from_slice(&snapshot.state);
    Ok(bytes)
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// The snapshot of this store that `bytes` are of.
pub(super) fn decode(bytes: &[u8], store_id: StoreId) -> std::result::Result<Snapshot, Unreadable> {
    let short = || Unreadable::Damaged("too short");
    let (magic, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    if *magic != MAGIC {
        return Err(Unreadable::Damaged("it does not begin as a snapshot does"));
    }
    // Before the checksum, whose place is the format's.
    let (format, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    let format = u16::from_le_bytes(*format);
    if format != FORMAT {
        return Err(Unreadable::Format(format));
    }
    let (found, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
    let (fields_bytes, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (state_bytes, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (crc, content) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let before = bytes.get(..CRC_OFFSET).ok_or_else(short)?;
    if checksum(&[before, content]) != u32::from_le_bytes(*crc) {
        return Err(Unreadable::Damaged("checksum"));
    }
    let found = StoreId::from_bytes(*found);
    if found != store_id {
        return Err(Unreadable::Foreign(found));
    }
    let fields_bytes = usize::try_from(u32::from_le_bytes(*fields_bytes)).unwrap_or(usize::MAX);
    let (fields, state) = content.split_at_checked(fields_bytes).ok_or(Unreadable::Damaged("length"))?;
    if u32::try_from(state.len()) != Ok(u32::from_le_bytes(*state_bytes)) {
        return Err(Unreadable::Damaged("length"));
    }
    let fields: Fields = codec::decode(fields).map_err(|_| Unreadable::Damaged("fields"))?;
    Ok(Snapshot {
        snapshot_id: fields.snapshot_id,
        aggregate_id: fields.aggregate_id,
        aggregate_type: fields.aggregate_type,
        timestamp: fields.timestamp,
        last_event_version: fields.last_event_version,
        last_event_sequence: fields.last_event_sequence,
        schema_version: fields.schema_version,
        codec: fields.codec,
        state: state.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STORE: StoreId = StoreId::from_bytes([7; 16]);

    fn snapshot() -> Snapshot {
        Snapshot {
            snapshot_id: "a-1@3".into(),
            aggregate_id: "1".into(),
            aggregate_type: "a".into(),
            timestamp: Timestamp::from_micros(-1),
            last_event_version: Version::new(3),
            last_event_sequence: Sequence::new(300),
            schema_version: 2,
            codec: CodecId::BINCODE,
            state: b"state".to_vec(),
        }
    }

    #[test]
    fn golden_bytes() {
        let fields = [5, b'a', b'-', b'1', b'@', b'3', 1, b'1', 1, b'a', 1, 3, 251, 44, 1, 2, 1];
        let mut golden = b"BTSN\x01\x00".to_vec();
        golden.extend_from_slice(&[7; 16]);
        golden.extend_from_slice(&[17, 0, 0, 0, 5, 0, 0, 0]);
        golden.extend_from_slice(&[221, 225, 31, 53]);
        golden.extend_from_slice(&fields);
        golden.extend_from_slice(b"state");
        assert_eq!(encode(&snapshot(), STORE).unwrap(), golden);
        assert_eq!(decode(&golden, STORE).unwrap(), snapshot());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let bytes = encode(&snapshot(), STORE).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let found = decode(&damaged, STORE).unwrap_err();
            let is_in_format = (32..48).contains(&bit);
            assert_eq!(matches!(found, Unreadable::Format(_)), is_in_format, "bit {bit}: {found}");
        }
    }

    #[test]
    fn bytes_that_are_cut_or_too_many_are_damaged() {
        let bytes = encode(&snapshot(), STORE).unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..length], STORE), Err(Unreadable::Damaged(_))), "{length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode(&longer, STORE), Err(Unreadable::Damaged("checksum")));
    }

    #[test]
    fn another_stores_snapshot_and_a_newer_format_are_told_from_damage() {
        let other = StoreId::from_bytes([8; 16]);
        let bytes = encode(&snapshot(), other).unwrap();
        assert_eq!(decode(&bytes, STORE), Err(Unreadable::Foreign(other)));
        let mut newer = bytes;
        newer[4] = 9;
        assert_eq!(decode(&newer, STORE), Err(Unreadable::Format(9)));
    }

    #[test]
    fn a_state_is_taken_at_the_limit_and_refused_one_past_it() {
        let mut snapshot = Snapshot { state: vec![1; SNAPSHOT_BYTES_MAX], ..snapshot() };
        let bytes = encode(&snapshot, STORE).unwrap();
        assert!(decode(&bytes, STORE).unwrap() == snapshot);
        snapshot.state.push(1);
        assert_eq!(encode(&snapshot, STORE).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    proptest! {
        #[test]
        fn any_snapshot_reads_back(
            id in ".{0,20}", micros: i64, version: u64, sequence: u64, schema_version: u16, codec: u8,
            state in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let snapshot = Snapshot {
                snapshot_id: id.clone(),
                aggregate_id: id,
                timestamp: Timestamp::from_micros(micros),
                last_event_version: Version::new(version),
                last_event_sequence: Sequence::new(sequence),
                schema_version,
                codec: CodecId(codec),
                state,
                ..snapshot()
            };
            prop_assert_eq!(decode(&encode(&snapshot, STORE).unwrap(), STORE).unwrap(), snapshot);
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            prop_assert!(decode(&bytes, STORE).is_err());
            // The same with a header and a checksum that hold.
            if bytes.len() >= HEADER_BYTES {
                bytes[..4].copy_from_slice(&MAGIC);
                bytes[4..6].copy_from_slice(&FORMAT.to_le_bytes());
                bytes[6..22].copy_from_slice(STORE.as_bytes());
                let crc = checksum(&[&bytes[..CRC_OFFSET], &bytes[HEADER_BYTES..]]);
                bytes[CRC_OFFSET..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
                let _ = decode(&bytes, STORE);
            }
        }
    }
}
