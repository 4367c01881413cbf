//! A payment's state, made of its own stream alone.
//!
//! [`PaymentSaga::apply`] never fails, and an event that comes twice, or too late, changes nothing: a version at or below the
//! state's is passed over, and so is whatever contradicts what is settled. Invariants: a payment has at most one outcome, which
//! stays whatever comes later; the capture is never published while it is being undone; attempts of a command only grow.

use super::call::{CallPhase, CallProgress};
use super::event::{
    CompensationStepFailed, CompensationStepSucceeded, LateSuccessDetected, OfflineAccepted, PaymentEvent,
    PaymentStarted, StepFailed, StepSucceeded,
};
use super::gateway::GatewayCommand;
use super::kinds::{CompensationReason, Step};
use super::outcome::{Outcome, OutcomeKind, PaymentState};
use crate::aggregate::EventContext;
use crate::money::Money;
use crate::types::{Sequence, Timestamp, Version};

/// The wallet's part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum HoldProgress {
    #[default]
    None,
    Held,
    /// The wallet refused the hold.
    Refused(String),
    Captured,
    Released,
    /// The wallet refused the release.
    ReleaseRefused(String),
}

/// A payment, as its own stream tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentSaga {
    pub(crate) payment_id: String,
    pub(crate) started: Option<PaymentStarted>,
    pub(crate) version: Version,
    pub(crate) last_event_sequence: Sequence,
    /// Until when the capture must have been published.
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) hold: HoldProgress,
    pub(crate) authorise: CallProgress,
    pub(crate) capture: CallProgress,
    pub(crate) settle: CallProgress,
    pub(crate) void: CallProgress,
    pub(crate) offline: Option<OfflineAccepted>,
    pub(crate) compensation: Option<(CompensationReason, String)>,
    pub(crate) parked: Option<String>,
    pub(crate) recovery_id: Option<String>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) late: Option<LateSuccessDetected>,
    pub(crate) refund: CallProgress,
}

impl PaymentSaga {
    /// A payment that has no event yet.
    #[must_use]
    pub fn new(payment_id: &str) -> Self {
        Self {
            payment_id: payment_id.to_owned(),
            started: None,
            version: Version::ZERO,
            last_event_sequence: Sequence::ZERO,
            deadline: None,
            hold: HoldProgress::None,
            authorise: CallProgress::default(),
            capture: CallProgress::default(),
            settle: CallProgress::default(),
            void: CallProgress::default(),
            offline: None,
            compensation: None,
            parked: None,
            recovery_id: None,
            outcome: None,
            late: None,
            refund: CallProgress::default(),
        }
    }

    /// The payment's id.
    #[must_use]
    pub fn payment_id(&self) -> &str {
        &self.payment_id
    }

    /// What is to be paid; `None` before the first event.
    #[must_use]
    pub fn started(&self) -> Option<&PaymentStarted> {
        self.started.as_ref()
    }

    /// The version of the last event in it.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The sequence of that event.
    #[must_use]
    pub fn last_event_sequence(&self) -> Sequence {
        self.last_event_sequence
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Why a person has to decide, if so.
    #[must_use]
    pub fn parked(&self) -> Option<&str> {
        self.parked.as_deref()
    }

    /// Why it is undone, if it is.
    #[must_use]
    pub fn compensation(&self) -> Option<CompensationReason> {
        self.compensation.as_ref().map(|(reason, _)| *reason)
    }

    /// Until when the capture must have been published; of what was accepted offline, until when it must have been uploaded.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// What was taken on trust while there was no network, if it was.
    #[must_use]
    pub fn offline(&self) -> Option<&OfflineAccepted> {
        self.offline.as_ref()
    }

    /// Whether it was taken on trust, and the card has neither been authorised nor refused since.
    #[must_use]
    pub fn is_stored_offline(&self) -> bool {
        self.offline.is_some() && self.outcome.is_none() && !self.authorise.is_settled()
    }

    /// The charge that came after the payment had ended unpaid, if one did.
    #[must_use]
    pub fn late_success(&self) -> Option<&LateSuccessDetected> {
        self.late.as_ref()
    }

    /// Whether that charge is given back.
    #[must_use]
    pub fn is_refunded(&self) -> bool {
        self.refund.phase == CallPhase::Approved
    }

    /// Why the refund was given up, if it was.
    #[must_use]
    pub fn refund_failure(&self) -> Option<&str> {
        match &self.refund.phase {
            CallPhase::Failed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether nothing is left to be done: it has its outcome, and a charge that came late is given back.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.outcome.is_some() && (self.late.is_none() || self.is_refunded())
    }

    /// Whether its wallet still has a part in it: something is held there, or is to be.
    pub(crate) fn needs_wallet(&self) -> bool {
        let is_taken_or_let_go = matches!(self.hold, HoldProgress::Captured | HoldProgress::Released);
        self.outcome.is_none() && self.wallet_part().is_some() && !is_taken_or_let_go
    }

    /// The command whose outcome nothing on record tells.
    #[must_use]
    pub fn in_doubt(&self) -> Option<GatewayCommand> {
        let open = [GatewayCommand::Void, GatewayCommand::Settle, GatewayCommand::Capture, GatewayCommand::Authorise];
        let all = if self.outcome.is_some() { &[GatewayCommand::Refund][..] } else { &open };
        all.iter().copied().find(|command| self.call(*command).is_in_doubt())
    }

    /// Whether the capture was published, or the wallet's part taken: from then on there is only completion, or review.
    #[must_use]
    pub fn is_past_pivot(&self) -> bool {
        self.capture.attempts > 0 || self.hold == HoldProgress::Captured
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> PaymentState {
        if let Some(outcome) = &self.outcome {
            return match outcome.kind {
                OutcomeKind::Completed => PaymentState::Completed,
                OutcomeKind::Compensated => PaymentState::Compensated,
                OutcomeKind::Rejected => PaymentState::Rejected,
            };
        }
        if self.parked.is_some() {
            return PaymentState::ManualReview;
        }
        if self.compensation.is_some() {
            let step = if self.is_charge_to_undo() { Step::Charge } else { Step::Reserve };
            return PaymentState::Compensating(step);
        }
        let calling = |call: &CallProgress, step, during| match call {
            call if call.awaits_network() => PaymentState::AwaitingConnectivity,
            call if call.is_stuck() => PaymentState::OutcomeUnknown(step),
            _ => during,
        };
        if self.capture.phase == CallPhase::Approved {
            let during = if self.settle.attempts > 0 { PaymentState::Settling } else { PaymentState::Captured };
            return calling(&self.settle, Step::Settle, during);
        }
        if self.capture.attempts > 0 {
            return calling(&self.capture, Step::Capture, PaymentState::Capturing);
        }
        if self.authorise.phase == CallPhase::Approved {
            return PaymentState::Charged;
        }
        if self.authorise.attempts > 0 {
            return calling(&self.authorise, Step::Charge, PaymentState::Charging);
        }
        match self.hold {
            HoldProgress::Held => PaymentState::FundsReserved,
            HoldProgress::None if self.wallet_part().is_some() && self.version > Version::FIRST => {
                PaymentState::ReservingFunds
            }
            _ => PaymentState::Started,
        }
    }

    /// Takes in an event. Never fails.
    pub fn apply(&mut self, event: &PaymentEvent, context: &EventContext) {
        if context.version <= self.version {
            return;
        }
        self.version = context.version;
        self.last_event_sequence = context.sequence;
        if self.outcome.is_some() {
            self.apply_late(event);
        } else {
            self.apply_fact(event, context.sequence);
        }
    }

    fn apply_fact(&mut self, event: &PaymentEvent, sequence: Sequence) {
        match event {
            PaymentEvent::PaymentStarted(fact) => {
                if self.started.is_none() {
                    self.deadline = Some(fact.deadline);
                    self.started = Some(fact.clone());
                }
            }
            PaymentEvent::StepCommandPublished(fact) => {
                if let Some(call) = self.call_of(fact.step) {
                    call.published(fact.attempt);
                }
            }
            PaymentEvent::StepSucceeded(fact) => self.step_succeeded(fact),
            PaymentEvent::StepFailed(fact) => self.step_failed(fact),
            PaymentEvent::RetryScheduled(fact) => self.call_mut(fact.command).scheduled(fact.attempt, fact.due),
            PaymentEvent::OutcomeQueried(fact) => self.call_mut(fact.command).queried(fact.attempt, fact.outcome),
            PaymentEvent::CompensationInitiated(fact) => {
                self.compensation.get_or_insert_with(|| (fact.reason, fact.detail.clone()));
            }
            PaymentEvent::CompensationStepPublished(fact) => {
                if fact.step == Step::Charge {
                    self.void.published(fact.attempt);
                }
            }
            PaymentEvent::CompensationStepSucceeded(fact) => self.undo_succeeded(fact),
            PaymentEvent::CompensationStepFailed(fact) => self.undo_failed(fact),
            PaymentEvent::PaymentCompleted(_) => {
                if self.is_hold_open() {
                    self.hold = HoldProgress::Captured;
                }
                self.end(OutcomeKind::Completed, String::new(), sequence);
            }
            PaymentEvent::PaymentCompensated(fact) => {
                self.end(OutcomeKind::Compensated, fact.detail.clone(), sequence);
            }
            PaymentEvent::PaymentRejected(fact) => self.end(OutcomeKind::Rejected, fact.reason.clone(), sequence),
            PaymentEvent::PaymentParkedForReview(fact) => self.parked = Some(fact.reason.clone()),
            PaymentEvent::PaymentResumed(fact) => self.recovery_id = Some(fact.recovery_id.clone()),
            PaymentEvent::DeadlineScheduled(fact) => self.set_deadline(fact.deadline),
            PaymentEvent::OfflineAccepted(fact) => {
                self.set_deadline(fact.upload_by);
                self.offline.get_or_insert_with(|| fact.clone());
            }
            PaymentEvent::OperatorRetried(_) => self.renew(),
            // They tell why the events beside them came, or they tell of what is over.
            PaymentEvent::DeadlineReached(_)
            | PaymentEvent::OperatorCancelled(_)
            | PaymentEvent::OperatorResolved(_)
            | PaymentEvent::LateSuccessDetected(_)
            | PaymentEvent::RefundPublished(_)
            | PaymentEvent::RefundSucceeded(_)
            | PaymentEvent::RefundFailed(_) => {}
        }
    }

    /// What comes after the outcome never changes it.
    fn apply_late(&mut self, event: &PaymentEvent) {
        let is_paid = self.outcome.as_ref().is_some_and(|outcome| outcome.kind == OutcomeKind::Completed);
        match event {
            PaymentEvent::LateSuccessDetected(fact) if !is_paid => {
                self.late.get_or_insert_with(|| fact.clone());
            }
            PaymentEvent::PaymentResumed(fact) => self.recovery_id = Some(fact.recovery_id.clone()),
            _ if self.late.is_none() => {}
            PaymentEvent::RefundPublished(fact) => self.refund.published(fact.attempt),
            PaymentEvent::RefundSucceeded(_) => self.refund.approved(),
            PaymentEvent::RefundFailed(fact) => self.refund.failed(fact.attempt, fact.kind, &fact.reason),
            PaymentEvent::RetryScheduled(fact) if fact.command == GatewayCommand::Refund => {
                self.refund.scheduled(fact.attempt, fact.due);
            }
            PaymentEvent::OutcomeQueried(fact) if fact.command == GatewayCommand::Refund => {
                self.refund.queried(fact.attempt, fact.outcome);
            }
            PaymentEvent::OperatorRetried(_) => self.refund.renew(),
            _ => {}
        }
    }

    fn step_succeeded(&mut self, fact: &StepSucceeded) {
        match fact.step {
            Step::Reserve if self.hold == HoldProgress::None => self.hold = HoldProgress::Held,
            Step::Reserve => {}
            Step::Charge => self.authorise.approved(),
            Step::Capture => {
                // The gateway gives each capture a name; one without is the wallet's part.
                let is_wallets = fact.reference.is_none() && self.wallet_part().is_some();
                if is_wallets && self.hold == HoldProgress::Held {
                    self.hold = HoldProgress::Captured;
                }
                if !is_wallets || self.card_part().is_none() {
                    self.capture.approved();
                }
            }
            Step::Settle => self.settle.approved(),
        }
    }

    fn step_failed(&mut self, fact: &StepFailed) {
        if let Some(call) = self.call_of(fact.step) {
            call.failed(fact.attempt, fact.kind, &fact.reason);
        } else if self.hold == HoldProgress::None {
            self.hold = HoldProgress::Refused(fact.reason.clone());
        }
    }

    fn undo_succeeded(&mut self, fact: &CompensationStepSucceeded) {
        match fact.step {
            Step::Charge => self.void.approved(),
            Step::Reserve if self.is_hold_open() => self.hold = HoldProgress::Released,
            Step::Reserve | Step::Capture | Step::Settle => {}
        }
    }

    fn undo_failed(&mut self, fact: &CompensationStepFailed) {
        match fact.step {
            Step::Charge => self.void.failed(fact.attempt, fact.kind, &fact.reason),
            Step::Reserve if self.is_hold_open() => self.hold = HoldProgress::ReleaseRefused(fact.reason.clone()),
            Step::Reserve | Step::Capture | Step::Settle => {}
        }
    }

    /// No deadline counts of what is undone or past the pivot.
    fn set_deadline(&mut self, deadline: Timestamp) {
        if self.compensation.is_none() && !self.is_past_pivot() {
            self.deadline = Some(deadline);
        }
    }

    /// An operator has what was given up tried again.
    fn renew(&mut self) {
        self.parked = None;
        self.capture.renew();
        self.settle.renew();
        self.void.renew();
        if matches!(self.hold, HoldProgress::ReleaseRefused(_)) {
            self.hold = HoldProgress::Held;
        }
    }

    fn end(&mut self, kind: OutcomeKind, reason: String, sequence: Sequence) {
        self.parked = None;
        self.outcome = Some(Outcome { kind, reason, sequence });
    }

    /// Whether something is held, as far as this payment knows.
    pub(crate) fn is_hold_open(&self) -> bool {
        matches!(self.hold, HoldProgress::Held | HoldProgress::ReleaseRefused(_))
    }

    /// Whether something may be authorised that is not voided yet, nor given up.
    pub(crate) fn is_charge_to_undo(&self) -> bool {
        self.may_be_authorised() && !self.void.is_settled()
    }

    /// Whether something is, or may be, authorised.
    pub(crate) fn may_be_authorised(&self) -> bool {
        self.authorise.may_have_acted() && !matches!(self.authorise.phase, CallPhase::Failed(_))
    }

    pub(crate) fn call(&self, command: GatewayCommand) -> &CallProgress {
        match command {
            GatewayCommand::Authorise => &self.authorise,
            GatewayCommand::Capture => &self.capture,
            GatewayCommand::Void => &self.void,
            GatewayCommand::Refund => &self.refund,
            GatewayCommand::Settle => &self.settle,
        }
    }

    fn call_mut(&mut self, command: GatewayCommand) -> &mut CallProgress {
        match command {
            GatewayCommand::Authorise => &mut self.authorise,
            GatewayCommand::Capture => &mut self.capture,
            GatewayCommand::Void => &mut self.void,
            GatewayCommand::Refund => &mut self.refund,
            GatewayCommand::Settle => &mut self.settle,
        }
    }

    /// The call that carries out a step; none of the wallet's own.
    fn call_of(&mut self, step: Step) -> Option<&mut CallProgress> {
        match step {
            Step::Reserve => None,
            Step::Charge => Some(&mut self.authorise),
            Step::Capture => Some(&mut self.capture),
            Step::Settle => Some(&mut self.settle),
        }
    }

    /// Whether its card's part is settled after the capture.
    #[must_use]
    pub fn settles(&self) -> bool {
        self.card_part().is_some() && self.started.as_ref().is_some_and(|started| started.settles)
    }

    /// The wallet's part, if there is one.
    #[must_use]
    pub fn wallet_part(&self) -> Option<Money> {
        let started = self.started.as_ref()?;
        (started.wallet_amount > 0).then(|| Money::new(started.wallet_amount, started.currency))
    }

    /// The card's part, if there is one.
    #[must_use]
    pub fn card_part(&self) -> Option<Money> {
        let started = self.started.as_ref()?;
        (started.card_amount > 0).then(|| Money::new(started.card_amount, started.currency))
    }
}
