//! Checksums, salted with the place they stand at.
//!
//! A stored checksum is the CRC-32 of the bytes, exclusive-or a salt made of store id, segment, offset and sequence.
//! Bytes that are moved, or copied from another store, another segment or an older generation of this file,
//! therefore do not pass where they lie; and the CRC itself can be taken before the place is known.

use std::sync::LazyLock;

use crate::sabotage::{self, Defect};
use crate::types::{Sequence, StoreId};

/// The salt of one segment of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt {
    seed: u64,
    segment: Sequence,
}

impl Salt {
    pub(crate) fn new(store_id: StoreId, segment: Sequence) -> Self {
        let bytes = store_id.as_bytes();
        let half = |range: std::ops::Range<usize>| {
            bytes.get(range).and_then(|half| half.try_into().ok()).map_or(0, u64::from_le_bytes)
        };
        let seed = mix(mix(half(0..8)) ^ half(8..16)) ^ mix(segment.get());
        Self { seed: seed ^ u64::from(sabotage::has(Defect::OtherSalt)), segment }
    }

    /// The first sequence of the segment, which names it.
    pub(crate) fn segment(self) -> Sequence {
        self.segment
    }

    /// The salt of a header at `offset`.
    pub(crate) fn at(self, offset: u64) -> u32 {
        if sabotage::has(Defect::ChecksumWithoutPlace) {
            return 0;
        }
        fold(mix(self.seed ^ offset))
    }

    /// The salt of the record of `sequence` at `offset`.
    #[inline]
    pub(crate) fn of(self, offset: u64, sequence: Sequence) -> u32 {
        if sabotage::has(Defect::ChecksumWithoutPlace) {
            return 0;
        }
        fold(mix(mix(self.seed ^ offset) ^ sequence.get()))
    }
}

/// A CRC-32 (IEEE 802.3) of nothing yet.
#[inline]
fn fresh() -> crc32fast::Hasher {
    // To find out what the processor can takes as long as the checksum of a few bytes, so it is found out once.
    static FRESH: LazyLock<crc32fast::Hasher> = LazyLock::new(crc32fast::Hasher::new);
    FRESH.clone()
}

/// CRC-32 (IEEE 802.3).
#[inline]
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut hasher = fresh();
    hasher.update(bytes);
    hasher.finalize()
}

/// The checksum of a body, made of its key block and its records' checksums. These are taken in many at once: a call for four bytes
/// takes as long as one for many more.
#[derive(Debug)]
pub(crate) struct BodyChecksum {
    hasher: crc32fast::Hasher,
    waiting: [u8; 128],
    length: usize,
}

impl BodyChecksum {
    pub(crate) fn of_key(key_block: &[u8]) -> Self {
        let mut hasher = fresh();
        if !key_block.is_empty() {
            hasher.update(key_block);
        }
        Self { hasher, waiting: [0; 128], length: 0 }
    }

    pub(crate) fn add(&mut self, checksum: u32) {
        if let Some(place) = self.waiting.get_mut(self.length..).and_then(|rest| rest.first_chunk_mut()) {
            *place = checksum.to_le_bytes();
            self.length += size_of::<u32>();
        } else {
            self.hasher.update(&self.waiting);
            (self.waiting, self.length) = ([0; 128], 0);
            self.add(checksum);
        }
    }

    pub(crate) fn finalize(mut self) -> u32 {
        self.hasher.update(self.waiting.get(..self.length).unwrap_or_default());
        self.hasher.finalize()
    }
}

/// The finalizer of splitmix64: each bit of the input changes about half of the bits of the output.
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fold(number: u64) -> u32 {
    let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn neighbouring_places_have_different_salts() {
        let store = StoreId::from_bytes([7; 16]);
        let mut seen = HashSet::new();
        for segment in 1..20 {
            let salt = Salt::new(store, Sequence::new(segment));
            for offset in (0..4096).step_by(8) {
                assert!(seen.insert(salt.at(offset)), "segment {segment}, offset {offset}");
            }
        }
    }

    #[test]
    fn checksums_taken_in_many_at_once_are_those_taken_one_by_one() {
        for key_block in [&b""[..], b"key"] {
            for count in [0u32, 1, 31, 32, 33, 64, 100] {
                let (mut together, mut one_by_one) = (BodyChecksum::of_key(key_block), crc32fast::Hasher::new());
                one_by_one.update(key_block);
                for checksum in (0..count).map(|number| number.wrapping_mul(0x9e37_79b9)) {
                    together.add(checksum);
                    one_by_one.update(&checksum.to_le_bytes());
                }
                assert_eq!(together.finalize(), one_by_one.finalize(), "{count}");
            }
        }
    }

    #[test]
    fn golden_salts() {
        let salt = Salt::new(StoreId::from_bytes(*b"0123456789abcdef"), Sequence::new(42));
        assert_eq!(salt.at(512), 2_937_285_983);
        assert_eq!(salt.of(568, Sequence::new(43)), 3_807_304_287);
    }
}
