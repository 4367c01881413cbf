//! A backup that is there already: what it holds, and whether it is an earlier state of the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check;
use super::in_backup;
use super::source::{Source, read_seal};
use crate::disk::{self, Disk, OpenMode};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::format::control::Control;
use crate::format::identity::Identity;
use crate::format::segment::SegmentHeader;
use crate::log::files::{self, LogFiles, Segment};
use crate::log::roll::TEMPORARY;
use crate::log::scan::Position;
use crate::recovery::examine::{self, CONTROL, INDEX, Inventory, LOG};
use crate::recovery::walk::{self, Start};
use crate::store::create;
use crate::types::Sequence;

/// A backup.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) control: Control,
    pub(super) inventory: Inventory,
    /// Its last segment.
    pub(super) last: Sequence,
    /// Where the last frame ends.
    pub(super) end: Position,
    /// What an update that was killed has left.
    pub(super) leftovers: Vec<PathBuf>,
    files: Arc<LogFiles>,
}

impl Target {
    /// Looks at the backup in `to`, to which nobody may be writing. Reads its last segment, and changes nothing.
    ///
    /// # Errors
    /// `Locked`, `Corrupt`, `UnsupportedFormat`, `Io`. `Refused`: it was opened to write.
    pub(super) fn look(disk: &Arc<dyn Disk>, to: &Path, identity: Identity) -> Result<Self> {
        let io = |source| Error::from_io(format!("look at {}", to.display()), source);
        if disk.is_locked(&to.join(create::LOCK)).map_err(io)? {
            return Err(Error::new(ErrorKind::Locked, format!("{} is being written to", to.display())));
        }
        Self::look_unlocked(disk, to, identity)
    }

    /// As [`look`](Self::look), for who holds the lock.
    ///
    /// # Errors
    /// As [`look`](Self::look), but for `Locked`.
    pub(super) fn look_unlocked(disk: &Arc<dyn Disk>, to: &Path, identity: Identity) -> Result<Self> {
        let io = |source| Error::from_io(format!("look at {}", to.display()), source);
        let control = examine::read_control(disk.as_ref(), to, identity.store_id)?;
        let is_closed = control.clean.is_some_and(|clean| clean.session == control.session);
        if !is_closed || disk.kind(&to.join(INDEX)).map_err(io)?.is_some() {
            let text = format!(
                "{} was opened to write since it was made, so it is a store of its own now; make a new backup beside it",
                to.display()
            );
            return Err(Error::new(ErrorKind::Refused, text));
        }
        Self::read(disk, to, identity, control).map_err(|error| in_backup(to, error))
    }

    fn read(disk: &Arc<dyn Disk>, to: &Path, identity: Identity, control: Control) -> Result<Self> {
        let log = to.join(LOG);
        let inventory = examine::inventory(disk.as_ref(), &log)?;
        let files = Arc::new(LogFiles::new(Arc::clone(disk), log, identity.store_id, &inventory.segments));
        let Some(last) = inventory.segments.last().copied() else {
            return Err(Error::corrupt(Corruption {
                file: LOG.into(),
                offset: None,
                sequence: Some(Sequence::FIRST),
                expected: "the segments of a backup".into(),
                found: "none".into(),
            }));
        };
        let header = examine::open_last(&files, OpenMode::Read)?.header;
        let walked = walk::walk(&files, Start::of(&header), Sequence::MAX, &mut |_| Ok(()), &mut |_, _| Ok(()))?;
        let end = walked.position;
        let through = control.clean_sequence();
        if walked.ahead.content_end > end.offset || through >= end.next {
            let expected =
                format!("events through sequence {}, and nothing behind the last", through.max(end.next.previous()));
            return Err(files::corrupt(last, end.offset, end.next, expected, walked.stop.to_string()));
        }
        let mut leftovers: Vec<_> = inventory.temporary.iter().map(|name| files.directory.join(name)).collect();
        let control_beside = to.join(format!("{CONTROL}{TEMPORARY}"));
        let io = |source| Error::from_io(format!("look at {}", control_beside.display()), source);
        if disk.kind(&control_beside).map_err(io)?.is_some() {
            leftovers.push(control_beside);
        }
        Ok(Self { control, inventory, last, end, leftovers, files })
    }

    /// Whether it is as it was when `other` was looked at.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        (self.control, &self.inventory, self.end) == (other.control, &other.inventory, other.end)
    }

    /// Whether the control file says where the log ends. An update that was killed leaves one that says where it ended before.
    pub(super) fn says_its_end(&self) -> bool {
        self.control.clean.is_some_and(|clean| (clean.offset, clean.chain) == (self.end.offset, self.end.chain))
    }

    /// Checks that the store goes on from what the backup holds, and that what will be kept is there, by headers, lengths, seals and
    /// last frames; the last segment is compared byte by byte.
    ///
    /// # Errors
    /// `Refused`: it holds what the store does not. `Corrupt`: it is damaged. `UnsupportedFormat`, `Io`.
    pub(super) fn check_against(&self, to: &Path, source: &Source) -> Result<()> {
        let refuse = |why: &str| {
            let text = format!("{} holds what the store does not: {why}; make a new backup beside it", to.display());
            Err(Error::new(ErrorKind::Refused, text))
        };
        let (theirs, ours) = (source.files.all(), self.files.all());
        let in_source = source.before.iter().chain(source.segments.iter().map(|(first, _)| first));
        if !self.inventory.segments.iter().eq(in_source.take(ours.len())) {
            return refuse("its segments are others");
        }
        if self.end.next > source.position.next {
            let (here, there) = (self.end.next.previous(), source.position.next.previous());
            return refuse(&format!("it ends with sequence {here}, and the store with {there}"));
        }
        let mut before: Option<(SegmentHeader, Arc<Segment>)> = None;
        for (our, their) in ours.iter().zip(&theirs) {
            let header = self.files.header(our).map_err(|error| in_backup(to, error))?;
            let is_empty = our.first == self.end.next;
            if !is_same(&header, &source.files.header(their)?, is_empty) {
                return refuse(&format!("segment {} has another header", our.first));
            }
            if let Some((before, segment)) = before.replace((header, Arc::clone(our)))
                && !self.check_kept(to, &before, &header, source, segment.first)?
            {
                return refuse(&format!("segment {} has another seal", segment.first));
            }
        }
        if self.end.next > self.last && !self.is_prefix(source)? {
            return refuse("its last events are others");
        }
        Ok(())
    }

    /// Looks at a finished segment; whether its seal is the store's, where both have one.
    fn check_kept(
        &self,
        to: &Path,
        header: &SegmentHeader,
        next: &SegmentHeader,
        source: &Source,
        first: Sequence,
    ) -> Result<bool> {
        let has_seal = self.has_seal(first);
        check::finished(&self.files, header, next, has_seal).map_err(|error| in_backup(to, error))?;
        if !has_seal || !source.has_seal(first) {
            return Ok(true);
        }
        Ok(read_seal(&self.files, first)?.1 == read_seal(&source.files, first)?.1)
    }

    /// Whether the last segment, up to its end, has the bytes that the store has there.
    fn is_prefix(&self, source: &Source) -> Result<bool> {
        let theirs = source.segments.iter().find(|(first, _)| *first == self.last);
        if theirs.is_none_or(|(_, end)| end.offset < self.end.offset) {
            return Ok(false);
        }
        let (ours, theirs) = (self.files.open(self.last)?, source.files.open(self.last)?);
        let mut buffer = Vec::new();
        let mut is_same = true;
        super::source::for_each_chunk(ours.as_ref(), self.last, 0, self.end.offset, &mut |offset, bytes| {
            buffer.resize(bytes.len(), 0);
            disk::read_exact_at(theirs.as_ref(), &mut buffer, offset)
                .map_err(|source| LogFiles::io(self.last, "read", source))?;
            is_same &= buffer == bytes;
            Ok(())
        })?;
        Ok(is_same)
    }

    pub(super) fn has_seal(&self, first: Sequence) -> bool {
        self.inventory.seals.binary_search(&first).is_ok()
    }
}

/// Whether two headers are of one segment. One without events may have got another cut bound since.
fn is_same(ours: &SegmentHeader, theirs: &SegmentHeader, is_empty: bool) -> bool {
    let joint = |header: &SegmentHeader| (header.ordinal, header.previous, header.chain);
    if is_empty { joint(ours) == joint(theirs) } else { ours == theirs }
}
