//! T22: for every seeded defect a class of faults that must fail with it.
//!
//! Without this a gate that passes says little: it may try nothing. Each defect is chosen alone, its class runs a part of
//! its gate, and the test fails where the class does not.

#![cfg(feature = "sabotage")]

use bitacora::sabotage::{Defect, choose};
use bitacora_trials::classes;
use bitacora_trials::runner::{Goal, grouped, run};

/// Runs a class until it fails, at most its gate.
fn turns_red(defect: Defect, id: &str) {
    let class = classes::find(id).expect("the class");
    choose(Some(defect));
    let outcome = run(class, Goal::gate(class));
    choose(None);
    if let Some(why) = outcome.tally.skipped {
        println!("T22 {defect:?} was not tried on {id}: {why}");
        return;
    }
    let counted = grouped(outcome.tally.count);
    let failure = outcome
        .failure
        .unwrap_or_else(|| panic!("{defect:?}: {id} tried {counted} {} and noticed nothing", class.what));
    let text = failure.text.lines().next().unwrap_or_default().chars().take(300).collect::<String>();
    println!("T22 {defect:?} turned {id} red after {counted} {}: seed {}: {text}", class.what, failure.seed);
}

macro_rules! defects {
    ($($(#[$attribute:meta])* $test:ident: $defect:ident => $id:literal,)*) => {
        $($(#[$attribute])* #[test]
        fn $test() {
            turns_red(Defect::$defect, $id);
        })*

        #[test]
        fn there_are_enough_of_them() {
            let mut defects = [$(Defect::$defect as u32),*];
            defects.sort_unstable();
            let count = defects.chunk_by(|one, other| one == other).count();
            println!("T22 seeded defects {count}");
            assert!(count >= 25, "{count} defects, at least 25 are asked for");
        }
    };
}

defects! {
    acknowledge_before_sync: AcknowledgeBeforeSync => "T1",
    skip_directory_sync_at_roll: SkipDirectorySyncAtRoll => "T1",
    name_segment_before_header: NameSegmentBeforeHeader => "T1",
    promise_before_sync: PromiseBeforeSync => "T1",
    leave_cut_tail: LeaveCutTail => "T1",
    take_spare_for_segment: TakeSpareForSegment => "T1",
    forget_keys_in_tail: ForgetKeysInTail => "T1",
    forget_last_posting: ForgetLastPosting => "T1",
    forget_tail_of_walk: ForgetTailOfWalk => "T1",
    seal_of_wrong_root: SealOfWrongRoot => "T1",
    skip_sync_before_reading: SkipSyncBeforeReading => "T2",
    skip_segment_sync_at_roll: SkipSegmentSyncAtRoll => "T3",
    index_before_sync: IndexBeforeSync => "T3",
    snapshot_before_sync: SnapshotBeforeSync => "T3",
    cut_without_quarantine: CutWithoutQuarantine => "T4",
    header_outside_checksum: HeaderOutsideChecksum => "T5",
    record_outside_checksum: RecordOutsideChecksum => "T5",
    body_outside_checksum: BodyOutsideChecksum => "T5",
    cut_without_evidence: CutWithoutEvidence => "T5",
    forget_durable_through: ForgetDurableThrough => "T5",
    stop_looking_ahead: StopLookingAhead => "T5",
    ignore_gap_in_segments: IgnoreGapInSegments => "T6",
    checksum_without_place: ChecksumWithoutPlace => "T6",
    trust_close_mark: TrustCloseMark => "T6",
    write_after_failure: WriteAfterFailure => "T7",
    believe_short_writes: BelieveShortWrites => "T7",
    show_before_sync: ShowBeforeSync => "T7",
    skip_sync_of_writing_again: SkipSyncOfWritingAgain => "T8",
    retry_failed_sync: RetryFailedSync => "T8",
    skip_writing_again: SkipWritingAgain => "T8",
    skip_second_sync: SkipSecondSync => "T8",
    #[cfg(feature = "rocksdb")]
    acknowledge_before_sync_on_real_file_systems: AcknowledgeBeforeSync => "T12",
    #[cfg(feature = "rocksdb")]
    trust_watermark: TrustWatermark => "T13",
    #[cfg(feature = "rocksdb")]
    open_without_lock: OpenWithoutLock => "T14",
    repeat_without_content: RepeatWithoutContent => "T16",
    ignore_expected_version: IgnoreExpectedVersion => "T16",
    time_runs_backwards: TimeRunsBackwards => "T16",
    fresh_key_for_each_attempt: FreshKeyForEachAttempt => "T18",
    release_blindly: ReleaseBlindly => "T18",
    send_before_intent: SendBeforeIntent => "T18",
    release_takes_money: ReleaseTakesMoney => "T18",
    credit_apart: CreditApart => "T18",
    refund_without_cap: RefundWithoutCap => "T18",
    resolve_leaves_hold: ResolveLeavesHold => "T18",
    forget_offline_stored: ForgetOfflineStored => "T18",
    fresh_key_for_refund: FreshKeyForRefund => "T18",
    ignore_cut_bound: IgnoreCutBound => "T19",
    other_salt: OtherSalt => "T20",
    time_from_elsewhere: TimeFromElsewhere => "T21",
    #[cfg(feature = "rocksdb")]
    leak_file_handles: LeakFileHandles => "T23",
}
