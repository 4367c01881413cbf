//! A payment's state, made of its own stream alone.
//!
//! [`PaymentSaga::apply`] never fails, and an event that comes twice, or too late, changes nothing: a version at or below the
//! state's is passed over, and so is whatever contradicts what is settled. Invariants: a payment has at most one outcome; the
//! capture is never published while it is being undone; attempts of a command only grow.

use super::event::{
    CompensationReason, FailureKind, PaymentEvent, PaymentStarted, QueriedOutcome, RetryScheduled, Step, StepFailed,
    StepSucceeded,
};
use super::gateway::GatewayCommand;
use crate::aggregate::EventContext;
use crate::money::Money;
use crate::types::{Sequence, Timestamp, Version};

/// How a payment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// Both parts are paid.
    Completed,
    /// A hold or an authorisation was undone.
    Compensated,
    /// It ended with nothing to undo.
    Rejected,
}

impl OutcomeKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Rejected => "rejected",
        }
    }
}

/// A payment's one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub kind: OutcomeKind,
    /// Why, in words; empty of a completed one.
    pub reason: String,
    /// The sequence of the event that says so.
    pub sequence: Sequence,
}

/// Where a payment stands, for showing; what to do next is [`next`](super::next::next)'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PaymentState {
    /// Nothing but the wish is on record.
    Started,
    /// The wallet's part is about to be held.
    ReservingFunds,
    /// The wallet's part is held.
    FundsReserved,
    /// The authorisation was published.
    Charging,
    /// The card's part is authorised.
    Charged,
    /// The capture was published: past the point of no return.
    Capturing,
    /// The card's part is captured.
    Captured,
    /// What follows the capture is under way.
    Settling,
    /// Final: paid.
    Completed,
    /// This step is being undone.
    Compensating(Step),
    /// Final: undone.
    Compensated,
    /// Final: nothing was to undo.
    Rejected,
    /// It is not known whether this step happened.
    OutcomeUnknown(Step),
    /// There is no way to the gateway.
    AwaitingConnectivity,
    /// A person has to decide.
    ManualReview,
}

impl PaymentState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::ReservingFunds => "reserving_funds",
            Self::FundsReserved => "funds_reserved",
            Self::Charging => "charging",
            Self::Charged => "charged",
            Self::Capturing => "capturing",
            Self::Captured => "captured",
            Self::Settling => "settling",
            Self::Completed => "completed",
            Self::Compensating(_) => "compensating",
            Self::Compensated => "compensated",
            Self::Rejected => "rejected",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::AwaitingConnectivity => "awaiting_connectivity",
            Self::ManualReview => "manual_review",
        }
    }
}

/// How far a command to the gateway is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum CallPhase {
    /// Not published.
    #[default]
    Idle,
    /// Published, and no answer on record.
    Published,
    /// Sent, and no answer came.
    Unanswered,
    /// Asked about, and it had no effect by then.
    NotSeen,
    /// Asked about, and no answer came.
    Unreachable,
    /// To be sent again, not before this.
    Scheduled(Timestamp),
    /// Done.
    Approved,
    /// Refused for good, or given up.
    Failed(String),
}

/// A command to the gateway, over all its attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallProgress {
    /// Attempts that were published.
    pub(crate) attempts: u32,
    pub(crate) phase: CallPhase,
}

impl CallProgress {
    /// Whether it may have happened, and no answer says so.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.attempts > 0 && !self.is_settled()
    }

    fn is_settled(&self) -> bool {
        matches!(self.phase, CallPhase::Approved | CallPhase::Failed(_))
    }

    fn published(&mut self, attempt: u32) {
        if !self.is_settled() && attempt > self.attempts {
            self.attempts = attempt;
            self.phase = CallPhase::Published;
        }
    }

    fn approved(&mut self) {
        if !self.is_settled() {
            self.phase = CallPhase::Approved;
        }
    }

    fn failed(&mut self, attempt: u32, kind: FailureKind, reason: &str) {
        if self.is_settled() {
            return;
        }
        match kind {
            FailureKind::Permanent => self.phase = CallPhase::Failed(reason.to_owned()),
            FailureKind::Unknown => self.moved(attempt, CallPhase::Unanswered),
            FailureKind::Retryable => self.moved(attempt, CallPhase::Unreachable),
        }
    }

    fn queried(&mut self, attempt: u32, outcome: QueriedOutcome) {
        match outcome {
            // What it said of the command itself is on record beside this, as success or failure of the step.
            QueriedOutcome::Approved | QueriedOutcome::Declined => {}
            QueriedOutcome::NotSeen => self.moved(attempt, CallPhase::NotSeen),
            QueriedOutcome::Unknown => self.moved(attempt, CallPhase::Unreachable),
        }
    }

    /// Whatever tells of an attempt that is not the last one is late.
    fn moved(&mut self, attempt: u32, phase: CallPhase) {
        if !self.is_settled() && attempt == self.attempts {
            self.phase = phase;
        }
    }
}

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
    pub(crate) hold: HoldProgress,
    pub(crate) authorise: CallProgress,
    pub(crate) capture: CallProgress,
    pub(crate) void: CallProgress,
    pub(crate) compensation: Option<(CompensationReason, String)>,
    pub(crate) parked: Option<String>,
    pub(crate) recovery_id: Option<String>,
    pub(crate) outcome: Option<Outcome>,
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
            hold: HoldProgress::None,
            authorise: CallProgress::default(),
            capture: CallProgress::default(),
            void: CallProgress::default(),
            compensation: None,
            parked: None,
            recovery_id: None,
            outcome: None,
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

    /// The command whose outcome nothing on record tells.
    #[must_use]
    pub fn in_doubt(&self) -> Option<GatewayCommand> {
        if self.outcome.is_some() {
            return None;
        }
        let all = [GatewayCommand::Void, GatewayCommand::Capture, GatewayCommand::Authorise];
        all.into_iter().find(|command| self.call(*command).is_some_and(CallProgress::is_in_doubt))
    }

    /// Whether the capture was published: from then on there is only completion, or review.
    #[must_use]
    pub fn is_past_pivot(&self) -> bool {
        self.capture.attempts > 0
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
        let stuck = |call: &CallProgress| call.is_in_doubt() && call.phase != CallPhase::Published;
        match (&self.capture, &self.authorise) {
            (capture, _) if capture.phase == CallPhase::Approved => PaymentState::Captured,
            (capture, _) if stuck(capture) => PaymentState::OutcomeUnknown(Step::Capture),
            (capture, _) if capture.attempts > 0 => PaymentState::Capturing,
            (_, authorise) if authorise.phase == CallPhase::Approved => PaymentState::Charged,
            (_, authorise) if stuck(authorise) => PaymentState::OutcomeUnknown(Step::Charge),
            (_, authorise) if authorise.attempts > 0 => PaymentState::Charging,
            _ if self.hold == HoldProgress::Held => PaymentState::FundsReserved,
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
        self.apply_fact(event, context.sequence);
    }

    fn apply_fact(&mut self, event: &PaymentEvent, sequence: Sequence) {
        if self.outcome.is_some() {
            return;
        }
        match event {
            PaymentEvent::PaymentStarted(fact) => {
                self.started.get_or_insert_with(|| fact.clone());
            }
            PaymentEvent::StepCommandPublished(fact) => match fact.step {
                Step::Charge => self.authorise.published(fact.attempt),
                Step::Capture => self.capture.published(fact.attempt),
                Step::Reserve => {}
            },
            PaymentEvent::StepSucceeded(fact) => self.step_succeeded(fact),
            PaymentEvent::StepFailed(fact) => self.step_failed(fact),
            PaymentEvent::RetryScheduled(RetryScheduled { command, attempt, due }) => {
                if let Some(call) = self.call_mut(*command) {
                    call.moved(*attempt, CallPhase::Scheduled(*due));
                }
            }
            PaymentEvent::OutcomeQueried(fact) => {
                if let Some(call) = self.call_mut(fact.command) {
                    call.queried(fact.attempt, fact.outcome);
                }
            }
            PaymentEvent::CompensationInitiated(fact) => {
                self.compensation.get_or_insert_with(|| (fact.reason, fact.detail.clone()));
            }
            PaymentEvent::CompensationStepPublished(fact) => {
                if fact.step == Step::Charge {
                    self.void.published(fact.attempt);
                }
            }
            PaymentEvent::CompensationStepSucceeded(fact) => match fact.step {
                Step::Charge => self.void.approved(),
                Step::Reserve if self.hold == HoldProgress::Held => self.hold = HoldProgress::Released,
                Step::Reserve | Step::Capture => {}
            },
            PaymentEvent::CompensationStepFailed(fact) => match fact.step {
                Step::Charge => self.void.failed(fact.attempt, fact.kind, &fact.reason),
                Step::Reserve if self.hold == HoldProgress::Held => {
                    self.hold = HoldProgress::ReleaseRefused(fact.reason.clone());
                }
                Step::Reserve | Step::Capture => {}
            },
            PaymentEvent::PaymentCompleted(_) => {
                if self.hold == HoldProgress::Held {
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
        }
    }

    fn step_succeeded(&mut self, fact: &StepSucceeded) {
        match fact.step {
            Step::Reserve if self.hold == HoldProgress::None => self.hold = HoldProgress::Held,
            Step::Reserve => {}
            Step::Charge => self.authorise.approved(),
            Step::Capture => self.capture.approved(),
        }
    }

    fn step_failed(&mut self, fact: &StepFailed) {
        match fact.step {
            Step::Reserve if self.hold == HoldProgress::None => {
                self.hold = HoldProgress::Refused(fact.reason.clone());
            }
            Step::Reserve => {}
            Step::Charge => self.authorise.failed(fact.attempt, fact.kind, &fact.reason),
            Step::Capture => self.capture.failed(fact.attempt, fact.kind, &fact.reason),
        }
    }

    fn end(&mut self, kind: OutcomeKind, reason: String, sequence: Sequence) {
        self.outcome = Some(Outcome { kind, reason, sequence });
    }

    /// Whether something may be authorised that is not voided yet, nor given up.
    pub(crate) fn is_charge_to_undo(&self) -> bool {
        self.may_be_authorised() && !self.void.is_settled()
    }

    /// Whether something is, or may be, authorised.
    pub(crate) fn may_be_authorised(&self) -> bool {
        self.authorise.attempts > 0 && !matches!(self.authorise.phase, CallPhase::Failed(_))
    }

    pub(crate) fn call(&self, command: GatewayCommand) -> Option<&CallProgress> {
        match command {
            GatewayCommand::Authorise => Some(&self.authorise),
            GatewayCommand::Capture => Some(&self.capture),
            GatewayCommand::Void => Some(&self.void),
            GatewayCommand::Refund => None,
        }
    }

    fn call_mut(&mut self, command: GatewayCommand) -> Option<&mut CallProgress> {
        match command {
            GatewayCommand::Authorise => Some(&mut self.authorise),
            GatewayCommand::Capture => Some(&mut self.capture),
            GatewayCommand::Void => Some(&mut self.void),
            GatewayCommand::Refund => None,
        }
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
