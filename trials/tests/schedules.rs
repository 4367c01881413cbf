//! T15, the part that is sampled: the gate's schedules under shuttle, and the seeded defects that only they notice.

#![cfg(bitacora_shuttle)]

#[cfg(not(feature = "sabotage"))]
#[test]
fn t15_interleavings() {
    bitacora_trials::runner::gate(bitacora_trials::classes::find("T15").expect("the class"));
}

/// One after another: a defect is chosen for the whole process.
#[cfg(feature = "sabotage")]
#[test]
fn seeded_defects_turn_t15_red() {
    use bitacora::sabotage::{Defect, choose};
    use bitacora_trials::classes;
    use bitacora_trials::runner::{Goal, grouped, run};

    let class = classes::find("T15").expect("the class");
    for defect in [
        Defect::WakeBeforeResult,
        Defect::AnswerFromUnresolvedConflict,
        Defect::AnswerFromUnresolvedKey,
        Defect::ShowBeforeSync,
        Defect::AcknowledgeBeforeSync,
    ] {
        choose(Some(defect));
        let outcome = run(class, Goal::gate(class));
        choose(None);
        let counted = grouped(outcome.tally.count);
        let failure = outcome.failure.unwrap_or_else(|| panic!("{defect:?}: {counted} schedules noticed nothing"));
        let text: String = failure.text.lines().next().unwrap_or_default().chars().take(300).collect();
        println!("T22 {defect:?} turned T15 red after {counted} schedules: seed {}: {text}", failure.seed);
    }
}
