//! Reading the whole log and checking all that it says about itself.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{FindingKind, Pace, VerifyReport};
use crate::error::Result;
use crate::format::frame::FrameRef;
use crate::format::merkle::{self, MerkleTree};
use crate::format::seal::{self, Anchor, Seal};
use crate::format::segment::SegmentHeader;
use crate::index::{KeyEntry, Place, Watermark};
use crate::log::files::{self, LogFiles, Segment, note_anchor};
use crate::log::scan::offset_u32;
use crate::log::scan::{Position, Scanner, Step, Stop};
use crate::log::window::{Source, Window};
use crate::types::{Sequence, StreamId, Timestamp, Version};

/// What the log says of one stream: enough to compare it with the index without keeping every place.
#[derive(Debug, Default)]
pub(super) struct StreamCheck {
    pub(super) version: Version,
    pub(super) sequence: Sequence,
    pub(super) places: PlacesHash,
}

/// What the log says of one correlation id.
#[derive(Debug, Default)]
pub(super) struct CorrelationCheck {
    pub(super) sequence: Sequence,
    pub(super) places: PlacesHash,
}

/// A running hash of places; equal places in equal order give equal hashes.
#[derive(Clone, Debug, Default)]
pub(super) struct PlacesHash(DefaultHasher);

impl PlacesHash {
    pub(super) fn add(&mut self, version: Version, place: &Place) {
        (version, place).hash(&mut self.0);
    }

    pub(super) fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// The check of a log.
#[derive(Debug)]
pub(super) struct LogCheck {
    /// Beside a writer: what it has synced.
    bound: Sequence,
    pub(super) promised: Sequence,
    pub(super) streams: HashMap<StreamId, StreamCheck>,
    pub(super) keys: Vec<(String, KeyEntry, Sequence)>,
    pub(super) correlations: HashMap<String, CorrelationCheck>,
    /// The end of the segment before.
    joint: Option<(Sequence, Position)>,
    seal: Option<merkle::Hash>,
}

/// What is collected of one segment for its seal.
#[derive(Debug, Default)]
struct SealCheck {
    tree: MerkleTree,
    commits: u64,
    time_first: Timestamp,
    anchors: Vec<Anchor>,
    is_whole: bool,
}

impl LogCheck {
    pub(super) fn new(bound: Sequence) -> Self {
        Self {
            bound,
            promised: Sequence::ZERO,
            streams: HashMap::new(),
            keys: Vec::new(),
            correlations: HashMap::new(),
            joint: None,
            seal: None,
        }
    }

    pub(super) fn run(&mut self, files: &Arc<LogFiles>, report: &mut VerifyReport, pace: &mut Pace<'_>) -> Result<()> {
        let segments = files.all();
        for (number, segment) in segments.iter().enumerate() {
            let is_last = number + 1 == segments.len();
            let bytes_before = report.bytes;
            if let Err(error) = self.segment(files, segment, is_last, report, pace) {
                self.joint = None;
                self.seal = None;
                report.take(FindingKind::Header, error)?;
            }
            pace.end_part(report.bytes - bytes_before)?;
        }
        Ok(())
    }

    /// Whether the log, which was found sound, has frames behind what an index covers.
    pub(super) fn goes_beyond(&self, mark: &Watermark) -> bool {
        self.joint.is_some_and(|(segment, end)| (segment, end.offset) > (mark.segment, mark.offset))
    }

    fn segment(
        &mut self,
        files: &Arc<LogFiles>,
        segment: &Segment,
        is_last: bool,
        report: &mut VerifyReport,
        pace: &mut Pace<'_>,
    ) -> Result<()> {
        let label = LogFiles::label(segment.first);
        let header = files.header(segment)?;
        self.check_joint(&header, report);
        let file = files.open(segment.first)?;
        let length = file.length().map_err(|source| LogFiles::io(segment.first, "look at", source))?;
        report.bytes += length;
        let start = Position {
            offset: u64::from(header.frames_offset),
            next: segment.first,
            chain: header.chain,
            timestamp: self.joint.map_or(Timestamp::EPOCH, |(_, position)| position.timestamp),
            previous_frame: None,
        };
        let mut scanner = Scanner::new(Window::new(Source::File(file)), segment.salt, length, start);
        let mut check = SealCheck { is_whole: true, ..SealCheck::default() };
        loop {
            let stop = self.walk(&mut scanner, segment, &mut check, (report, pace))?;
            let position = scanner.position();
            if position.next > self.bound {
                // What lies beyond is being written.
                self.joint = None;
                return Ok(());
            }
            let io = |source| LogFiles::io(segment.first, "read", source);
            let ahead = scanner.look_ahead().map_err(io)?;
            if ahead.content_end <= position.offset {
                break;
            }
            let resume = scanner.next_sound(position.offset).map_err(io)?;
            let is_torn_tail = is_last && ahead.promise.is_none_or(|(_, through)| through < position.next);
            if is_torn_tail {
                // What a crash left, and the next open cuts; or what is being written.
                break;
            }
            check.is_whole = false;
            let kind = match stop {
                Stop::Chain { .. } | Stop::Sequence { .. } | Stop::Time => FindingKind::Chain,
                Stop::Full | Stop::Zeros if resume.is_none() => FindingKind::Padding,
                _ => FindingKind::Frame,
            };
            report.find(
                kind,
                &label,
                Some(position.offset),
                position.next,
                format!("expected the next frame, found {stop}"),
            );
            match resume {
                Some(position) => scanner.resume(position),
                None => break,
            }
        }
        self.joint = Some((segment.first, scanner.position()));
        if !is_last {
            self.check_seal(files, segment, &check, scanner.position(), report);
        }
        Ok(())
    }

    /// A segment continues the one before.
    fn check_joint(&self, header: &SegmentHeader, report: &mut VerifyReport) {
        let Some((previous, end)) = self.joint else { return };
        if header.previous == previous && header.first_sequence == end.next && header.chain == end.chain {
            return;
        }
        let detail = format!(
            "expected to continue sequence {} of segment {previous} with chain {:08x}, found sequence {} of segment {} with chain {:08x}",
            end.next, end.chain, header.first_sequence, header.previous, header.chain
        );
        report.find(FindingKind::Chain, LogFiles::label(header.first_sequence), Some(0), header.first_sequence, detail);
    }

    fn walk(
        &mut self,
        scanner: &mut Scanner,
        segment: &Segment,
        check: &mut SealCheck,
        (report, pace): (&mut VerifyReport, &mut Pace<'_>),
    ) -> Result<Stop> {
        loop {
            if scanner.position().next > self.bound {
                return Ok(Stop::Full);
            }
            match scanner.step().map_err(|source| LogFiles::io(segment.first, "read", source))? {
                Step::Stop(stop) => return Ok(stop),
                Step::Frame(frame) => {
                    pace.at(frame.offset)?;
                    self.frame(&frame, check, report);
                }
            }
        }
    }

    fn frame(&mut self, frame: &FrameRef<'_>, check: &mut SealCheck, report: &mut VerifyReport) {
        self.promised = self.promised.max(frame.header.durable_through);
        if frame.header.event_count == 0 {
            return;
        }
        note_anchor(&mut check.anchors, frame.header.first_sequence, frame.offset);
        if check.commits == 0 {
            check.time_first = frame.header.timestamp;
        }
        check.commits += 1;
        // The scanner has checked every record of the frame.
        for placed in frame.records().into_iter().flatten().flatten() {
            seal::add_leaf(&mut check.tree, placed.sequence, frame.header.timestamp, placed.record.content);
            report.events += 1;
            report.last_sequence = placed.sequence;
            if !placed.record.is_well_formed() {
                let detail = "expected an event, found a record whose checksum fits and whose content does not";
                let label = LogFiles::label(frame.segment());
                report.find(FindingKind::Frame, label, Some(placed.offset), placed.sequence, detail);
            }
            let place = Place {
                sequence: placed.sequence,
                segment: frame.segment(),
                frame_offset: offset_u32(frame.offset),
                record_offset: offset_u32(placed.offset),
            };
            self.record(placed.record.stream, placed.record.version, &place, report);
            if let Some(correlation_id) = placed.record.correlation_id() {
                self.record_correlation(correlation_id, &place);
            }
        }
        if let Ok(Some((key, content_hash))) = frame.key() {
            let entry = KeyEntry { content_hash, segment: frame.segment(), frame_offset: offset_u32(frame.offset) };
            self.keys.push((key.to_owned(), entry, frame.header.last_sequence()));
        }
    }

    fn record(&mut self, stream: &str, version: Version, place: &Place, report: &mut VerifyReport) {
        let has_gaps = !report.findings.is_empty();
        let known = match self.streams.get_mut(stream) {
            Some(known) => known,
            None => match StreamId::new(stream) {
                Ok(name) => self.streams.entry(name).or_default(),
                // Not well formed, which is found already.
                Err(_) => return,
            },
        };
        // After damage, versions are missing, which is the same finding.
        if version != known.version.next() && !has_gaps {
            let detail = format!("expected version {} of stream {stream}, found {version}", known.version.next());
            let label = LogFiles::label(place.segment);
            report.find(FindingKind::Version, label, Some(u64::from(place.record_offset)), place.sequence, detail);
        }
        known.version = version;
        known.sequence = place.sequence;
        known.places.add(version, place);
    }

    fn record_correlation(&mut self, correlation_id: &str, place: &Place) {
        let known = match self.correlations.get_mut(correlation_id) {
            Some(known) => known,
            None => self.correlations.entry(correlation_id.to_owned()).or_default(),
        };
        known.sequence = place.sequence;
        known.places.add(Version::ZERO, place);
    }

    /// A seal is what the segment gives, and names the seal before. A missing one is no finding: it is made again.
    fn check_seal(
        &mut self,
        files: &LogFiles,
        segment: &Segment,
        check: &SealCheck,
        end: Position,
        report: &mut VerifyReport,
    ) {
        let previous = std::mem::take(&mut self.seal);
        let name = crate::format::segment::seal_name(segment.first);
        let label = format!("log/{name}");
        let bytes = match files::read_whole(files.disk.as_ref(), &files.directory.join(&name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                report.find(FindingKind::Read, label, None, segment.first, format!("it cannot be read: {error}"));
                return;
            }
        };
        let Some((seal, digest)) = Seal::decode(&bytes, files.store_id, segment.first) else {
            report.find(FindingKind::Seal, label, None, segment.first, "expected a seal, found one whose digest fails");
            return;
        };
        self.seal = Some(digest);
        let expected = Seal {
            store_id: files.store_id,
            first_sequence: segment.first,
            last_sequence: end.next.previous(),
            end_offset: end.offset,
            commits: check.commits,
            time_first: check.time_first,
            time_last: end.timestamp,
            chain: end.chain,
            root: check.tree.root(),
            previous: previous.unwrap_or(seal.previous),
            anchors: check.anchors.clone(),
        };
        if check.is_whole && seal != expected {
            let what = if seal.root == expected.root { "other numbers" } else { "another Merkle root" };
            report.find(
                FindingKind::Seal,
                label,
                None,
                segment.first,
                format!("expected the seal of this segment, found one with {what}"),
            );
        }
    }
}
