//! The seal beside a finished segment: where its frames are, what it holds, and the digest that makes the log
//! tamper-evident. It can be rebuilt from the segment; a missing or damaged one is no loss.
//!
//! ```text
//!   0  [8]  magic "BITASEAL"
//!   8  u16  format version
//!  10  [6]  zeros
//!  16  [16] store id
//!  32  u64  first sequence
//!  40  u64  last sequence
//!  48  u64  end offset of the last frame
//!  56  u64  number of commits
//!  64  i64  time of the first commit, microseconds
//!  72  i64  time of the last commit
//!  80  u32  checksum of the last frame
//!  84  u32  number of anchors
//!  88  [32] Merkle root over the events (RFC 9162)
//! 120  [32] digest of the seal before; zeros where there is none
//! 152  anchors: u64 sequence, u32 offset, u32 zero, each
//!   ...  [32] digest: SHA-256 of all bytes before
//! ```

use sha2::{Digest, Sha256};

use super::FORMAT_VERSION;
use super::bytes::{Bytes, length_u32};
use super::merkle::{Hash, MerkleTree};
use crate::types::{Sequence, StoreId, Timestamp};

const MAGIC: &[u8; 8] = b"BITASEAL";
const FIXED_BYTES: usize = 152;
const ANCHOR_BYTES: usize = 16;
const DIGEST_BYTES: usize = 32;

/// A place to start reading at: the first frame at or after each stretch of [`ANCHOR_EVERY_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) sequence: Sequence,
    pub(crate) offset: u32,
}

/// How far apart anchors are: a look-up walks at most the headers of this many bytes of frames.
pub(crate) const ANCHOR_EVERY_BYTES: u64 = 16 * 1024;

/// What a finished segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) store_id: StoreId,
    pub(crate) first_sequence: Sequence,
    pub(crate) last_sequence: Sequence,
    pub(crate) end_offset: u64,
    pub(crate) commits: u64,
    pub(crate) time_first: Timestamp,
    pub(crate) time_last: Timestamp,
    pub(crate) chain: u32,
    pub(crate) root: Hash,
    pub(crate) previous: Hash,
    pub(crate) anchors: Vec<Anchor>,
}

impl Seal {
    /// The bytes, and the digest that the next seal names.
    pub(crate) fn encode(&self) -> (Vec<u8>, Hash) {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.anchors.len() * ANCHOR_BYTES + DIGEST_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(self.store_id.as_bytes());
        for number in [self.first_sequence.get(), self.last_sequence.get(), self.end_offset, self.commits] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.time_first.as_micros().to_le_bytes());
        bytes.extend_from_slice(&self.time_last.as_micros().to_le_bytes());
        bytes.extend_from_slice(&self.chain.to_le_bytes());
        bytes.extend_from_slice(&length_u32(self.anchors.len()).to_le_bytes());
        bytes.extend_from_slice(&self.root);
        bytes.extend_from_slice(&self.previous);
        for anchor in &self.anchors {
            bytes.extend_from_slice(&anchor.sequence.get().to_le_bytes());
            bytes.extend_from_slice(&anchor.offset.to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
        }
        let digest: Hash = Sha256::digest(&bytes).into();
        bytes.extend_from_slice(&digest);
        (bytes, digest)
    }

    /// The seal that `bytes` are of, and its digest; `None` if they are not whole, or of another store or segment.
    pub(crate) fn decode(bytes: &[u8], store_id: StoreId, first_sequence: Sequence) -> Option<(Self, Hash)> {
        let content = bytes.get(..bytes.len().checked_sub(DIGEST_BYTES)?)?;
        let digest: Hash = Sha256::digest(content).into();
        if bytes.get(content.len()..)? != digest {
            return None;
        }
        let mut fields = Bytes::new(content);
        if fields.array::<8>()? != *MAGIC || fields.u16()? != FORMAT_VERSION || fields.array::<6>()? != [0; 6] {
            return None;
        }
        let mut seal = Self {
            store_id: StoreId::from_bytes(fields.array()?),
            first_sequence: Sequence::new(fields.u64()?),
            last_sequence: Sequence::new(fields.u64()?),
            end_offset: fields.u64()?,
            commits: fields.u64()?,
            time_first: Timestamp::from_micros(fields.i64()?),
            time_last: Timestamp::from_micros(fields.i64()?),
            chain: fields.u32()?,
            anchors: Vec::new(),
            root: [0; 32],
            previous: [0; 32],
        };
        let anchors = fields.u32()?;
        seal.root = fields.array()?;
        seal.previous = fields.array()?;
        for _ in 0..anchors {
            let anchor = Anchor { sequence: Sequence::new(fields.u64()?), offset: fields.u32()? };
            fields.u32().filter(|zero| *zero == 0)?;
            seal.anchors.push(anchor);
        }
        let is_sound = fields.rest().is_empty() && seal.store_id == store_id && seal.first_sequence == first_sequence;
        is_sound.then_some((seal, digest))
    }
}

/// Adds one event to a segment's tree: its place, its commit's time and its record without the checksum.
pub(crate) fn add_leaf(tree: &mut MerkleTree, sequence: Sequence, timestamp: Timestamp, content: &[u8]) {
    tree.push(&[&sequence.get().to_le_bytes(), &timestamp.as_micros().to_le_bytes(), content]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal {
            store_id: StoreId::from_bytes(*b"0123456789abcdef"),
            first_sequence: Sequence::new(1),
            last_sequence: Sequence::new(99),
            end_offset: 40_000,
            commits: 50,
            time_first: Timestamp::from_micros(5),
            time_last: Timestamp::from_micros(6),
            chain: 0x0102_0304,
            root: [3; 32],
            previous: [4; 32],
            anchors: vec![
                Anchor { sequence: Sequence::new(1), offset: 512 },
                Anchor { sequence: Sequence::new(40), offset: 16_904 },
            ],
        }
    }

    #[test]
    fn golden_bytes() {
        let (bytes, digest) = seal().encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden/seal.hex").trim());
        assert_eq!(Seal::decode(&bytes, seal().store_id, Sequence::new(1)), Some((seal(), digest)));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let (bytes, _) = seal().encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Seal::decode(&damaged, seal().store_id, Sequence::new(1)), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Seal::decode(&bytes[..length], seal().store_id, Sequence::new(1)), None, "{length} bytes");
        }
    }
}
