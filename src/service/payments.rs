//! The payment service: the orchestrator's payments, which are restored from their events alone.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::wallets::is_about_one_aggregate;
use super::{Finding, FindingKind, Health, Restored, SagaDecision, SagaService, SagaView, Scope, Service};
use crate::error::Result;
use crate::payment::{Orchestrator, PAYMENT_TYPE, PaymentSaga, ResumeDecision};
use crate::sync::Mutex;
use crate::types::{Sequence, Timestamp};

/// The id of the payment service.
pub const PAYMENTS_SERVICE: &str = "payments";

/// The payments.
pub struct PaymentService {
    orchestrator: Orchestrator,
    health: Mutex<Health>,
}

impl fmt::Debug for PaymentService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentService").field("health", &self.health()).finish_non_exhaustive()
    }
}

pub(super) fn payment_stream(payment_id: &str) -> String {
    format!("{PAYMENT_TYPE}-{payment_id}")
}

impl PaymentService {
    /// The service over this orchestrator; it starts unready.
    #[must_use]
    pub fn new(orchestrator: Orchestrator) -> Self {
        Self { orchestrator, health: Mutex::new(Health::Starting) }
    }

    /// Calls `look` with each payment that can be read, and makes a finding of each that cannot or that `look` finds wrong.
    fn look_at(
        &self,
        payment_ids: &BTreeSet<String>,
        mut look: impl FnMut(&PaymentSaga) -> Option<String>,
    ) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for payment_id in payment_ids {
            let (kind, detail) = match self.orchestrator.load(payment_id) {
                Ok(Some(saga)) => match look(&saga) {
                    Some(detail) => (FindingKind::InvariantBroken, detail),
                    None => continue,
                },
                Ok(None) => (FindingKind::InvariantBroken, "it has no beginning".to_owned()),
                Err(error) if is_about_one_aggregate(&error) => (FindingKind::Unreadable, error.to_string()),
                Err(error) => return Err(error.context(format_args!("load {}", payment_stream(payment_id)))),
            };
            findings.push(Finding::quarantine(payment_stream(payment_id), kind, detail));
        }
        Ok(findings)
    }
}

/// What is wrong with a payment that can be read.
fn fault(saga: &PaymentSaga) -> Option<String> {
    let started = saga.started()?;
    if started.payment_id != saga.payment_id() {
        return Some(format!("its first event is of payment {:?}", started.payment_id));
    }
    let (wallet, card) = (started.wallet_amount, started.card_amount);
    if wallet < 0 || card < 0 || wallet.checked_add(card).is_none_or(|sum| sum == 0) {
        return Some(format!("it is of {wallet} from the wallet and {card} by card"));
    }
    None
}

impl Service for PaymentService {
    fn id(&self) -> &str {
        PAYMENTS_SERVICE
    }

    fn aggregate_type(&self) -> Option<&str> {
        Some(PAYMENT_TYPE)
    }

    fn health(&self) -> Health {
        self.health.lock().clone()
    }

    fn fail(&self, reason: &str) {
        *self.health.lock() = Health::Failed(reason.to_owned());
    }

    fn restore(&self, scope: &Scope<'_>) -> Result<Restored> {
        let (mut restored, mut stored) = (Restored::default(), Vec::new());
        restored.findings = self.look_at(scope.aggregate_ids, |saga| {
            restored.aggregates += 1;
            if saga.is_stored_offline() {
                stored.push(saga.payment_id().to_owned());
            }
            restored.events_replayed = restored.events_replayed.saturating_add(saga.version().get());
            None
        })?;
        // How much was taken on trust without a network is known from here on, as it was before.
        self.orchestrator.rebuild_offline(&stored)?;
        Ok(restored)
    }

    fn validate(&self, aggregate_ids: &BTreeSet<String>) -> Result<Vec<Finding>> {
        self.look_at(aggregate_ids, fault)
    }

    fn ready(&self) {
        *self.health.lock() = Health::Healthy;
    }
}

impl SagaService for PaymentService {
    fn incomplete(&self, from: Sequence, known_open: &BTreeSet<String>) -> Result<Vec<String>> {
        self.orchestrator.incomplete(from, known_open)
    }

    fn watch(&self, from: Sequence, open: &BTreeSet<String>, held_back: &BTreeSet<String>) -> Result<()> {
        self.orchestrator.watch(from, open)?;
        held_back.iter().for_each(|payment_id| self.orchestrator.hold_back(payment_id));
        Ok(())
    }

    fn view(&self, saga_id: &str) -> Result<Option<SagaView>> {
        Ok(self.orchestrator.load(saga_id)?.map(|saga| {
            let started = saga.started().filter(|_| saga.needs_wallet());
            SagaView {
                user_id: started.map(|started| started.user_id.clone()),
                is_over: saga.is_over(),
                recovery_id: saga.recovery_id.clone(),
            }
        }))
    }

    fn resume(&self, saga_id: &str, recovery_id: &str, now: Timestamp, extend_by: Duration) -> Result<SagaDecision> {
        Ok(match self.orchestrator.resume(saga_id, recovery_id, now, extend_by)? {
            ResumeDecision::Resumed => SagaDecision::Resumed,
            ResumeDecision::Compensating => SagaDecision::Compensating,
            ResumeDecision::AlreadyFinal => SagaDecision::AlreadyFinal,
            ResumeDecision::Parked => SagaDecision::Parked,
        })
    }
}
