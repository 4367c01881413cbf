//! The seek table at the end of an archive: where in it which bytes of the segment are.
//!
//! An archive is zstd frames one after another, each of [`ARCHIVE_FRAME_BYTES`] of the segment (the last one of what is left), and
//! then this table, as zstd's `contrib/seekable_format` lays it down. It is a skippable frame, so `zstd -d` passes over it.
//!
//! ```text
//!  0  u32  0x184D2A5E, which makes it a skippable frame
//!  4  u32  bytes that follow
//!  8  of each frame: u32 compressed bytes, u32 bytes
//!  .  u32  number of frames
//!  .  u8   descriptor: 0, no checksums here (each frame has its own)
//!  .  u32  0x8F92EAB1
//! ```

use super::bytes::{Bytes, index, length_u32};
use super::frame::to_u64;
use crate::limits::ARCHIVE_FRAME_BYTES;

const SKIPPABLE_MAGIC: u32 = 0x184D_2A5E;
const FOOTER_MAGIC: u32 = 0x8F92_EAB1;
const HEADER_BYTES: usize = 8;
const ENTRY_BYTES: usize = 8;
/// What is read first: it says how long the table is.
pub(crate) const FOOTER_BYTES: usize = 9;

/// One zstd frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FramePlace {
    /// Where it stands in the archive.
    pub(crate) offset: u64,
    pub(crate) compressed_bytes: u32,
    /// Where its bytes stand in the segment.
    pub(crate) start: u64,
    pub(crate) bytes: u32,
}

/// All frames of an archive, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeekTable {
    frames: Vec<FramePlace>,
}

/// How long the table is of which `footer` is the end; `None` where it is none.
pub(crate) fn table_bytes(footer: &[u8]) -> Option<usize> {
    let mut fields = Bytes::new(footer);
    let (frames, descriptor, magic) = (fields.u32()?, fields.u8()?, fields.u32()?);
    let is_one = descriptor == 0 && magic == FOOTER_MAGIC && fields.rest().is_empty();
    let entries = index(frames).checked_mul(ENTRY_BYTES).filter(|_| is_one)?;
    entries.checked_add(HEADER_BYTES + FOOTER_BYTES)
}

/// The table of frames that have these lengths, compressed and not.
pub(crate) fn encode(frames: &[(u32, u32)]) -> Vec<u8> {
    let content = frames.len() * ENTRY_BYTES + FOOTER_BYTES;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + content);
    bytes.extend_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
    bytes.extend_from_slice(&length_u32(content).to_le_bytes());
    for (compressed_bytes, length) in frames {
        bytes.extend_from_slice(&compressed_bytes.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    bytes.extend_from_slice(&length_u32(frames.len()).to_le_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
    bytes
}

impl SeekTable {
    /// The table that `bytes` are of, at the end of an archive of `archive_bytes`, which holds `segment_bytes`. `None` where it is
    /// none, or does not add up.
    pub(crate) fn decode(bytes: &[u8], archive_bytes: u64, segment_bytes: u64) -> Option<Self> {
        let mut fields = Bytes::new(bytes);
        let is_whole = fields.u32()? == SKIPPABLE_MAGIC
            && index(fields.u32()?).checked_add(HEADER_BYTES) == Some(bytes.len())
            && table_bytes(bytes.get(bytes.len().checked_sub(FOOTER_BYTES)?..)?) == Some(bytes.len());
        let entries = bytes.get(HEADER_BYTES..bytes.len().checked_sub(FOOTER_BYTES)?).filter(|_| is_whole)?;
        let (mut frames, mut offset, mut start) = (Vec::with_capacity(entries.len() / ENTRY_BYTES), 0u64, 0u64);
        let mut fields = Bytes::new(entries);
        while let Some(compressed_bytes) = fields.u32() {
            let length = fields.u32().filter(|length| (1..=ARCHIVE_FRAME_BYTES).contains(&index(*length)))?;
            frames.push(FramePlace { offset, compressed_bytes, start, bytes: length });
            offset += u64::from(compressed_bytes);
            start += u64::from(length);
        }
        let adds_up = offset + to_u64(bytes.len()) == archive_bytes && start == segment_bytes;
        adds_up.then_some(Self { frames })
    }

    /// The frame that holds the byte at `offset` of the segment, and its number; `None` beyond the end.
    pub(crate) fn holding(&self, offset: u64) -> Option<(u32, FramePlace)> {
        let after = self.frames.partition_point(|frame| frame.start <= offset);
        let number = after.checked_sub(1)?;
        let frame = self.frames.get(number).copied().filter(|frame| offset < frame.start + u64::from(frame.bytes))?;
        Some((length_u32(number), frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: [(u32, u32); 3] = [(100, 262_144), (7, 262_144), (90, 1_000)];

    fn decode(bytes: &[u8]) -> Option<SeekTable> {
        SeekTable::decode(bytes, 197 + bytes.len() as u64, 525_288)
    }

    #[test]
    fn it_is_what_the_seekable_format_says() {
        let bytes = encode(&[(100, 4096)]);
        assert_eq!(
            bytes,
            [
                [0x5E, 0x2A, 0x4D, 0x18, 17, 0, 0, 0].as_slice(),
                &[100, 0, 0, 0, 0, 0x10, 0, 0],
                &[1, 0, 0, 0, 0, 0xB1, 0xEA, 0x92, 0x8F]
            ]
            .concat()
        );
        assert_eq!(table_bytes(&bytes[bytes.len() - FOOTER_BYTES..]), Some(bytes.len()));
    }

    #[test]
    fn each_byte_of_the_segment_is_found_in_its_frame() {
        let table = decode(&encode(&FRAMES)).unwrap();
        for (offset, number, start) in [(0, 0, 0), (262_143, 0, 0), (262_144, 1, 100), (525_287, 2, 107)] {
            let (found, frame) = table.holding(offset).unwrap();
            assert_eq!((found, frame.offset), (number, start), "{offset}");
        }
        assert_eq!(table.holding(525_288), None);
        let nothing = encode(&[]);
        assert_eq!(SeekTable::decode(&nothing, nothing.len() as u64, 0).unwrap().holding(0), None);
    }

    #[test]
    fn what_does_not_add_up_is_no_table() {
        let bytes = encode(&FRAMES);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(decode(&encode(&[(100, 0), (97, 525_288)])), None, "a frame of nothing");
        assert_eq!(decode(&encode(&[(197, 525_288)])), None, "a frame that is too long");
    }
}
