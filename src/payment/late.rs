//! A charge that came after the payment had ended unpaid: it is put on record and given back. The outcome stays.

use super::event::LateSuccessDetected;
use super::gateway::{GatewayCommand, GatewayOutcome};
use super::operator::refused;
use super::orchestrator::Orchestrator;
use super::outcome::OutcomeKind;
use super::refusal::PaymentRefusal;
use super::state::PaymentSaga;
use crate::aggregate::ExecuteError;
use crate::error::{Error, ErrorKind};

type Reported = Result<PaymentSaga, ExecuteError<PaymentRefusal>>;

impl Orchestrator {
    /// Puts on record that a payment which ended unpaid was charged to the card nevertheless; `reference` is the gateway's
    /// name for the charge. It is given back once, under a key of its own, and never more than the card's part:
    /// [`drive`](Self::drive) or [`advance`](Self::advance) do so, and until it is done the payment is among the
    /// [`incomplete`](Self::incomplete) ones. Reported again, nothing changes.
    ///
    /// # Errors
    /// [`PaymentRefusal::NotOver`], [`AlreadyOver`](PaymentRefusal::AlreadyOver): it is completed, and the charge is its own;
    /// [`NoCardPart`](PaymentRefusal::NoCardPart). `NotFound`: there is no such payment. As [`start`](Self::start), and
    /// `Conflict`.
    pub fn report_late_success(&self, payment_id: &str, reference: &str) -> Reported {
        self.operate(payment_id, None, reference, |draft| {
            let Some(outcome) = draft.saga.outcome() else { return Err(refused(PaymentRefusal::NotOver)) };
            if outcome.kind == OutcomeKind::Completed {
                return Err(refused(PaymentRefusal::AlreadyOver { outcome: outcome.kind }));
            }
            let Some(amount) = draft.saga.card_part() else { return Err(refused(PaymentRefusal::NoCardPart)) };
            if draft.saga.late_success().is_none() {
                let reference = reference.to_owned();
                draft.push(LateSuccessDetected { reference, amount: amount.minor }.into());
            }
            Ok(())
        })
    }

    /// Asks the gateway whether a payment that ended unpaid was charged nevertheless, and puts that on record as
    /// [`report_late_success`](Self::report_late_success) does. Only where nobody can say that it was not: a capture was
    /// published. Returns whether a charge was found, now or before.
    ///
    /// An authorisation whose void was given up is no charge: nothing was taken that could be given back. It lapses with whoever
    /// issued the card, or is let go there by the operator who resolved the payment.
    ///
    /// # Errors
    /// As [`report_late_success`](Self::report_late_success).
    pub fn look_for_late_success(&self, payment_id: &str) -> Result<bool, ExecuteError<PaymentRefusal>> {
        let Some(saga) = self.load(payment_id)? else {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no payment {payment_id:?}")).into());
        };
        let Some(outcome) = saga.outcome() else { return Err(refused(PaymentRefusal::NotOver)) };
        if outcome.kind == OutcomeKind::Completed {
            return Err(refused(PaymentRefusal::AlreadyOver { outcome: outcome.kind }));
        }
        if saga.late_success().is_some() {
            return Ok(true);
        }
        if !saga.call(GatewayCommand::Capture).may_have_acted() {
            return Ok(false);
        }
        let found = self.inner.gateway.query(&GatewayCommand::Capture.key(payment_id));
        self.cut_point()?;
        match found {
            GatewayOutcome::Approved { reference } => self.report_late_success(payment_id, &reference).map(|_| true),
            _ => Ok(false),
        }
    }
}
