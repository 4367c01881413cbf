//! Writing frames to the active segment, and going on to the next one.
//!
//! There is one writer, under the store's writer lock. It keeps the position, the chain and how far it has synced; it
//! answers nobody. A failure is *clean* where no byte of the commit was written and the log can go on, and *fatal*
//! where a write or a sync failed: the latch of the disk has then tripped, and nothing more is written.

use std::sync::Arc;

use smallvec::SmallVec;

use super::files::{LogFiles, Segment};
use super::reserve::Reserve;
use super::roll::{self, Filling, Room, Spare, Unnamed};
use super::scan::{Position, offset_u32};
use super::ticket::SyncTicket;
use crate::clock::{Clock, SystemClock};
use crate::disk::{self, DiskFile};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{self, ALIGNMENT, Draft, FrameKind, FramePlace, HEADER_BYTES, to_u64};
use crate::format::seal::ANCHOR_EVERY_BYTES;
use crate::format::segment::{self, SECTOR_BYTES, SegmentHeader};
use crate::sabotage::{self, Defect};
use crate::types::{Sequence, Timestamp, Version};

/// Groups of at least so many bytes are not written over zeros: by then the sync of what was never written costs less than
/// writing everything twice.
const LARGE_BYTES: u64 = 16 * 1024;

/// So much is written without a sync before one is made beside the writer.
const FLUSH_BYTES: u64 = 8 * 1024 * 1024;

/// How the log is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriterOptions {
    pub(crate) segment_bytes: u64,
    /// What each group of frames is padded to.
    pub(crate) alignment: u64,
    pub(crate) filling: Filling,
    /// How many bytes may be unsynced at the end of a segment.
    pub(crate) cut_bound: u64,
    /// Whether zeros are written ahead of small groups, so that their syncs have no extents to convert.
    pub(crate) zeroes_ahead: bool,
}

/// Events of a commit that go to one stream, one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Which of the commit's streams.
    pub(crate) stream: usize,
    pub(crate) events: usize,
    pub(crate) version_first: Version,
}

impl Run {
    /// The version of each event.
    #[inline]
    pub(crate) fn versions(self) -> impl Iterator<Item = Version> {
        (0..to_u64(self.events)).map(move |number| self.version_first.plus(number))
    }
}

/// A commit with its sequences and versions, to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    pub(crate) draft: Draft,
    pub(crate) first_sequence: Sequence,
    /// All of its events, in order.
    pub(crate) runs: SmallVec<[Run; 1]>,
    /// Whether it may be written to room that is kept for a full disk.
    pub(crate) may_use_reserve: bool,
    /// When it was committed, of one that was committed before, elsewhere; `None`: now.
    pub(crate) committed_at: Option<Timestamp>,
    /// Where its frame was written.
    pub(crate) place: Option<FrameAt>,
}

impl Pending {
    /// Makes it an empty one in the same memory.
    pub(crate) fn clear(&mut self) {
        self.draft.clear();
        self.runs.clear();
        (self.may_use_reserve, self.committed_at, self.place) = (false, None, None);
    }
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameAt {
    pub(crate) segment: Sequence,
    pub(crate) offset: u64,
}

/// Why a write did not go through.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing of the commit was written; the log can go on.
    Clean(Error),
    /// What was written is in doubt; nothing more may be written.
    Fatal(Error),
}

impl WriteError {
    fn fatal(what: &str, first: Sequence, source: std::io::Error) -> Self {
        Self::Fatal(LogFiles::failed_write(first, what, source))
    }
}

/// The writer of a log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    files: Arc<LogFiles>,
    spare: Arc<Spare>,
    reserve: Arc<Reserve>,
    options: WriterOptions,
    file: Arc<dyn DiskFile>,
    segment: Arc<Segment>,
    header: SegmentHeader,
    /// Frames end before this offset.
    capacity: u64,
    /// Between the position and this offset zeros have been written; where it lies behind, none have.
    zeroed: u64,
    /// Groups written to the active segment since it was opened, and where the first began.
    groups: u64,
    groups_start: u64,
    /// The first frame at or after this offset may be an anchor; whether it is, the segment knows.
    anchor_due: u64,
    position: Position,
    /// The last sequence that is synced.
    durable: Sequence,
    /// What the last frame written promises.
    promised: Sequence,
    /// Whether anything was written since the last sync.
    is_dirty: bool,
    /// The active segment is synced up to here.
    synced_offset: u64,
    /// At this offset a sync beside the writer is asked for.
    flush_due: u64,
    rolls: u64,
    /// Whether the active segment was made of the reserve. As long as that is missing, what is left of the segment is kept
    /// for those who may use it.
    is_of_reserve: bool,
}

/// Where a log is continued: its last segment, and the place after its last frame.
#[derive(Debug)]
pub(crate) struct LogEnd {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) header: SegmentHeader,
    pub(crate) length: u64,
    pub(crate) position: Position,
    /// What the log promises was durable.
    pub(crate) promised: Sequence,
}

/// A segment that was just made.
struct Made {
    file: Arc<dyn DiskFile>,
    length: u64,
    is_filled: bool,
    /// Whether of the reserve, or of its room.
    is_of_reserve: bool,
}

impl LogWriter {
    /// Continues a log, all of which is durable.
    pub(crate) fn resume(
        files: Arc<LogFiles>,
        spare: Arc<Spare>,
        reserve: Arc<Reserve>,
        options: WriterOptions,
        log: LogEnd,
    ) -> Self {
        let LogEnd { file, header, length, position, promised } = log;
        let segment = files.last().unwrap_or_else(|| unreachable!("a log has a segment"));
        assert_eq!(segment.first, header.first_sequence, "the last segment is continued");
        segment.start(Arc::clone(&file));
        segment.note_written(position.offset);
        let stated = if options.filling == Filling::None { options.segment_bytes } else { length };
        Self {
            files,
            spare,
            is_of_reserve: length == reserve.bytes(),
            reserve,
            options,
            file,
            segment,
            header,
            capacity: length.max(stated) / options.alignment * options.alignment,
            zeroed: position.offset,
            groups: 0,
            groups_start: position.offset,
            anchor_due: 0,
            position,
            durable: position.next.previous(),
            promised,
            is_dirty: false,
            synced_offset: position.offset,
            flush_due: position.offset + FLUSH_BYTES,
            rolls: 0,
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn segment(&self) -> Sequence {
        self.segment.first
    }

    pub(crate) fn durable(&self) -> Sequence {
        self.durable
    }

    /// How often a new segment was started.
    pub(crate) fn rolls(&self) -> u64 {
        self.rolls
    }

    /// Whether the active segment is more than half full, so that a spare will be wanted.
    pub(crate) fn wants_spare(&self) -> bool {
        self.options.filling != Filling::None && self.position.offset > self.capacity / 2 && !self.spare.is_ready()
    }

    /// How the room for the next segment is to be taken: as the groups in this one have it.
    pub(crate) fn spare_filling(&self) -> Filling {
        let is_small = self.position.offset - self.groups_start <= self.groups.saturating_mul(LARGE_BYTES);
        if self.options.zeroes_ahead && is_small { Filling::Zeros } else { Filling::Reserved }
    }

    /// Writes commits, in order; returns how many are written. Each has sequences that follow the one before.
    /// `before_roll` is called before a new segment is started.
    ///
    /// # Errors
    /// Beside the number of those that are written, why the next one is not.
    pub(crate) fn write<C: AsRef<Pending> + AsMut<Pending>>(
        &mut self,
        commits: &mut [C],
        now: Timestamp,
        before_roll: &dyn Fn(),
    ) -> (usize, Result<(), WriteError>) {
        let mut done = 0;
        while let Some(rest) = commits.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let fitting = self.fitting(rest);
            let outcome = match rest.get_mut(..fitting) {
                Some(batch) if fitting > 0 => self.write_batch(batch, now),
                _ => self.make_room(rest.first().map(AsRef::as_ref), now, before_roll),
            };
            if let Err(error) = outcome {
                return (done, Err(error));
            }
            done += fitting;
        }
        (done, Ok(()))
    }

    /// Makes room for the first of the commits, which does not fit into the active segment or may not be written there.
    fn make_room(&mut self, first: Option<&Pending>, now: Timestamp, before_roll: &dyn Fn()) -> Result<(), WriteError> {
        let Some(first) = first else { unreachable!("there is a commit to make room for") };
        if self.is_on_reserve() && !first.may_use_reserve {
            // First things first: what is left is kept until there is a reserve again.
            return self.reserve.make(self.files.disk.as_ref(), &self.files.directory).map_err(WriteError::Clean);
        }
        before_roll();
        self.roll(first.draft.bytes_max(), first.may_use_reserve, now)
    }

    /// Whether the reserve is being spent, so that only those who may use it are written.
    fn is_on_reserve(&self) -> bool {
        self.is_of_reserve && self.reserve.is_missing()
    }

    /// How many of the commits fit into the active segment, one after another.
    fn fitting<C: AsRef<Pending>>(&self, commits: &[C]) -> usize {
        if self.header.cut_bound < self.options.cut_bound {
            return 0;
        }
        let room = self.capacity.saturating_sub(self.position.offset);
        let is_on_reserve = self.is_on_reserve();
        let mut total = 0u64;
        let fits = |commit: &&Pending| {
            total = total.saturating_add(commit.draft.bytes_max());
            total <= room && (commit.may_use_reserve || !is_on_reserve)
        };
        commits.iter().map(AsRef::as_ref).take_while(fits).count()
    }

    fn write_batch<C: AsRef<Pending> + AsMut<Pending>>(
        &mut self,
        batch: &mut [C],
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let mut position = self.position;
        let last = batch.len() - 1;
        for (number, commit) in batch.iter_mut().map(AsMut::as_mut).enumerate() {
            assert_eq!(commit.first_sequence, position.next, "sequences are gapless");
            let time = commit.committed_at.unwrap_or(now);
            let is_kept = !sabotage::has(Defect::TimeRunsBackwards);
            position.timestamp = if is_kept { time.max(position.timestamp) } else { time };
            let alignment = if number == last { self.options.alignment } else { ALIGNMENT };
            let place = self.place(&position, alignment);
            commit.place = Some(FrameAt { segment: self.segment.first, offset: position.offset });
            let versions = commit.runs.iter().flat_map(|run| run.versions());
            let (bytes, checksum) = commit.draft.complete(place, versions);
            position.previous_frame = Some(offset_u32(position.offset));
            position.offset += to_u64(bytes.len());
            position.next = position.next.plus(to_u64(commit.draft.event_count()));
            position.chain = checksum;
        }
        assert!(position.offset <= self.capacity, "a batch fits its segment");
        self.zero_ahead(position.offset)?;
        self.is_dirty = true;
        self.groups += 1;
        let written = if let [commit] = &*batch {
            disk::write_all_at(self.file.as_ref(), &[commit.as_ref().draft.completed()], self.position.offset)
        } else {
            let parts: SmallVec<[&[u8]; 16]> = batch.iter().map(|commit| commit.as_ref().draft.completed()).collect();
            disk::write_all_at(self.file.as_ref(), &parts, self.position.offset)
        };
        written.map_err(|source| WriteError::fatal("write", self.segment.first, source))?;
        let padding = batch.iter().map(|commit| commit.as_ref().draft.padding_bytes()).sum();
        self.files.measures.wrote(position.offset - self.position.offset, padding);
        for commit in batch.iter().map(AsRef::as_ref) {
            let offset = commit.place.map_or(0, |place| place.offset);
            if offset >= self.anchor_due {
                self.segment.note_frame(commit.first_sequence, offset);
                self.anchor_due = offset + ANCHOR_EVERY_BYTES;
            }
        }
        self.segment.note_written(position.offset);
        self.position = position;
        self.promised = self.durable;
        Ok(())
    }

    /// Writes zeros behind a small group that is about to end at `end`. A sync of bytes that were reserved and never written
    /// has to convert their extents in the file system's journal; so that happens once for many groups. A large group pays
    /// for itself, and its bytes are not written twice.
    fn zero_ahead(&mut self, end: u64) -> Result<(), WriteError> {
        const AHEAD_BYTES: u64 = 256 * 1024;
        let is_small = end - self.position.offset < LARGE_BYTES;
        if !self.options.zeroes_ahead || !is_small || end <= self.zeroed {
            return Ok(());
        }
        let from = self.zeroed.max(self.position.offset);
        let to = (end + AHEAD_BYTES).min(self.capacity);
        self.is_dirty = true;
        roll::write_zeros(self.file.as_ref(), from, to)
            .map_err(|source| WriteError::fatal("write zeros to", self.segment.first, source))?;
        self.files.measures.zero_bytes.add_alone(to - from);
        self.zeroed = to;
        Ok(())
    }

    fn place(&self, position: &Position, alignment: u64) -> FramePlace {
        FramePlace {
            salt: self.segment.salt,
            offset: position.offset,
            first_sequence: position.next,
            durable_through: self.promise(position),
            timestamp: position.timestamp,
            chain: position.chain,
            alignment,
        }
    }

    /// What a frame at `position` says was durable before it.
    fn promise(&self, position: &Position) -> Sequence {
        if sabotage::has(Defect::ForgetDurableThrough) {
            Sequence::ZERO
        } else if sabotage::has(Defect::PromiseBeforeSync) {
            position.next.previous()
        } else {
            self.durable
        }
    }

    /// Gives an active segment without events room for a frame of `bytes`: a new one would have its name.
    fn grow(&mut self, bytes: u64, may_use_reserve: bool) -> Result<(), WriteError> {
        let length = (self.position.offset + bytes).next_multiple_of(self.options.alignment);
        let grow = || {
            let grown = self.file.allocate(length);
            grown.map_err(|source| LogFiles::io(self.segment.first, "take room for", source))
        };
        let mut grown = grow();
        if is_full(&grown) && may_use_reserve && self.reserve.give_up(self.files.disk.as_ref()) {
            grown = grow();
        }
        grown.map_err(WriteError::Clean)?;
        self.capacity = length;
        Ok(())
    }

    /// Starts the next segment, with room for a frame of `bytes`.
    fn roll(&mut self, bytes: u64, may_use_reserve: bool, now: Timestamp) -> Result<(), WriteError> {
        if self.position.next == self.header.first_sequence {
            return self.grow(bytes, may_use_reserve);
        }
        let _span = roll::span(&self.position);
        let frames_offset = frames_offset(self.options.alignment);
        let needed = (u64::from(frames_offset) + bytes).next_multiple_of(self.options.alignment.max(ALIGNMENT));
        let length = self.options.segment_bytes.max(needed);
        let room = self.spare.take(length).map_or_else(|| self.take_room(length), Ok);
        let (room, is_of_reserve) = match room {
            Err(error) if may_use_reserve && error.kind() == ErrorKind::StorageFull => {
                (self.reserve.take(needed).ok_or(WriteError::Clean(error))?, true)
            }
            room => (room.map_err(WriteError::Clean)?, false),
        };
        if !sabotage::has(Defect::SkipSegmentSyncAtRoll) {
            self.settle()?;
        }
        let header = SegmentHeader {
            frames_offset,
            store_id: self.files.store_id,
            first_sequence: self.position.next,
            ordinal: self.header.ordinal + 1,
            previous: self.header.first_sequence,
            chain: self.position.chain,
            created: if sabotage::has(Defect::TimeFromElsewhere) { SystemClock.now() } else { now },
            cut_bound: self.options.cut_bound,
        };
        let made = self.make_segment(room, &header, if may_use_reserve { needed } else { 0 }, is_of_reserve)?;
        let Made { file, length, is_filled, is_of_reserve } = made;
        self.files.push_active(header, Arc::clone(&file));
        self.segment = self.files.last().unwrap_or_else(|| unreachable!("a segment was added"));
        self.file = file;
        self.header = header;
        self.capacity = length / self.options.alignment * self.options.alignment;
        (self.position.offset, self.position.previous_frame) = (u64::from(frames_offset), None);
        self.zeroed = if is_filled { self.capacity } else { self.position.offset };
        (self.anchor_due, self.groups, self.groups_start) = (0, 0, self.position.offset);
        (self.synced_offset, self.flush_due) = (self.position.offset, self.position.offset + FLUSH_BYTES);
        self.promised = self.durable;
        self.rolls += 1;
        self.is_of_reserve = is_of_reserve;
        if is_of_reserve {
            self.reserve.note_gone();
            tracing::warn!(segment = %header.first_sequence, "the disk is full: the reserve is being spent");
        }
        Ok(())
    }

    /// Makes room a segment. Where the folder has no room for its name, what may use the reserve, and needs so much of it, gets
    /// the reserve's room for both.
    fn make_segment(
        &self,
        room: Room,
        header: &SegmentHeader,
        needed_of_reserve: u64,
        is_of_reserve: bool,
    ) -> Result<Made, WriteError> {
        let disk = self.files.disk.as_ref();
        let (length, is_filled) = (room.length(), room.is_filled());
        match room.into_segment(disk, &self.files.directory, header) {
            Ok(file) => Ok(Made { file, length, is_filled, is_of_reserve }),
            Err(Unnamed::Failed(error)) => Err(WriteError::Fatal(error)),
            Err(Unnamed::NoRoom(error)) => {
                // It was given up just now, or is.
                if is_of_reserve {
                    self.reserve.note_gone();
                }
                let is_free = is_of_reserve || (needed_of_reserve > 0 && self.reserve.give_up(disk));
                if !is_free {
                    return Err(WriteError::Clean(error));
                }
                let length = (self.reserve.bytes() / 2).max(needed_of_reserve);
                let room = self.take_room(length).map_err(WriteError::Clean)?;
                let file = room.into_segment(disk, &self.files.directory, header).map_err(|unnamed| match unnamed {
                    Unnamed::NoRoom(error) => WriteError::Clean(error),
                    Unnamed::Failed(error) => WriteError::Fatal(error),
                })?;
                Ok(Made { file, length, is_filled: false, is_of_reserve: true })
            }
        }
    }

    /// Room made now, because no spare is ready: it is reserved and not filled, for a commit waits for it.
    fn take_room(&self, length: u64) -> Result<Room> {
        let filling = if self.options.filling == Filling::None { Filling::None } else { Filling::Reserved };
        let name = format!("{}-next", segment::file_name(self.position.next));
        let mut room = Room::take(self.files.disk.as_ref(), &self.files.directory, &name, length, filling);
        // What is kept ready for later is worth less than this commit.
        if is_full(&room) && self.spare.give_up(self.files.disk.as_ref()) {
            room = Room::take(self.files.disk.as_ref(), &self.files.directory, &name, length, filling);
        }
        room
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// Fatal: the sync failed.
    pub(crate) fn sync(&mut self) -> Result<(), WriteError> {
        if self.is_dirty && !sabotage::has(Defect::AcknowledgeBeforeSync) {
            let outcome = self.files.measures.sync(|| self.file.sync_data());
            let outcome = if sabotage::has(Defect::RetryFailedSync) {
                outcome.or_else(|_| self.file.sync_data())
            } else {
                outcome
            };
            outcome.map_err(|source| WriteError::fatal("sync", self.segment.first, source))?;
            self.is_dirty = false;
        }
        self.synced_offset = self.position.offset;
        self.durable = self.position.next.previous();
        Ok(())
    }

    /// As [`sync`](Self::sync), twice: there are file systems where a sync reports a failed write one sync late. What a later open
    /// does not write again, because a successor or the index stands on it, is settled first.
    ///
    /// # Errors
    /// Fatal: a sync failed.
    pub(crate) fn settle(&mut self) -> Result<(), WriteError> {
        self.sync()?;
        if sabotage::has(Defect::SkipSecondSync) {
            return Ok(());
        }
        let outcome = self.files.measures.sync(|| self.file.sync_data());
        outcome.map_err(|source| WriteError::fatal("sync", self.segment.first, source))
    }

    /// What a sync beside the writer is to cover; `None` where nothing is unsynced.
    pub(crate) fn sync_ticket(&self) -> Option<SyncTicket> {
        let through = self.position.next.previous();
        (through > self.durable).then(|| SyncTicket {
            file: Arc::clone(&self.file),
            segment: self.segment.first,
            through,
            end: self.position.offset,
        })
    }

    /// Notes that the ticket's sync went through.
    pub(crate) fn synced(&mut self, ticket: &SyncTicket) {
        self.durable = self.durable.max(ticket.through);
        if ticket.segment == self.segment.first {
            self.synced_offset = self.synced_offset.max(ticket.end);
        }
        assert!(self.durable < self.position.next, "nothing is durable before it is written");
    }

    /// Whether so much was written since the last sync that one should be made beside the writer: the next segment waits until
    /// all of this one is synced, and then little is left. True once for each stretch.
    pub(crate) fn is_flush_due(&mut self) -> bool {
        let is_due = self.position.offset >= self.flush_due;
        if is_due {
            self.flush_due = self.position.offset + FLUSH_BYTES;
        }
        is_due
    }

    /// Whether there is something that such a sync is for.
    pub(crate) fn wants_flush(&self) -> bool {
        self.position.offset >= self.synced_offset + FLUSH_BYTES
    }

    /// Whether the log promises less than is durable.
    pub(crate) fn wants_mark(&self) -> bool {
        self.promised < self.durable
    }

    /// Writes a mark that says how far the log is durable, if there is room for one. It is not synced here.
    ///
    /// # Errors
    /// Fatal: the write failed.
    pub(crate) fn mark(&mut self, kind: FrameKind) -> Result<(), WriteError> {
        let place = self.place(&self.position, self.options.alignment);
        let (bytes, checksum) = frame::mark(kind, place);
        let end = self.position.offset + to_u64(bytes.len());
        if end > self.capacity {
            return Ok(());
        }
        self.is_dirty = true;
        disk::write_all_at(self.file.as_ref(), &[&bytes], self.position.offset)
            .map_err(|source| WriteError::fatal("write a mark to", self.segment.first, source))?;
        self.files.measures.wrote(to_u64(bytes.len()), to_u64(bytes.len() - HEADER_BYTES));
        self.position.previous_frame = Some(offset_u32(self.position.offset));
        self.position.offset = end;
        self.position.chain = checksum;
        self.promised = self.durable;
        Ok(())
    }
}

fn is_full<T>(result: &Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::StorageFull)
}

/// Where frames start in a segment.
pub(crate) fn frames_offset(alignment: u64) -> u32 {
    let offset =
        if alignment == SECTOR_BYTES { usize::try_from(SECTOR_BYTES).unwrap_or(4096) } else { segment::HEADER_BYTES };
    u32::try_from(offset).unwrap_or_else(|_| unreachable!("a header is small"))
}

const _: () = assert!(HEADER_BYTES < segment::HEADER_BYTES);
