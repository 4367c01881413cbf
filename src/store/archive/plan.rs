//! Which segments may be archived, and what keeps each of the others. Pure.

use std::fmt;

use crate::types::{Sequence, Timestamp};

/// Up to where segments may be archived: what lies wholly before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveBefore {
    /// Segments whose last sequence is below this one.
    Sequence(Sequence),
    /// Segments whose last commit was before this time.
    Time(Timestamp),
}

/// Why a segment is kept in the log's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeptBecause {
    /// It is not wholly before the bound.
    Bound,
    /// It is one of the last two, which an open reads and syncs.
    Newest,
    /// It has no seal yet, so nothing proves later that it came back whole.
    Unsealed,
    /// The index covers the log through this sequence: an open would read on from there.
    Index {
        /// The last sequence that the index covers.
        through: Sequence,
    },
    /// A consumer has not passed it.
    Consumer {
        /// Its name.
        name: String,
        /// The last sequence that it acknowledged; zero where its checkpoint cannot be read.
        at: Sequence,
    },
    /// A service's recovery point is before its end.
    Service {
        /// The service.
        name: String,
        /// The last sequence that it has dealt with.
        at: Sequence,
    },
    /// The newest snapshot of an aggregate is followed by this event, which a load of it reads.
    Snapshot {
        /// The snapshot.
        id: String,
        /// The first event behind it.
        needs: Sequence,
    },
    /// The backup ends before it does, or is of another history from there on.
    Backup {
        /// The last sequence that the backup is proven to hold.
        through: Sequence,
    },
    /// No backup was named.
    NoBackup,
    /// A segment before it is kept: what is archived is the beginning of the log.
    Earlier,
}

impl fmt::Display for KeptBecause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound => f.write_str("it is not wholly before the bound"),
            Self::Newest => f.write_str("it is one of the last two"),
            Self::Unsealed => f.write_str("it is not sealed yet"),
            Self::Index { through } => write!(f, "the index is at {through}"),
            Self::Consumer { name, at } => write!(f, "consumer {name} is at {at}"),
            Self::Service { name, at } => write!(f, "service {name} is at {at}"),
            Self::Snapshot { id, needs } => write!(f, "snapshot {id} is followed by {needs}"),
            Self::Backup { through } => write!(f, "the backup holds it through {through}"),
            Self::NoBackup => f.write_str("no backup was named"),
            Self::Earlier => f.write_str("one before it is kept"),
        }
    }
}

/// What becomes of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentFate {
    /// It is in an archive already.
    Archived,
    /// It may be archived.
    Goes,
    /// It stays, and all that keeps it.
    Kept(Vec<KeptBecause>),
}

/// A segment, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSegment {
    /// Its first sequence, which names it.
    pub first: Sequence,
    /// Its last sequence; of the one that is written to, the last one so far.
    pub last: Sequence,
    /// The length of its file; zero where it is archived.
    pub bytes: u64,
    /// What becomes of it.
    pub fate: SegmentFate,
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentFacts {
    pub(super) first: Sequence,
    pub(super) last: Sequence,
    pub(super) bytes: u64,
    pub(super) is_archived: bool,
    /// The time of its last commit, as its seal has it; `None` where it has no seal.
    pub(super) sealed: Option<Timestamp>,
}

/// Something that needs what comes after a sequence.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) because: KeptBecause,
    pub(super) passed: Sequence,
}

/// Decides for all segments of a log, oldest first.
pub(super) fn decide(segments: &[SegmentFacts], before: ArchiveBefore, holds: &[Hold]) -> Vec<PlannedSegment> {
    const NEWEST: usize = 2;
    let mut is_beginning = true;
    let mut planned = Vec::with_capacity(segments.len());
    for (number, facts) in segments.iter().enumerate() {
        let SegmentFacts { first, last, bytes, .. } = *facts;
        let mut because = Vec::new();
        if number + NEWEST >= segments.len() {
            because.push(KeptBecause::Newest);
        }
        let is_before = match before {
            ArchiveBefore::Sequence(bound) => last < bound,
            // Without a seal nobody knows; that it has none keeps it anyway.
            ArchiveBefore::Time(bound) => facts.sealed.is_none_or(|time| time < bound),
        };
        if !is_before {
            because.push(KeptBecause::Bound);
        }
        if facts.sealed.is_none() {
            because.push(KeptBecause::Unsealed);
        }
        because.extend(holds.iter().filter(|hold| last > hold.passed).map(|hold| hold.because.clone()));
        if because.is_empty() && !is_beginning {
            because.push(KeptBecause::Earlier);
        }
        let fate = match (facts.is_archived, because.is_empty()) {
            (true, _) => SegmentFate::Archived,
            (false, true) => SegmentFate::Goes,
            (false, false) => SegmentFate::Kept(because),
        };
        is_beginning &= !matches!(fate, SegmentFate::Kept(_));
        planned.push(PlannedSegment { first, last, bytes, fate });
    }
    planned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number)
    }

    /// Five segments of ten events; each commit at the time of its sequence.
    fn log() -> Vec<SegmentFacts> {
        let facts = |number: u64| SegmentFacts {
            first: sequence(number * 10 + 1),
            last: sequence(number * 10 + 10),
            bytes: 4096,
            is_archived: false,
            sealed: (number < 4).then(|| Timestamp::from_micros(i64::try_from(number * 10 + 10).unwrap())),
        };
        (0..5).map(facts).collect()
    }

    fn hold(because: KeptBecause, passed: u64) -> Hold {
        Hold { because, passed: sequence(passed) }
    }

    /// A letter a segment: what becomes of it; and what keeps the ones that stay.
    fn fates(planned: &[PlannedSegment]) -> (String, Vec<Vec<KeptBecause>>) {
        let letter = |segment: &PlannedSegment| match segment.fate {
            SegmentFate::Archived => 'a',
            SegmentFate::Goes => 'g',
            SegmentFate::Kept(_) => 'k',
        };
        let kept = planned.iter().filter_map(|segment| match &segment.fate {
            SegmentFate::Kept(because) => Some(because.clone()),
            _ => None,
        });
        (planned.iter().map(letter).collect(), kept.collect())
    }

    #[test]
    fn a_segment_goes_when_everything_has_passed_it() {
        let mailer = |at| KeptBecause::Consumer { name: "mailer".into(), at: sequence(at) };
        let service = |at| KeptBecause::Service { name: "payments".into(), at: sequence(at) };
        let snapshot = |needs| KeptBecause::Snapshot { id: "wallet-ana@3".into(), needs: sequence(needs) };
        let index = |through| KeptBecause::Index { through: sequence(through) };
        let backup = |through| KeptBecause::Backup { through: sequence(through) };
        let all = ArchiveBefore::Sequence(Sequence::MAX);
        let table: [(&str, ArchiveBefore, Vec<Hold>, &str); 15] = [
            ("nothing holds but the last two", all, vec![], "gggkk"),
            ("a bound in a segment keeps it", ArchiveBefore::Sequence(sequence(20)), vec![], "gkkkk"),
            ("a bound behind a segment does not", ArchiveBefore::Sequence(sequence(21)), vec![], "ggkkk"),
            ("a time", ArchiveBefore::Time(Timestamp::from_micros(20)), vec![], "gkkkk"),
            ("a time behind it", ArchiveBefore::Time(Timestamp::from_micros(21)), vec![], "ggkkk"),
            ("a consumer at an end has passed", all, vec![hold(mailer(20), 20)], "ggkkk"),
            ("a consumer before an end has not", all, vec![hold(mailer(19), 19)], "gkkkk"),
            ("a consumer at the beginning", all, vec![hold(mailer(0), 0)], "kkkkk"),
            ("a service", all, vec![hold(service(12), 12)], "gkkkk"),
            ("a snapshot", all, vec![hold(snapshot(30), 29)], "ggkkk"),
            ("the index", all, vec![hold(index(25), 20)], "ggkkk"),
            ("a backup", all, vec![hold(backup(10), 10)], "gkkkk"),
            ("no backup", all, vec![hold(KeptBecause::NoBackup, 0)], "kkkkk"),
            ("the one that is least far", all, vec![hold(mailer(29), 29), hold(service(10), 10)], "gkkkk"),
            ("no bound at all", ArchiveBefore::Sequence(Sequence::ZERO), vec![], "kkkkk"),
        ];
        for (what, before, holds, expected) in table {
            assert_eq!(fates(&decide(&log(), before, &holds)).0, expected, "{what}");
        }
    }

    #[test]
    fn all_that_keeps_a_segment_is_named() {
        let mailer = KeptBecause::Consumer { name: "mailer".into(), at: sequence(12) };
        let holds = [hold(mailer.clone(), 12), hold(KeptBecause::NoBackup, 0)];
        let (fates, kept) = fates(&decide(&log(), ArchiveBefore::Sequence(sequence(11)), &holds));
        assert_eq!(fates, "kkkkk");
        assert_eq!(kept[0], [KeptBecause::NoBackup]);
        assert_eq!(kept[1], [KeptBecause::Bound, mailer.clone(), KeptBecause::NoBackup]);
        let last = [KeptBecause::Newest, KeptBecause::Bound, KeptBecause::Unsealed, mailer, KeptBecause::NoBackup];
        assert_eq!(kept[4], last);
        assert_eq!(kept[4][3].to_string(), "consumer mailer is at 12");
    }

    #[test]
    fn what_is_archived_is_the_beginning_of_the_log() {
        let mut log = log();
        log[1].sealed = None;
        let (letters, kept) = fates(&decide(&log, ArchiveBefore::Sequence(Sequence::MAX), &[]));
        assert_eq!(letters, "gkkkk");
        assert_eq!((&kept[0][..], &kept[1][..]), (&[KeptBecause::Unsealed][..], &[KeptBecause::Earlier][..]));
        log[0].is_archived = true;
        log[1].is_archived = true;
        assert_eq!(fates(&decide(&log, ArchiveBefore::Sequence(Sequence::MAX), &[])).0, "aagkk");
    }

    #[test]
    fn a_log_of_one_or_two_segments_keeps_them() {
        for count in 0..=2 {
            let (letters, _) = fates(&decide(&log()[..count], ArchiveBefore::Sequence(Sequence::MAX), &[]));
            assert_eq!(letters, "k".repeat(count));
        }
    }
}
