//! Torn tail or damage: the decision, as a table.
//!
//! A scan walked the last segment and stopped. Either the log ends there, or something that was being written when the
//! power went is in the way, or something that had been durable is damaged or gone. Only the second may be cut.

use crate::log::scan::Stop;
use crate::sabotage::{self, Defect};
use crate::types::Sequence;

/// All that is known about the place where the scan of the last segment stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    /// The sequence that would come next.
    pub(crate) expected: Sequence,
    /// What stands there.
    pub(crate) stop: Stop,
    /// The offset there.
    pub(crate) offset: u64,
    /// Just past the last byte that is not zero.
    pub(crate) content_end: u64,
    /// How many bytes may be unsynced at the end of this segment.
    pub(crate) cut_bound: u64,
    /// The last sequence that each witness says was durable.
    pub(crate) witnesses: Witnesses,
}

/// The last sequence that each witness says was durable; zero where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Witnesses {
    /// A sound frame before the stop.
    pub(crate) frame_before: Sequence,
    /// A sound header beyond the stop: a frame, a sync mark or a close mark.
    pub(crate) frame_ahead: Sequence,
    /// The index's watermark.
    pub(crate) index: Sequence,
    /// A snapshot or a checkpoint.
    pub(crate) state: Sequence,
    /// The last clean close.
    pub(crate) clean_close: Sequence,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The log ends here; nothing is in the way.
    Clean,
    /// What stands from here to there was never proven durable: keep a copy, and zero it.
    Cut { from: u64, to: u64 },
    /// Something that had been durable is not there, or more than can have been in flight would go.
    Refuse { expected: String, found: String },
}

impl Witnesses {
    /// The witness that says most, and what it is.
    pub(crate) fn strongest(&self) -> (Sequence, &'static str) {
        [
            (self.frame_before, "a frame before it"),
            (self.frame_ahead, "a frame after it"),
            (self.index, "the index"),
            (self.state, "a snapshot or checkpoint"),
            (self.clean_close, "the last clean close"),
        ]
        .into_iter()
        .max_by_key(|(through, _)| *through)
        .unwrap_or((Sequence::ZERO, "nothing"))
    }
}

/// Decides.
///
/// | proven beyond | bytes there      | decision |
/// |---------------|------------------|----------|
/// | yes           | any              | refuse: an acknowledged event is damaged or missing |
/// | no            | none             | clean: the end of the log |
/// | no            | within the bound | cut: a write that a crash tore; disks reorder, so sound frames may follow |
/// | no            | past the bound   | refuse: no crash of this writer leaves that much |
pub(crate) fn decide(evidence: &Evidence) -> Decision {
    assert!(evidence.expected > Sequence::ZERO, "sequences start at one");
    let (through, witness) = evidence.witnesses.strongest();
    let through = if sabotage::has(Defect::CutWithoutEvidence) { Sequence::ZERO } else { through };
    if through >= evidence.expected {
        return Decision::Refuse {
            expected: format!("events through sequence {through}, which {witness} proves were durable"),
            found: evidence.stop.to_string(),
        };
    }
    if evidence.content_end <= evidence.offset {
        return Decision::Clean;
    }
    let in_the_way = evidence.content_end - evidence.offset;
    if in_the_way > evidence.cut_bound && !sabotage::has(Defect::IgnoreCutBound) {
        return Decision::Refuse {
            expected: format!("at most {} bytes that a crash can have left here", evidence.cut_bound),
            found: format!("{in_the_way} bytes that start with {}", evidence.stop),
        };
    }
    Decision::Cut { from: evidence.offset, to: evidence.content_end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::frame::FrameDefect;
    use crate::format::record::RecordDefect;

    const STOPS: [Stop; 13] = [
        Stop::Full,
        Stop::Zeros,
        Stop::Time,
        Stop::Chain { expected: 1, found: 2 },
        Stop::Sequence { found: Sequence::MAX },
        Stop::Defect(FrameDefect::Overrun),
        Stop::Defect(FrameDefect::HeaderChecksum),
        Stop::Defect(FrameDefect::HeaderFields),
        Stop::Defect(FrameDefect::BodyChecksum),
        Stop::Defect(FrameDefect::BodyFields),
        Stop::Defect(FrameDefect::Padding),
        Stop::Defect(FrameDefect::Record(0, RecordDefect::Checksum)),
        Stop::Defect(FrameDefect::Record(1, RecordDefect::Malformed)),
    ];

    /// Which rows of the table a case falls into.
    fn rows(evidence: &Evidence) -> Vec<&'static str> {
        let w = evidence.witnesses;
        let proven =
            [w.frame_before, w.frame_ahead, w.index, w.state, w.clean_close].iter().any(|s| *s >= evidence.expected);
        let bytes = evidence.content_end.saturating_sub(evidence.offset);
        let mut rows = Vec::new();
        if proven {
            rows.push("refuse");
        }
        if !proven && bytes == 0 {
            rows.push("clean");
        }
        if !proven && bytes > 0 && bytes <= evidence.cut_bound {
            rows.push("cut");
        }
        if !proven && bytes > evidence.cut_bound {
            rows.push("refuse");
        }
        rows
    }

    /// Goal: every combination of evidence meets exactly one row. Method: all stops, each witness silent, just short of the
    /// stop, at it and beyond it, and content none, one byte, at the bound and one past it.
    #[test]
    fn every_combination_of_evidence_meets_exactly_one_row() {
        let expected = Sequence::new(10);
        let says = [Sequence::ZERO, Sequence::new(9), Sequence::new(10), Sequence::new(99)];
        let mut cases = 0u32;
        for stop in STOPS {
            for bytes in [0, 1, 100, 101] {
                for number in 0..says.len().pow(5) {
                    let pick = |place: u32| says[number / says.len().pow(place) % says.len()];
                    let evidence = Evidence {
                        expected,
                        stop,
                        offset: 512,
                        content_end: 512 + bytes,
                        cut_bound: 100,
                        witnesses: Witnesses {
                            frame_before: pick(0),
                            frame_ahead: pick(1),
                            index: pick(2),
                            state: pick(3),
                            clean_close: pick(4),
                        },
                    };
                    let rows = rows(&evidence);
                    assert_eq!(rows.len(), 1, "{evidence:?}");
                    let decided = match decide(&evidence) {
                        Decision::Clean => "clean",
                        Decision::Cut { from, to } => {
                            assert_eq!((from, to), (512, 512 + bytes));
                            "cut"
                        }
                        Decision::Refuse { .. } => "refuse",
                    };
                    assert_eq!(decided, rows[0], "{evidence:?}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 13 * 4 * 1024);
    }

    #[test]
    fn a_refusal_names_the_witness() {
        let evidence = Evidence {
            expected: Sequence::new(10),
            stop: Stop::Zeros,
            offset: 512,
            content_end: 512,
            cut_bound: 100,
            witnesses: Witnesses { index: Sequence::new(12), ..Witnesses::default() },
        };
        let Decision::Refuse { expected, found } = decide(&evidence) else { panic!("not refused") };
        assert_eq!(expected, "events through sequence 12, which the index proves were durable");
        assert_eq!(found, "zeros");
    }
}
