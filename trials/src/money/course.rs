//! A payment's life, held against the rules of its order.

use bitacora::payment::{FailureKind, GatewayCommand, OutcomeKind, PaymentEvent, Resolution, Step};

/// A payment's life as its events tell it.
#[derive(Debug, Default)]
pub struct Course {
    is_started: bool,
    /// Attempts of authorise, capture, void, settle, refund.
    attempts: [u32; 5],
    /// Authorisations that were not sent.
    unsent: u32,
    held: bool,
    released: bool,
    authorised: bool,
    charge_refused: bool,
    captured: bool,
    voided: bool,
    undone: bool,
    settles: bool,
    /// Whether the wallet's part is taken.
    pub wallet_taken: bool,
    /// Whether the gateway settled it.
    pub settled: bool,
    refund_failed: bool,
    refunded: bool,
    /// Whether its card's part was taken on trust.
    pub taken_on_trust: bool,
    /// Whether a person has to decide.
    pub parked: bool,
    /// How it ended.
    pub outcome: Option<OutcomeKind>,
    /// Minor units.
    pub card_amount: i64,
    wallet_amount: i64,
    /// Whether an operator called it off.
    pub cancelled: bool,
    /// What an operator said of it.
    pub resolved: Option<Resolution>,
    /// Whether a charge came late.
    pub late: bool,
}

const AUTHORISE: usize = 0;
const CAPTURE: usize = 1;
const VOID: usize = 2;
const SETTLE: usize = 3;
const REFUND: usize = 4;

fn rule(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

fn of_step(step: Step) -> usize {
    match step {
        Step::Capture => CAPTURE,
        Step::Settle => SETTLE,
        Step::Reserve | Step::Charge => AUTHORISE,
    }
}

impl Course {
    /// Whether an event may come here.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn take(&mut self, event: &PaymentEvent) -> Result<(), String> {
        self.take_fact(event).map_err(|why| format!("{why}: {event:?}, {self:?}"))
    }

    fn take_fact(&mut self, event: &PaymentEvent) -> Result<(), String> {
        rule(self.is_started != matches!(event, PaymentEvent::PaymentStarted(_)), "it begins once")?;
        if self.outcome.is_some() {
            return self.take_late(event);
        }
        match event {
            PaymentEvent::PaymentStarted(fact) => {
                self.is_started = true;
                (self.wallet_amount, self.card_amount) = (fact.wallet_amount, fact.card_amount);
                self.settles = fact.settles;
            }
            PaymentEvent::StepCommandPublished(fact) => {
                rule(!self.undone, "no command goes out that is being undone")?;
                rule(self.wallet_amount == 0 || self.held, "the wallet's part is held before the card's")?;
                rule(fact.step != Step::Capture || self.authorised, "nothing is captured that was not authorised")?;
                let is_taken = self.captured && (self.wallet_amount == 0 || self.wallet_taken);
                rule(fact.step != Step::Settle || (self.settles && is_taken), "what is settled was taken")?;
                self.goes_out(of_step(fact.step), fact.attempt)?;
            }
            PaymentEvent::StepSucceeded(fact) => match fact.step {
                Step::Reserve => {
                    rule(!self.held && !self.undone, "it is held once, and not when it is undone")?;
                    self.held = true;
                }
                Step::Charge => self.authorised = self.answered(AUTHORISE, fact.attempt)?,
                // The gateway names what it captures; what has no name is the wallet's part.
                Step::Capture if fact.reference.is_none() => {
                    rule(self.held && !self.wallet_taken, "what is taken was held, and is taken once")?;
                    self.wallet_taken = true;
                }
                Step::Settle => self.settled = self.answered(SETTLE, fact.attempt)?,
                Step::Capture => self.captured = self.answered(CAPTURE, fact.attempt)?,
            },
            PaymentEvent::StepFailed(fact) => {
                self.charge_refused |= fact.kind == FailureKind::Permanent && fact.step == Step::Charge;
                if fact.step != Step::Reserve && self.card_amount > 0 {
                    self.answered(of_step(fact.step), fact.attempt)?;
                }
                self.unsent += u32::from(fact.kind == FailureKind::Offline && fact.step == Step::Charge);
            }
            PaymentEvent::RetryScheduled(_) | PaymentEvent::OutcomeQueried(_) | PaymentEvent::PaymentResumed(_) => {}
            PaymentEvent::PaymentParkedForReview(_) => self.parked = true,
            PaymentEvent::DeadlineReached(_) | PaymentEvent::DeadlineScheduled(_) => {
                rule(self.attempts[CAPTURE] == 0, "no deadline counts past the point of no return")?;
            }
            PaymentEvent::OfflineAccepted(_) => {
                let is_unsent = !self.may_be_authorised() && self.attempts[AUTHORISE] > 0;
                rule(is_unsent && !self.undone && !self.taken_on_trust, "what was not sent is taken on trust, once")?;
                self.taken_on_trust = true;
            }
            other if self.take_of_operator(other)? => {}
            other if self.take_undoing(other)? => {}
            other => self.take_outcome(other)?,
        }
        Ok(())
    }

    fn take_of_operator(&mut self, event: &PaymentEvent) -> Result<bool, String> {
        match event {
            PaymentEvent::OperatorCancelled(_) => {
                rule(self.attempts[CAPTURE] == 0 && !self.undone && !self.parked, "it can be called off")?;
                self.cancelled = true;
            }
            PaymentEvent::OperatorRetried(_) => {
                rule(self.parked, "what is tried again was parked")?;
                self.parked = false;
            }
            PaymentEvent::OperatorResolved(fact) => {
                rule(self.parked, "what is resolved was parked")?;
                self.resolved = Some(fact.resolution);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_undoing(&mut self, event: &PaymentEvent) -> Result<bool, String> {
        match event {
            PaymentEvent::CompensationInitiated(_) => {
                rule(self.attempts[CAPTURE] == 0, "nothing is undone past the point of no return")?;
                rule(!self.undone, "it is undone once")?;
                rule(self.held || self.attempts[AUTHORISE] > self.unsent, "there is something to undo")?;
                self.undone = true;
            }
            PaymentEvent::CompensationStepPublished(fact) => {
                rule(self.undone, "nothing is voided that is not undone")?;
                self.goes_out(VOID, fact.attempt)?;
            }
            PaymentEvent::CompensationStepSucceeded(fact) => match fact.step {
                Step::Charge => {
                    rule(self.undone, "it is being undone")?;
                    self.voided = self.answered(VOID, fact.attempt)?;
                }
                _ => {
                    let is_wanted = self.undone || self.resolved == Some(Resolution::Compensated);
                    rule(is_wanted && self.held && !self.released, "what is released was held")?;
                    self.released = true;
                }
            },
            PaymentEvent::CompensationStepFailed(_) => rule(self.undone, "it is being undone")?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_outcome(&mut self, event: &PaymentEvent) -> Result<(), String> {
        self.outcome = Some(match event {
            PaymentEvent::PaymentCompleted(fact) => {
                let is_word = self.resolved == Some(Resolution::Completed);
                let amounts = (fact.wallet_amount, fact.card_amount);
                rule(amounts == (self.wallet_amount, self.card_amount), "what is completed is what was asked for")?;
                rule(self.card_amount == 0 || self.captured || is_word, "the card's part is captured")?;
                rule(self.wallet_amount == 0 || self.held, "the wallet's part is held")?;
                rule(!self.undone || is_word, "what is undone is not completed")?;
                rule(!self.released, "what was let go is not completed")?;
                rule(self.settled == self.settles || is_word, "it is settled where that is asked for")?;
                OutcomeKind::Completed
            }
            PaymentEvent::PaymentCompensated(_) => {
                let is_word = self.resolved == Some(Resolution::Compensated);
                rule(self.undone || is_word, "it was undone")?;
                rule(self.held == self.released, "what was held is released")?;
                rule(!self.may_be_authorised() || self.voided || is_word, "it is voided")?;
                OutcomeKind::Compensated
            }
            PaymentEvent::PaymentRejected(_) => {
                rule(!self.held && !self.may_be_authorised() && !self.undone, "nothing is to undo")?;
                OutcomeKind::Rejected
            }
            _ => return Err("nobody here asks for it".to_owned()),
        });
        rule(self.resolved.is_some() || !self.parked, "what waits for a person ends by a person's word")?;
        self.parked = false;
        Ok(())
    }

    /// What follows an outcome: a charge that came late, and its refund.
    fn take_late(&mut self, event: &PaymentEvent) -> Result<(), String> {
        rule(self.outcome != Some(OutcomeKind::Completed), "nothing follows what is completed")?;
        if let PaymentEvent::LateSuccessDetected(fact) = event {
            rule(!self.late && fact.amount == self.card_amount && fact.amount > 0, "a charge is late once")?;
            self.late = true;
            return Ok(());
        }
        rule(self.late && !self.refunded, "nothing follows an outcome but a late charge, and its refund that")?;
        match event {
            PaymentEvent::RefundPublished(fact) => {
                rule(fact.amount <= self.card_amount, "no more is given back than was due")?;
                self.goes_out(REFUND, fact.attempt)?;
            }
            PaymentEvent::RefundSucceeded(fact) => {
                rule(fact.amount <= self.card_amount, "no more is given back than was due")?;
                self.refunded = self.answered(REFUND, fact.attempt)?;
            }
            PaymentEvent::RefundFailed(fact) => {
                self.answered(REFUND, fact.attempt)?;
                self.refund_failed |= fact.kind == FailureKind::Permanent;
            }
            PaymentEvent::OperatorRetried(_) => {
                rule(self.refund_failed, "what is tried again failed")?;
                self.refund_failed = false;
            }
            PaymentEvent::RetryScheduled(fact) => rule(fact.command == GatewayCommand::Refund, "it is of the refund")?,
            PaymentEvent::OutcomeQueried(fact) => rule(fact.command == GatewayCommand::Refund, "it is of the refund")?,
            PaymentEvent::PaymentResumed(_) => {}
            _ => return Err("nothing follows an outcome".to_owned()),
        }
        Ok(())
    }

    /// Attempts are counted one by one.
    fn goes_out(&mut self, command: usize, attempt: u32) -> Result<(), String> {
        self.attempts[command] += 1;
        rule(self.attempts[command] == attempt, "attempts are counted one by one")
    }

    /// An answer is to an attempt that went out.
    fn answered(&self, command: usize, attempt: u32) -> Result<bool, String> {
        rule(1 <= attempt && attempt <= self.attempts[command], "no such attempt went out")?;
        Ok(true)
    }

    fn may_be_authorised(&self) -> bool {
        self.attempts[AUTHORISE] > self.unsent && !self.charge_refused
    }

    /// Whether its card's part was taken on trust, and the card has neither agreed nor refused.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.taken_on_trust && self.outcome.is_none() && !self.authorised && !self.charge_refused
    }

    /// Whether the gateway was to settle it.
    #[must_use]
    pub fn is_to_settle(&self) -> bool {
        self.settles
    }
}
