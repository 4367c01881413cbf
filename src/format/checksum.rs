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

/// To find out what the processor can takes as long as the checksum of a few bytes, so it is found out once.
static FRESH: LazyLock<crc32fast::Hasher> = LazyLock::new(crc32fast::Hasher::new);

/// How many bytes the processor's instructions take at once.
const BLOCK_BYTES: usize = 16;

/// CRC-32 (IEEE 802.3).
#[inline]
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let (blocks, rest) = bytes.split_at(bytes.len() - bytes.len() % BLOCK_BYTES);
    if blocks.is_empty() {
        return go_on(0, rest);
    }
    let mut hasher = FRESH.clone();
    hasher.update(blocks);
    go_on(hasher.finalize(), rest)
}

/// The CRC-32 of what a checksum stands for and a word behind it, little-endian.
#[inline]
pub(crate) fn crc32_and_word(crc: u32, word: u32) -> u32 {
    go_on(crc, &word.to_le_bytes())
}

/// The CRC-32 of what a checksum stands for and a few bytes behind it. Here and not in the crate, which makes two calls for them.
#[inline]
fn go_on(crc: u32, rest: &[u8]) -> u32 {
    let mut state = !crc;
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        let [a, b, c, d] = (state ^ u32::from_le_bytes(*word)).to_le_bytes();
        state = entry(3, a) ^ entry(2, b) ^ entry(1, c) ^ entry(0, d);
    }
    for byte in rest {
        let [low, ..] = state.to_le_bytes();
        state = entry(0, low ^ byte) ^ (state >> 8);
    }
    !state
}

/// CRC-32 of five words of which the second and third are one number, little-endian: twenty bytes, as a record has them beside its
/// body. The CRC is linear, so each byte adds what it does in its place; of lengths and versions, whose high bytes are mostly zeros
/// and do nothing, only those that count are looked up.
#[inline(always)]
pub(crate) fn crc32_of_words(length: u32, number: u64, shape: u32, last: u32) -> u32 {
    const OF_ZEROS: u32 = {
        let (mut state, mut bit) = (u32::MAX, 0);
        while bit < 20 * 8 {
            state = shifted(state);
            bit += 1;
        }
        !state
    };
    let [l0, l1, l2, l3] = length.to_le_bytes();
    let [n0, n1, n2, n3, n4, n5, n6, n7] = number.to_le_bytes();
    let [s0, s1, s2, s3] = shape.to_le_bytes();
    let [c0, c1, c2, c3] = last.to_le_bytes();
    let mut crc = OF_ZEROS ^ entry(19, l0) ^ entry(18, l1) ^ entry(15, n0) ^ entry(14, n1);
    crc ^= entry(7, s0) ^ entry(6, s1) ^ entry(5, s2) ^ entry(4, s3);
    crc ^= entry(3, c0) ^ entry(2, c1) ^ entry(1, c2) ^ entry(0, c3);
    if length > 0xffff {
        crc ^= entry(17, l2) ^ entry(16, l3);
    }
    if number > 0xffff {
        crc ^= entry(13, n2) ^ entry(12, n3) ^ entry(11, n4) ^ entry(10, n5) ^ entry(9, n6) ^ entry(8, n7);
    }
    crc
}

/// A checksum's state one zero bit later.
const fn shifted(state: u32) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    (state >> 1) ^ if state & 1 == 1 { POLYNOMIAL } else { 0 }
}

/// What a byte does to the checksum, so many zero bytes later.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "the table is made by the compiler, which would not go beyond its ends")]
fn entry(zeros: usize, byte: u8) -> u32 {
    static TABLES: [[u32; 256]; 20] = {
        let mut tables = [[0; 256]; 20];
        let (mut byte, mut number) = (0, 0u32);
        while byte < 256 {
            let (mut state, mut bit) = (number, 0);
            while bit < 8 {
                state = shifted(state);
                bit += 1;
            }
            tables[0][byte] = state;
            (byte, number) = (byte + 1, number + 1);
        }
        let mut zeros = 1;
        while zeros < 20 {
            let mut byte = 0;
            while byte < 256 {
                let before = tables[zeros - 1][byte];
                tables[zeros][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
                byte += 1;
            }
            zeros += 1;
        }
        tables
    };
    TABLES.get(zeros).and_then(|table| table.get(usize::from(byte))).copied().unwrap_or_default()
}

/// The CRC-32 of what comes a few bytes at a time. They are gathered, since a call for four takes as long as one for a hundred.
#[derive(Debug)]
pub(crate) struct Gathering {
    hasher: crc32fast::Hasher,
    gathered: [[u8; 4]; GATHERED],
    count: usize,
}

const GATHERED: usize = 64;

impl Gathering {
    /// Starts with the bytes that come first.
    pub(crate) fn after(bytes: &[u8]) -> Self {
        let mut hasher = FRESH.clone();
        hasher.update(bytes);
        Self { hasher, gathered: [[0; 4]; GATHERED], count: 0 }
    }

    #[inline]
    pub(crate) fn push(&mut self, checksum: u32) {
        if self.count == GATHERED {
            self.hasher.update(self.gathered.as_flattened());
            self.count = 0;
        }
        if let Some(place) = self.gathered.get_mut(self.count) {
            *place = checksum.to_le_bytes();
        }
        self.count += 1;
    }

    pub(crate) fn finish(mut self) -> u32 {
        self.hasher.update(self.gathered.get(..self.count).unwrap_or_default().as_flattened());
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
    fn every_length_has_the_checksum_that_the_crate_gives_it() {
        let bytes: Vec<u8> = (0..600u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        for start in 0..20 {
            for end in start..bytes.len() {
                assert_eq!(crc32(&bytes[start..end]), crc32fast::hash(&bytes[start..end]), "{start}..{end}");
            }
        }
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926, "the check value of CRC-32/ISO-HDLC");
    }

    #[test]
    fn words_have_the_checksum_of_their_bytes() {
        let numbers =
            [0, 1, 0xff, 0x100, 0xffff, 0x1_0000, 0x89ab_cdef, u64::from(u32::MAX), 1 << 32, u64::MAX - 5, u64::MAX];
        for number in numbers {
            for word in [0, 1, 0x1234, 0xffff, 0x1_0000, 0x89ab_cdef, u32::MAX] {
                let mut bytes = Vec::new();
                bytes.extend_from_slice(&word.to_le_bytes());
                bytes.extend_from_slice(&number.to_le_bytes());
                bytes.extend_from_slice(&(!word).to_le_bytes());
                bytes.extend_from_slice(&word.rotate_left(7).to_le_bytes());
                let crc = crc32_of_words(word, number, !word, word.rotate_left(7));
                assert_eq!(crc, crc32fast::hash(&bytes), "{word:x} {number:x}");
            }
        }
    }

    #[test]
    fn what_is_gathered_has_the_checksum_of_all_of_it() {
        for count in [0, 1, 2, 63, 64, 65, 128, 129, 300] {
            let (mut all, mut gathering) = (b"key".to_vec(), Gathering::after(b"key"));
            for number in 0..count {
                gathering.push(number * 7_919);
                all.extend_from_slice(&(number * 7_919).to_le_bytes());
            }
            assert_eq!(gathering.finish(), crc32(&all), "{count}");
            let one_by_one = (0..count).fold(crc32(b"key"), |crc, number| crc32_and_word(crc, number * 7_919));
            assert_eq!(one_by_one, crc32(&all), "{count}");
        }
    }

    #[test]
    fn golden_salts() {
        let salt = Salt::new(StoreId::from_bytes(*b"0123456789abcdef"), Sequence::new(42));
        assert_eq!(salt.at(512), 2_937_285_983);
        assert_eq!(salt.of(568, Sequence::new(43)), 3_807_304_287);
    }
}
