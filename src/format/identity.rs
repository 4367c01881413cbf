//! The file that makes a folder a store.
//!
//! ```text
//!  0  [8]  magic "BITASTOR"
//!  8  u16  format version
//! 10  [6]  zeros
//! 16  [16] store id
//! 32  i64  created, microseconds
//! 40  u32  checksum of bytes 0..40
//! 44  u32  zero
//! ```

use super::FORMAT_VERSION;
use super::bytes::Bytes;
use super::checksum::crc32;
use super::record::set;
use crate::types::{StoreId, Timestamp};

/// The file, bytes.
pub(crate) const BYTES: usize = 48;
const MAGIC: &[u8; 8] = b"BITASTOR";

/// What a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) store_id: StoreId,
    pub(crate) created: Timestamp,
}

/// Why bytes are no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentityDefect {
    /// It is of something else.
    NoStore,
    /// It was written by a newer version.
    Newer(u16),
    /// It is damaged.
    Damaged,
}

impl Identity {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; BYTES];
        set(&mut bytes, 0, MAGIC);
        set(&mut bytes, 8, &FORMAT_VERSION.to_le_bytes());
        set(&mut bytes, 16, self.store_id.as_bytes());
        set(&mut bytes, 32, &self.created.as_micros().to_le_bytes());
        let checksum = crc32(bytes.get(..40).unwrap_or_default());
        set(&mut bytes, 40, &checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, IdentityDefect> {
        let mut fields = Bytes::new(bytes);
        if fields.array::<8>().as_ref() != Some(MAGIC) {
            return Err(IdentityDefect::NoStore);
        }
        let version = fields.u16().ok_or(IdentityDefect::Damaged)?;
        let checksum = bytes.get(40..).and_then(|rest| Bytes::new(rest).u32());
        if checksum != Some(crc32(bytes.get(..40).unwrap_or_default())) {
            return Err(IdentityDefect::Damaged);
        }
        if version > FORMAT_VERSION {
            return Err(IdentityDefect::Newer(version));
        }
        Self::parse(fields).filter(|_| bytes.len() == BYTES && bytes.ends_with(&[0; 4])).ok_or(IdentityDefect::Damaged)
    }

    fn parse(mut fields: Bytes<'_>) -> Option<Self> {
        fields.array::<6>().filter(|zeros| *zeros == [0; 6])?;
        Some(Self { store_id: StoreId::from_bytes(fields.array()?), created: Timestamp::from_micros(fields.i64()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_every_flipped_bit_is_seen() {
        let identity = Identity { store_id: StoreId::from_bytes([5; 16]), created: Timestamp::from_micros(77) };
        let bytes = identity.encode();
        assert_eq!(Identity::decode(&bytes), Ok(identity));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Identity::decode(&damaged).is_err(), "bit {bit}");
        }
        assert_eq!(Identity::decode(b""), Err(IdentityDefect::NoStore));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let identity = Identity { store_id: StoreId::from_bytes([5; 16]), created: Timestamp::EPOCH };
        let mut bytes = identity.encode();
        bytes[8] = 9;
        let checksum = crc32(&bytes[..40]);
        bytes[40..44].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Identity::decode(&bytes), Err(IdentityDefect::Newer(9)));
    }
}
