//! Defects on purpose, to see that the tests would notice.
//!
//! Each stands at the place where a real one would, and acts only in a build with the feature `sabotage` and only once it
//! was chosen. In every other build [`has`] is `false` and the compiler drops what stands behind it. For each defect a
//! class of faults is named (`trials/tests/sabotage.rs`) that must fail with it, once the class exists.

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[cfg_attr(not(feature = "sabotage"), allow(unreachable_pub, reason = "public in a build with the feature alone"))]
#[allow(missing_docs, reason = "the names say it, and the places where they stand")]
pub enum Defect {
    AcknowledgeBeforeSync = 1,
    SkipDirectorySyncAtRoll,
    SkipSegmentSyncAtRoll,
    NameSegmentBeforeHeader,
    ForgetDurableThrough,
    PromiseBeforeSync,
    IndexBeforeSync,
    SnapshotBeforeSync,
    RetryFailedSync,
    WriteAfterFailure,
    BelieveShortWrites,
    SkipSyncBeforeReading,
    SkipWritingAgain,
    SkipSecondSync,
    LeaveCutTail,
    CutWithoutQuarantine,
    CutWithoutEvidence,
    IgnoreCutBound,
    StopLookingAhead,
    TakeSpareForSegment,
    IgnoreGapInSegments,
    HeaderOutsideChecksum,
    RecordOutsideChecksum,
    BodyOutsideChecksum,
    ChecksumWithoutPlace,
    TrustCloseMark,
    ForgetKeysInTail,
    ForgetLastPosting,
    RepeatWithoutContent,
    IgnoreExpectedVersion,
    TimeRunsBackwards,
    ShowBeforeSync,
    WakeBeforeResult,
    AnswerFromUnresolvedConflict,
    AnswerFromUnresolvedKey,
    SendBeforeIntent,
    FreshKeyForEachAttempt,
    ReleaseBlindly,
    ReleaseTakesMoney,
    OpenWithoutLock,
    SealOfWrongRoot,
    OtherSalt,
    TimeFromElsewhere,
    ForgetTailOfWalk,
    LeakFileHandles,
    SkipSyncOfWritingAgain,
    TrustWatermark,
    CreditApart,
    RefundWithoutCap,
    ResolveLeavesHold,
    ForgetOfflineStored,
    FreshKeyForRefund,
}

#[cfg(feature = "sabotage")]
mod chosen {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Defect;

    static CHOSEN: AtomicU32 = AtomicU32::new(0);

    /// Chooses a defect for the whole process, or none.
    pub fn choose(defect: Option<Defect>) {
        CHOSEN.store(defect.map_or(0, |defect| defect as u32), Ordering::SeqCst);
    }

    /// The number of what was chosen, zero where nothing was, for [`choose_number`] in a child.
    pub fn number() -> u32 {
        CHOSEN.load(Ordering::SeqCst)
    }

    /// Chooses what has this number in a process of the same build.
    pub fn choose_number(number: u32) {
        CHOSEN.store(number, Ordering::SeqCst);
    }

    /// Whether this defect was chosen.
    pub(crate) fn has(defect: Defect) -> bool {
        CHOSEN.load(Ordering::Relaxed) == defect as u32
    }
}

#[cfg(feature = "sabotage")]
pub(crate) use chosen::has;
#[cfg(feature = "sabotage")]
pub use chosen::{choose, choose_number, number};

/// Whether this defect was chosen: never.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn has(_: Defect) -> bool {
    false
}
