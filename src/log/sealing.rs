//! Making the seal of a finished segment.

use std::sync::Arc;

use super::cursor;
use super::files::{self, LogFiles, Segment, note_anchor};
use super::scan::{Position, Scanner, Step};
use super::window::{Source, Window};
use crate::disk::{self, DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::format::frame::to_u64;
use crate::format::merkle::{Hash, MerkleTree};
use crate::format::seal::{self, Seal};
use crate::format::segment;
use crate::log::roll::TEMPORARY;
use crate::sabotage::{self, Defect};
use crate::types::{Sequence, Timestamp};

/// Reads a finished segment whole and makes its seal; `previous` is the digest of the seal before.
///
/// # Errors
/// `Corrupt`: the segment is damaged. `UnsupportedFormat`, `Io`.
pub(crate) fn make(files: &Arc<LogFiles>, segment: &Segment, previous: Hash) -> Result<Seal> {
    make_from(files, segment, files.open(segment.first)?, previous)
}

/// As [`make`], from a file that holds the segment's bytes.
///
/// # Errors
/// As [`make`].
pub(crate) fn make_from(files: &LogFiles, segment: &Segment, file: Arc<dyn DiskFile>, previous: Hash) -> Result<Seal> {
    let header = files.header(segment)?;
    let length = file.length().map_err(|source| LogFiles::io(segment.first, "look at", source))?;
    let start = Position {
        offset: u64::from(header.frames_offset),
        next: segment.first,
        chain: header.chain,
        timestamp: Timestamp::EPOCH,
        previous_frame: None,
    };
    let mut scanner = Scanner::new(Window::new(Source::File(file)), segment.salt, length, start);
    let mut tree = MerkleTree::default();
    let mut seal = Seal {
        store_id: files.store_id,
        first_sequence: segment.first,
        last_sequence: Sequence::ZERO,
        end_offset: 0,
        commits: 0,
        time_first: Timestamp::EPOCH,
        time_last: Timestamp::EPOCH,
        chain: header.chain,
        root: [0; 32],
        previous,
        anchors: Vec::new(),
    };
    let stop = loop {
        match scanner.step().map_err(|source| LogFiles::io(segment.first, "read", source))? {
            Step::Stop(stop) => break stop,
            Step::Frame(frame) => {
                if frame.header.event_count > 0 {
                    note_anchor(&mut seal.anchors, frame.header.first_sequence, frame.offset);
                    seal.time_first = if seal.commits == 0 { frame.header.timestamp } else { seal.time_first };
                    seal.commits += 1;
                }
                for placed in frame.records().map_err(|defect| cursor::damaged_in(&frame, defect))? {
                    let placed = placed.map_err(|defect| cursor::damaged_in(&frame, defect))?;
                    seal::add_leaf(&mut tree, placed.sequence, frame.header.timestamp, placed.record.content);
                }
            }
        }
    };
    let end = scanner.position();
    let next = files.following(segment.first).map(|next| next.first);
    if next.is_some_and(|next| next != end.next) {
        return Err(files::corrupt(
            segment.first,
            end.offset,
            end.next,
            "the rest of a finished segment",
            stop.to_string(),
        ));
    }
    seal.last_sequence = end.next.previous();
    seal.end_offset = end.offset;
    seal.time_last = end.timestamp;
    seal.chain = end.chain;
    seal.root = if sabotage::has(Defect::SealOfWrongRoot) { [0; 32] } else { tree.root() };
    Ok(seal)
}

/// Writes a seal beside its segment, whole or not at all.
///
/// # Errors
/// `Io`, `StorageFull`: it is not there, which is no loss.
pub(crate) fn write(files: &LogFiles, seal: &Seal) -> Result<()> {
    let name = segment::seal_name(seal.first_sequence);
    let io = |source| Error::from_io(format!("write log/{name}"), source);
    let temporary = files.directory.join(format!("{name}{TEMPORARY}"));
    if files.disk.kind(&temporary).map_err(io)?.is_some() {
        files.disk.remove(&temporary).map_err(io)?;
    }
    let file = files.disk.open(&temporary, OpenMode::CreateNew).map_err(io)?;
    let (bytes, _) = seal.encode();
    // Room first: a write that meets a full disk would close the latch, and a seal is not worth that.
    if let Err(source) = file.allocate(to_u64(bytes.len())) {
        // Where this fails too, the next seal or the next open removes it.
        let _ = files.disk.remove(&temporary);
        return Err(io(source));
    }
    disk::write_all_at(file.as_ref(), &[&bytes], 0).map_err(io)?;
    disk::settle(file.as_ref()).map_err(io)?;
    files.disk.rename(&temporary, &files.directory.join(&name)).map_err(io)?;
    files.disk.sync_directory(&files.directory).map_err(io)
}
