//! Walking a segment frame by frame, and looking ahead where that ends.
//!
//! Nothing here changes anything, and nothing is decided: a scan tells what it met, the recovery plan decides.

use std::io;

use super::window::Window;
use crate::format::bytes::{end_of_content, is_zero};
use crate::format::checksum::Salt;
use crate::format::frame::{self, ALIGNMENT, FrameDefect, FrameHeader, FrameRef, HEADER_BYTES, to_u64};
use crate::sabotage::{self, Defect};
use crate::types::{Sequence, Timestamp};

/// A place between two frames, and what the next one must continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    /// The sequence that comes next.
    pub(crate) next: Sequence,
    /// The checksum of the frame before.
    pub(crate) chain: u32,
    /// The time of the commit before.
    pub(crate) timestamp: Timestamp,
    /// Where the frame before stands, if it is in this segment.
    pub(crate) previous_frame: Option<u32>,
}

/// An offset in a segment; limits keep segments below 4 GiB.
pub(crate) fn offset_u32(offset: u64) -> u32 {
    u32::try_from(offset).unwrap_or_else(|_| unreachable!("a segment is below 4 GiB: {offset}"))
}

const _: () = assert!(crate::limits::SEGMENT_BYTES_MAX + (crate::limits::COMMIT_BYTES_MAX as u64) < u32::MAX as u64);

/// Why a scan did not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// There is no room for another frame.
    Full,
    /// Zeros, where the next header would stand.
    Zeros,
    /// Something else stands there.
    Defect(FrameDefect),
    /// A sound frame that continues another one.
    Chain { expected: u32, found: u32 },
    /// A sound frame of another sequence.
    Sequence { found: Sequence },
    /// A sound frame that claims an earlier time.
    Time,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str("the end of the segment"),
            Self::Zeros => f.write_str("zeros"),
            Self::Defect(defect) => defect.fmt(f),
            Self::Chain { expected, found } => write!(f, "a frame that continues {found:08x} and not {expected:08x}"),
            Self::Sequence { found } => write!(f, "a frame of sequence {found}"),
            Self::Time => f.write_str("a frame with an earlier time than the one before"),
        }
    }
}

/// Told how many bytes a scan has read so far, now and then; its error ends the scan.
pub(crate) type Pace<'a> = &'a mut dyn FnMut(u64) -> io::Result<()>;

/// Walks one segment.
#[derive(Debug)]
pub(crate) struct Scanner {
    window: Window,
    salt: Salt,
    length: u64,
    position: Position,
}

/// What a step met.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// The next frame, checked in full.
    Frame(FrameRef<'a>),
    /// The end of what can be walked.
    Stop(Stop),
}

impl Scanner {
    /// A scan of a segment of `length` bytes from `position` on.
    pub(crate) fn new(window: Window, salt: Salt, length: u64, position: Position) -> Self {
        Self { window, salt, length, position }
    }

    /// Where it stands.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// How many bytes it has read.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.window.bytes_read()
    }

    /// The next frame, or why there is none.
    ///
    /// # Errors
    /// The operating system's, of a read.
    pub(crate) fn step(&mut self) -> io::Result<Step<'_>> {
        let Position { offset, next, chain, timestamp, .. } = self.position;
        let remaining = self.length.saturating_sub(offset);
        if remaining < to_u64(HEADER_BYTES) {
            return Ok(Step::Stop(Stop::Full));
        }
        let bytes = self.window.get(offset, HEADER_BYTES)?;
        if is_zero(bytes) {
            return Ok(Step::Stop(Stop::Zeros));
        }
        let header = match frame::read_header(bytes, self.salt, offset, remaining) {
            Ok(header) => header,
            Err(defect) => return Ok(Step::Stop(Stop::Defect(defect))),
        };
        if header.chain != chain {
            return Ok(Step::Stop(Stop::Chain { expected: chain, found: header.chain }));
        }
        if header.first_sequence != next {
            return Ok(Step::Stop(Stop::Sequence { found: header.first_sequence }));
        }
        if header.timestamp < timestamp {
            return Ok(Step::Stop(Stop::Time));
        }
        let total = header.total_bytes();
        let bytes = self.window.get(offset, usize::try_from(total).unwrap_or(usize::MAX))?;
        match FrameRef::read(header, bytes, self.salt, offset) {
            Ok(frame) => {
                self.position = Position {
                    offset: offset + total,
                    next: header.next_sequence(),
                    chain: header.checksum,
                    timestamp: header.timestamp,
                    previous_frame: Some(offset_u32(offset)),
                };
                Ok(Step::Frame(frame))
            }
            Err(defect) => Ok(Step::Stop(Stop::Defect(defect))),
        }
    }

    /// Looks at everything from where the scan stands to the end of the segment.
    ///
    /// # Errors
    /// The operating system's, of a read.
    pub(crate) fn look_ahead(&mut self) -> io::Result<Ahead> {
        self.look_ahead_at(&mut |_| Ok(()))
    }

    /// The same, at a pace.
    ///
    /// # Errors
    /// The operating system's, of a read, and those of `pace`.
    pub(crate) fn look_ahead_at(&mut self, pace: Pace<'_>) -> io::Result<Ahead> {
        const STRIDE_BYTES: usize = 64 * 1024;
        let mut ahead = Ahead { content_end: self.position.offset, promise: None };
        let mut offset = self.position.offset;
        if sabotage::has(Defect::StopLookingAhead) {
            return Ok(Ahead { content_end: self.length, promise: None });
        }
        while offset < self.length {
            let bytes = self.window.get(offset, STRIDE_BYTES + HEADER_BYTES)?;
            let stride = bytes.get(..STRIDE_BYTES).unwrap_or(bytes);
            if stride.is_empty() {
                break;
            }
            if !is_zero(stride) {
                ahead.content_end = offset + to_u64(end_of_content(stride));
                look_for_promise(bytes, stride.len(), offset, self.salt, self.length, &mut ahead.promise);
            }
            offset += to_u64(stride.len());
            pace(self.bytes_read())?;
        }
        Ok(ahead)
    }
}

impl Scanner {
    /// The place after the frame at `offset`, whatever stands before it; or why there is no sound frame.
    ///
    /// # Errors
    /// The operating system's, of a read.
    pub(crate) fn frame_at(window: Window, salt: Salt, length: u64, offset: u64) -> io::Result<Result<Position, Stop>> {
        let none =
            Position { offset, next: Sequence::ZERO, chain: 0, timestamp: Timestamp::EPOCH, previous_frame: None };
        let mut scanner = Self::new(window, salt, length, none);
        let bytes = scanner.window.get(offset, HEADER_BYTES)?;
        match frame::read_header(bytes, salt, offset, length.saturating_sub(offset)) {
            _ if is_zero(bytes) => return Ok(Err(Stop::Zeros)),
            Err(defect) => return Ok(Err(Stop::Defect(defect))),
            Ok(header) => {
                let (next, chain, timestamp) = (header.first_sequence, header.chain, header.timestamp);
                scanner.position = Position { next, chain, timestamp, ..none };
            }
        }
        Ok(match scanner.step()? {
            Step::Frame(_) => Ok(scanner.position),
            Step::Stop(stop) => Err(stop),
        })
    }

    /// The next sound header after `offset` in the segment, as a position to go on from; what lies between is passed over.
    ///
    /// # Errors
    /// The operating system's, of a read.
    pub(crate) fn next_sound(&mut self, offset: u64) -> io::Result<Option<Position>> {
        self.next_sound_at(offset, &mut |_| Ok(()))
    }

    /// The same, at a pace.
    ///
    /// # Errors
    /// The operating system's, of a read, and those of `pace`.
    pub(crate) fn next_sound_at(&mut self, offset: u64, pace: Pace<'_>) -> io::Result<Option<Position>> {
        let mut offset = offset + ALIGNMENT;
        let mut told = 0;
        while offset + to_u64(HEADER_BYTES) <= self.length {
            let bytes = self.window.get(offset, HEADER_BYTES)?;
            let candidate =
                if frame::may_start(bytes) { sound_header(bytes, self.salt, offset, self.length) } else { None };
            if let Some(header) = candidate.filter(|header| header.first_sequence >= self.position.next) {
                let timestamp = self.position.timestamp.min(header.timestamp);
                let (next, chain) = (header.first_sequence, header.chain);
                return Ok(Some(Position { offset, next, chain, timestamp, previous_frame: None }));
            }
            if self.bytes_read() != told {
                told = self.bytes_read();
                pace(told)?;
            }
            offset += ALIGNMENT;
        }
        Ok(None)
    }

    /// Goes on from another place.
    pub(crate) fn resume(&mut self, position: Position) {
        assert!(position.offset > self.position.offset, "a scan goes forwards");
        self.position = position;
    }
}

/// What lies beyond the place where a scan stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// Just past the last byte that is not zero.
    pub(crate) content_end: u64,
    /// The header that promises most: where it stands, and which sequence it says was synced.
    pub(crate) promise: Option<(u64, Sequence)>,
}

fn look_for_promise(
    bytes: &[u8],
    within: usize,
    start: u64,
    salt: Salt,
    length: u64,
    promise: &mut Option<(u64, Sequence)>,
) {
    let step = usize::try_from(ALIGNMENT).unwrap_or(8);
    for place in (0..within).step_by(step) {
        let candidate = bytes.get(place..).unwrap_or_default();
        if !frame::may_start(candidate) {
            continue;
        }
        let offset = start + to_u64(place);
        let Some(header) = sound_header(candidate, salt, offset, length) else { continue };
        if promise.is_none_or(|(_, through)| header.durable_through > through) {
            *promise = Some((offset, header.durable_through));
        }
    }
}

/// A promise counts when the header's own checksum holds, whatever has become of its body.
pub(crate) fn sound_header(bytes: &[u8], salt: Salt, offset: u64, length: u64) -> Option<FrameHeader> {
    frame::read_header(bytes, salt, offset, length.checked_sub(offset)?).ok()
}
