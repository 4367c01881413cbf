//! The log's files: which segments there are, and how to read each.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::archived::{ArchivedFile, Archives};
use super::recent::Recent;
use super::window::{Source, Window};
use crate::disk::{self, Disk, DiskFile, GrowingMapping, Mapping, OpenMode};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::format::bytes;
use crate::format::checksum::Salt;
use crate::format::frame::to_u64;
use crate::format::merkle::Hash;
use crate::format::seal::{Anchor, Seal};
use crate::format::segment::{self, HEADER_BYTES, HeaderDefect, SegmentHeader};
use crate::limits;
use crate::measure::LogMeasures;
use crate::sabotage::{self, Defect};
use crate::sync::leaf::AtomicU64;
use crate::sync::{Mutex, Ordering, RwLock};
use crate::types::{Sequence, StoreId};

/// One segment of the log.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its first sequence, which names it.
    pub(crate) first: Sequence,
    pub(crate) salt: Salt,
    header: OnceLock<SegmentHeader>,
    anchors: RwLock<Option<Arc<Vec<Anchor>>>>,
    /// While it is written to: its file, and anchors that grow.
    active: RwLock<Option<Active>>,
    /// Up to where it is written for good.
    written: Arc<AtomicU64>,
    /// Made by the first who reads it while it is written to.
    growing: Mutex<Option<GrowingMapping>>,
}

#[derive(Debug)]
struct Active {
    file: Arc<dyn DiskFile>,
    anchors: Vec<Anchor>,
}

/// Where a segment's bytes are.
#[derive(Debug)]
enum Located {
    Plain(Arc<dyn DiskFile>),
    Archived(Arc<ArchivedFile>),
}

/// All segments of a log, oldest first; the last one is active.
#[derive(Debug)]
pub(crate) struct LogFiles {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    pub(crate) store_id: StoreId,
    segments: RwLock<Vec<Arc<Segment>>>,
    /// The mappings used last.
    maps: Mutex<Recent<Sequence, Mapping>>,
    archives: Archives,
    /// Finished segments that have no seal.
    unsealed: Mutex<BTreeSet<Sequence>>,
    /// What is counted of the store that has these files open.
    pub(crate) measures: LogMeasures,
}

impl LogFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: PathBuf, store_id: StoreId, firsts: &[Sequence]) -> Self {
        assert!(firsts.is_sorted_by(|a, b| a < b), "segments are told in order");
        let segments = firsts.iter().map(|first| Arc::new(Segment::new(store_id, *first))).collect();
        Self {
            disk,
            directory,
            store_id,
            segments: RwLock::new(segments),
            maps: Mutex::new(Recent::new(limits::MAPS_MAX)),
            archives: Archives::default(),
            unsealed: Mutex::default(),
            measures: LogMeasures::default(),
        }
    }

    /// Adds the segment that is written to from now on; the one before is finished.
    pub(crate) fn push_active(&self, header: SegmentHeader, file: Arc<dyn DiskFile>) {
        let segment = Segment::new(self.store_id, header.first_sequence);
        let _ = segment.header.set(header);
        segment.start(file);
        let mut segments = self.segments.write();
        if let Some(last) = segments.last() {
            assert!(last.first < header.first_sequence, "segments are added in order");
            last.finish();
            self.unsealed.lock().insert(last.first);
        }
        segments.push(Arc::new(segment));
        self.measures.rolls.add(1);
    }

    /// Notes which finished segments have no seal, from the seals that were found.
    pub(crate) fn note_seals(&self, seals: &[Sequence]) {
        let segments = self.segments.read();
        let finished = segments.split_last().map_or(&[][..], |(_, finished)| finished);
        let missing = finished.iter().map(|segment| segment.first).filter(|first| seals.binary_search(first).is_err());
        self.unsealed.lock().extend(missing);
    }

    /// The oldest finished segment that has no seal.
    pub(crate) fn next_unsealed(&self) -> Option<Sequence> {
        self.unsealed.lock().first().copied()
    }

    /// The segment has its seal.
    pub(crate) fn sealed(&self, first: Sequence) {
        self.unsealed.lock().remove(&first);
        let is_mapped = self.maps.lock().has(&first);
        if !is_mapped {
            self.forget_anchors(first);
        }
    }

    /// Keeps at most so many finished segments mapped.
    pub(crate) fn bound_maps(&self, segments_max: usize) {
        self.maps.lock().bound(segments_max.max(1));
    }

    /// Who looks for an anchor next reads them from the seal: they are a thousandth of the log, which memory must not grow with.
    fn forget_anchors(&self, first: Sequence) {
        if let Some(segment) = self.named(first) {
            *segment.anchors.write() = None;
        }
    }

    /// The segment's seal turned out to be of no use.
    pub(crate) fn unseal(&self, first: Sequence) {
        self.unsealed.lock().insert(first);
    }

    /// The segment cannot be sealed, and those after it not either, as long as this store is open.
    pub(crate) fn skip_seal(&self, first: Sequence) {
        self.unsealed.lock().retain(|other| *other < first);
    }

    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.segments.read().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.segments.read().len()
    }

    pub(crate) fn last(&self) -> Option<Arc<Segment>> {
        self.segments.read().last().cloned()
    }

    /// The segment whose name is `first`.
    pub(crate) fn named(&self, first: Sequence) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let at = segments.binary_search_by_key(&first, |segment| segment.first).ok()?;
        segments.get(at).cloned()
    }

    /// The segment that holds `sequence`, and the first sequence of the one after it.
    pub(crate) fn holding(&self, sequence: Sequence) -> Option<(Arc<Segment>, Option<Sequence>)> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.first <= sequence);
        let segment = segments.get(after.checked_sub(1)?)?.clone();
        Some((segment, segments.get(after).map(|next| next.first)))
    }

    /// The segment that follows the one named `first`.
    pub(crate) fn following(&self, first: Sequence) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.first <= first);
        segments.get(after).cloned()
    }

    pub(crate) fn path(&self, first: Sequence) -> PathBuf {
        self.directory.join(segment::file_name(first))
    }

    /// The file as it is named in reports.
    pub(crate) fn label(first: Sequence) -> String {
        format!("log/{}", segment::file_name(first))
    }

    /// A segment's bytes: mapped where it is finished, decompressed where it is archived.
    ///
    /// # Errors
    /// `Io`: it cannot be opened or mapped, or its archive is not at hand. `Corrupt`: it is not there, or its archive is damaged.
    /// `UnsupportedFormat`: it is archived, and this program was built without archives.
    pub(crate) fn source(&self, segment: &Segment) -> Result<Source> {
        let failed = |source| Self::io(segment.first, "map", source);
        if let Some(active) = &*segment.active.read() {
            let file = Arc::clone(&active.file);
            return Ok(match segment.growing(&file).map_err(failed)? {
                Some(mapping) => Source::Growing(mapping, file),
                None => Source::File(file),
            });
        }
        if let Some(mapping) = self.maps.lock().get(&segment.first) {
            return Ok(Source::Map(mapping));
        }
        if let Some(archived) = self.archives.known(segment.first) {
            return Ok(Source::File(archived));
        }
        // What was mapped while it grew has its pages in place.
        let grown = segment.growing.lock().take().and_then(GrowingMapping::finished);
        let mapping = match grown {
            Some(grown) => grown,
            None => match self.locate(segment.first)?.ok_or_else(|| missing(segment.first))? {
                Located::Plain(file) => file.map().map_err(failed)?,
                Located::Archived(file) => return Ok(Source::File(file)),
            },
        };
        let evicted = self.maps.lock().put(segment.first, mapping.clone());
        evicted.into_iter().for_each(|first| self.forget_anchors(first));
        Ok(Source::Map(mapping))
    }

    /// A segment's file, for positioned reads; of one that is archived, what stands for it.
    ///
    /// # Errors
    /// As [`source`](Self::source).
    pub(crate) fn open(&self, first: Sequence) -> Result<Arc<dyn DiskFile>> {
        let opened = self.locate(first)?.map(Located::into_file).ok_or_else(|| missing(first));
        if sabotage::has(Defect::LeakFileHandles) {
            std::mem::forget(opened.as_ref().map(Arc::clone));
        }
        opened
    }

    /// Where a segment's bytes are; `None` where neither its file nor its stub is there.
    fn locate(&self, first: Sequence) -> Result<Option<Located>> {
        // One that is brought back meanwhile has its file before its stub goes.
        for _ in 0..2 {
            match self.disk.open(&self.path(first), OpenMode::Read) {
                Ok(file) => return Ok(Some(Located::Plain(file))),
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Self::io(first, "open", source)),
            }
            if let Some(file) = self.archives.find(self.disk.as_ref(), &self.directory, self.store_id, first)? {
                return Ok(Some(Located::Archived(file)));
            }
        }
        Ok(None)
    }

    /// Lets go of a segment's mapping, so that its room is given back when its file is removed and nobody reads it.
    pub(crate) fn forget_mapping(&self, first: Sequence) {
        self.maps.lock().remove(&first);
    }

    /// A segment's file: the open one of a segment that is written to, else a handle of its own.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn file(&self, segment: &Segment) -> Result<Arc<dyn DiskFile>> {
        let open = segment.active.read().as_ref().map(|active| Arc::clone(&active.file));
        open.map_or_else(|| self.open(segment.first), Ok)
    }

    /// Looks whether another process has made the segment that begins with `first`, and adds it then: the one before it is
    /// finished. A segment's name is that of its first sequence, so nothing is listed.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub(crate) fn find_successor(&self, first: Sequence) -> Result<bool> {
        // A reader that is far behind may find it archived by now.
        let Some(file) = self.locate(first)?.map(Located::into_file) else { return Ok(false) };
        let header = read_header(file.as_ref(), self.store_id, first)?;
        self.push_active(header, file);
        Ok(true)
    }

    /// Opens the last segment anew: another process that opened the store may have put a copy in its place.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn reopen_last(&self) -> Result<()> {
        let Some(last) = self.last() else { return Ok(()) };
        let file = self.open(last.first)?;
        if let Some(active) = &mut *last.active.write() {
            active.file = file;
        }
        Ok(())
    }

    pub(crate) fn io(first: Sequence, what: &str, source: io::Error) -> Error {
        Error::from_io(format!("{what} {}", Self::label(first)), source)
    }

    /// As [`io`](Self::io), for a write or a sync that failed.
    pub(crate) fn failed_write(first: Sequence, what: &str, source: io::Error) -> Error {
        Error::from_failed_write(format!("{what} {}", Self::label(first)), source)
    }

    /// A segment's header, read once.
    ///
    /// # Errors
    /// `Corrupt`, `UnsupportedFormat`, `Io`.
    pub(crate) fn header(&self, segment: &Segment) -> Result<SegmentHeader> {
        if let Some(header) = segment.header.get() {
            return Ok(*header);
        }
        let header = read_header(self.open(segment.first)?.as_ref(), self.store_id, segment.first)?;
        let _ = segment.header.set(header);
        Ok(header)
    }

    /// The last anchor at or before `sequence`.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub(crate) fn anchor(&self, segment: &Segment, sequence: Sequence) -> Result<Anchor> {
        assert!(segment.first <= sequence, "the segment holds the sequence");
        let find = |anchors: &[Anchor]| {
            let after = anchors.partition_point(|anchor| anchor.sequence <= sequence);
            after.checked_sub(1).and_then(|at| anchors.get(at)).copied()
        };
        if let Some(active) = &*segment.active.read() {
            if let Some(anchor) = find(&active.anchors) {
                return Ok(anchor);
            }
        } else if let Some(anchor) = self.finished_anchors(segment).and_then(|anchors| find(&anchors)) {
            return Ok(anchor);
        }
        Ok(Anchor { sequence: segment.first, offset: self.header(segment)?.frames_offset })
    }

    /// Without a seal there are none, and a look-up walks from the segment's start.
    fn finished_anchors(&self, segment: &Segment) -> Option<Arc<Vec<Anchor>>> {
        if let Some(anchors) = &*segment.anchors.read() {
            return Some(Arc::clone(anchors));
        }
        let (seal, _) = self.read_seal(segment.first)?;
        let anchors = Arc::new(seal.anchors);
        *segment.anchors.write() = Some(Arc::clone(&anchors));
        Some(anchors)
    }

    /// A segment's seal and its digest; `None` where it is missing or damaged, which is no loss.
    pub(crate) fn read_seal(&self, first: Sequence) -> Option<(Seal, Hash)> {
        let bytes = read_whole(self.disk.as_ref(), &self.directory.join(segment::seal_name(first))).ok()?;
        Seal::decode(&bytes, self.store_id, first)
    }

    /// A window on a segment.
    ///
    /// # Errors
    /// As [`source`](Self::source).
    pub(crate) fn window(&self, segment: &Segment) -> Result<Window> {
        Ok(Window::new(self.source(segment)?))
    }
}

impl Located {
    fn into_file(self) -> Arc<dyn DiskFile> {
        match self {
            Self::Plain(file) => file,
            Self::Archived(file) => file,
        }
    }
}

impl Segment {
    fn new(store_id: StoreId, first: Sequence) -> Self {
        Self {
            first,
            salt: Salt::new(store_id, first),
            header: OnceLock::new(),
            anchors: RwLock::new(None),
            active: RwLock::new(None),
            written: Arc::default(),
            growing: Mutex::new(None),
        }
    }

    /// Its mapping while it is written to, once there is something to read.
    fn growing(&self, file: &Arc<dyn DiskFile>) -> io::Result<Option<GrowingMapping>> {
        let mut growing = self.growing.lock();
        if growing.is_none() && self.written.load(Ordering::Acquire) > 0 {
            *growing = file.map_written(&self.written)?;
        }
        Ok(growing.clone())
    }

    /// From now on it is written to.
    pub(crate) fn start(&self, file: Arc<dyn DiskFile>) {
        *self.active.write() = Some(Active { file, anchors: Vec::new() });
    }

    /// Notes a frame that was written, if it is far enough from the last anchor.
    pub(crate) fn note_frame(&self, sequence: Sequence, offset: u64) {
        if let Some(active) = &mut *self.active.write() {
            note_anchor(&mut active.anchors, sequence, offset);
        }
    }

    /// Notes anchors that a walk passed between two that were known: a segment that was opened again has none at first. They are
    /// of frames whose headers were sound, so the next walk is short.
    pub(crate) fn note_passed(&self, passed: &[Anchor]) {
        let (Some(first), Some(last)) = (passed.first(), passed.last()) else { return };
        if let Some(active) = &mut *self.active.write() {
            // Another reader may have passed them meanwhile.
            let from = active.anchors.partition_point(|anchor| anchor.sequence < first.sequence);
            let to = active.anchors.partition_point(|anchor| anchor.sequence <= last.sequence);
            active.anchors.splice(from..to, passed.iter().copied());
        }
    }

    /// Notes that nothing before `end` is written again: a reader may take it from memory.
    pub(crate) fn note_written(&self, end: u64) {
        // Only who holds the writer's lock notes it.
        assert!(self.written.load(Ordering::Relaxed) <= end, "what is written stays");
        self.written.store(end, Ordering::Release);
    }

    fn finish(&self) {
        if let Some(active) = self.active.write().take() {
            *self.anchors.write() = Some(Arc::new(active.anchors));
        }
    }
}

/// Adds an anchor where the last one is far enough back.
pub(crate) fn note_anchor(anchors: &mut Vec<Anchor>, sequence: Sequence, offset: u64) {
    let is_due =
        anchors.last().is_none_or(|last| offset >= u64::from(last.offset) + crate::format::seal::ANCHOR_EVERY_BYTES);
    if let (true, Ok(offset)) = (is_due, u32::try_from(offset)) {
        anchors.push(Anchor { sequence, offset });
    }
}

/// Reads and checks the header of the segment named `first`.
///
/// # Errors
/// `Corrupt`, `UnsupportedFormat`, `Io`.
pub(crate) fn read_header(file: &dyn DiskFile, store_id: StoreId, first: Sequence) -> Result<SegmentHeader> {
    let mut bytes = vec![0; HEADER_BYTES];
    let read = disk::read_up_to(file, &mut bytes, 0).map_err(|source| LogFiles::io(first, "read", source))?;
    bytes.truncate(read);
    let header = SegmentHeader::decode(&bytes, store_id, first).map_err(|defect| {
        let found = match defect {
            HeaderDefect::Newer(version) => {
                let text = format!(
                    "{} has format {version}, this program knows up to {}",
                    LogFiles::label(first),
                    crate::format::FORMAT_VERSION
                );
                return Error::new(ErrorKind::UnsupportedFormat, text);
            }
            HeaderDefect::NoSegment => "something else",
            HeaderDefect::Checksum => "a header whose checksum fails",
            HeaderDefect::Fields => "a header with fields out of range",
        };
        corrupt(first, 0, first, "the header of this segment of this store", found)
    })?;
    check_gap(file, &header)?;
    Ok(header)
}

/// Between a header and the first frame of a segment whose groups are aligned to sectors there are zeros, all of them.
fn check_gap(file: &dyn DiskFile, header: &SegmentHeader) -> Result<()> {
    let first = header.first_sequence;
    let mut gap = vec![0; bytes::index(header.frames_offset).saturating_sub(HEADER_BYTES)];
    let start = to_u64(HEADER_BYTES);
    let read = disk::read_up_to(file, &mut gap, start).map_err(|source| LogFiles::io(first, "read", source))?;
    if read < gap.len() {
        return Err(corrupt(first, start + to_u64(read), first, "zeros up to the first frame", "the end of the file"));
    }
    match bytes::end_of_content(&gap) {
        0 => Ok(()),
        end => Err(corrupt(first, start + to_u64(end - 1), first, "zeros up to the first frame", "something else")),
    }
}

pub(crate) fn corrupt(
    segment: Sequence,
    offset: u64,
    sequence: Sequence,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Error {
    Error::corrupt(Corruption {
        file: LogFiles::label(segment),
        offset: Some(offset),
        sequence: Some(sequence),
        expected: expected.into(),
        found: found.into(),
    })
}

/// The error for a segment that is not there.
pub(crate) fn missing(first: Sequence) -> Error {
    Error::corrupt(Corruption {
        file: LogFiles::label(first),
        offset: None,
        sequence: Some(first),
        expected: "a segment of the log".into(),
        found: "no such file".into(),
    })
}

/// A small file's bytes.
///
/// # Errors
/// The operating system's.
pub(crate) fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.length()?).map_err(io::Error::other)?];
    disk::read_exact_at(file.as_ref(), &mut bytes, 0)?;
    Ok(bytes)
}
