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
pub(crate) fn fresh_crc32() -> crc32fast::Hasher {
    // To find out what the processor can takes as long as the checksum of a few bytes, so it is found out once.
    static FRESH: LazyLock<crc32fast::Hasher> = LazyLock::new(crc32fast::Hasher::new);
    FRESH.clone()
}

/// CRC-32 (IEEE 802.3).
#[inline]
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut hasher = fresh_crc32();
    hasher.update(bytes);
    hasher.finalize()
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
    fn golden_salts() {
        let salt = Salt::new(StoreId::from_bytes(*b"0123456789abcdef"), Sequence::new(42));
        assert_eq!(salt.at(512), 2_937_285_983);
        assert_eq!(salt.of(568, Sequence::new(43)), 3_807_304_287);
    }
}
