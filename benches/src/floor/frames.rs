//! The least that a checked scan costs: frames of the same layout and length as the log's, each record with its length and its
//! checksum, read where they lie.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use bitacora::disk::{Disk, Mapping, OpenMode, OsDisk};

use crate::workload::{PAYLOAD_BYTES, frame_bytes, payload, record_bytes};

const FRAME_HEADER: usize = 56;
const RECORD_HEADER: usize = 8;

/// One file of frames, mapped.
pub struct FrameFile {
    bytes: Mapping,
}

impl std::fmt::Debug for FrameFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameFile").field("bytes", &self.bytes.len()).finish()
    }
}

impl FrameFile {
    /// Writes `events` events in commits of `in_commit`, each commit synced.
    ///
    /// # Panics
    /// The disk fails.
    pub fn write(path: &Path, events: usize, in_commit: usize) {
        let mut file = BufWriter::with_capacity(1024 * 1024, File::create(path).unwrap());
        let mut done = 0;
        while done < events {
            let count = in_commit.min(events - done);
            file.write_all(&frame(count)).unwrap();
            file.flush().unwrap();
            rustix::fs::fdatasync(file.get_ref()).unwrap();
            done += count;
        }
    }

    /// Maps a file.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn map(path: &Path) -> Self {
        Self { bytes: OsDisk.open(path, OpenMode::Read).unwrap().map().unwrap() }
    }

    /// Reads every frame and record and takes every checksum; events and payload bytes seen.
    ///
    /// # Panics
    /// A checksum fails.
    #[must_use]
    pub fn scan(&self) -> (u64, u64) {
        let (mut events, mut payload_bytes) = (0, 0);
        let mut rest = &self.bytes[..];
        while !rest.is_empty() {
            let (header, body) = rest.split_at(FRAME_HEADER);
            assert_eq!(word(header, 0), crc32fast::hash(&header[4..]), "the checksum of a frame");
            let (count, body_bytes) = (word(header, 16), word(header, 20) as usize);
            let (mut records, after) = body.split_at(body_bytes);
            for _ in 0..count {
                let (checksum, length) = (word(records, 0), word(records, 4) as usize);
                let (record, next) = records[RECORD_HEADER..].split_at(length);
                assert_eq!(checksum, crc32fast::hash(record), "the checksum of a record");
                events += 1;
                payload_bytes += PAYLOAD_BYTES.min(record.len()) as u64;
                records = next;
            }
            rest = after;
        }
        (events, payload_bytes)
    }
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    bytes[offset..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word))
}

/// One commit's bytes: as many, and in as many parts, as the log has for it.
fn frame(events: usize) -> Vec<u8> {
    let mut record = vec![0x5A; record_bytes() - RECORD_HEADER - PAYLOAD_BYTES];
    record.extend(payload());
    let body_bytes = frame_bytes(events) - FRAME_HEADER;
    let mut frame = vec![0; FRAME_HEADER];
    frame[16..20].copy_from_slice(&u32::try_from(events).unwrap().to_le_bytes());
    frame[20..24].copy_from_slice(&u32::try_from(body_bytes).unwrap().to_le_bytes());
    let checksum = crc32fast::hash(&frame[4..]);
    frame[..4].copy_from_slice(&checksum.to_le_bytes());
    for _ in 0..events {
        frame.extend_from_slice(&crc32fast::hash(&record).to_le_bytes());
        frame.extend_from_slice(&u32::try_from(record.len()).unwrap().to_le_bytes());
        frame.extend_from_slice(&record);
    }
    frame.resize(FRAME_HEADER + body_bytes, 0);
    frame
}

/// Reads a file through a buffer and takes one checksum of all of it: what the floor of scans was before, and no scan of records.
///
/// # Panics
/// It cannot be read.
#[must_use]
pub fn read_and_check(path: &Path) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut file = File::open(path).unwrap();
    loop {
        let read = file.read(&mut buffer).unwrap();
        if read == 0 {
            return checksum.finalize();
        }
        checksum.update(&buffer[..read]);
    }
}
