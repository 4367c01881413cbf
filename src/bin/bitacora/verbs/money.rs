//! A store that is made ready for commands on its wallets and payments.

use std::path::Path;
use std::sync::Arc;

use bitacora::money::Money;
use bitacora::payment::{FileGateway, GatewayAnswer, GatewayOutcome, PaymentGateway, PaymentSaga};
use bitacora::service::{SagaDecision, Strategy, Trigger};
use bitacora::{ErrorKind, Options, Store, Timestamp};

use crate::exit::Failure;
use crate::till::{RETRY_DELAY_MS, Till};

/// A gateway that is not there. Whoever has none decides what is to be done, and carries out nothing outside.
pub(crate) struct Unreachable;

impl PaymentGateway for Unreachable {
    fn authorise(&self, _key: &str, _amount: Money, _reference: &str) -> GatewayAnswer {
        GatewayAnswer::Offline
    }

    fn capture(&self, _key: &str, _authorise_key: &str, _amount: Money) -> GatewayAnswer {
        GatewayAnswer::Offline
    }

    fn void(&self, _key: &str, _authorise_key: &str) -> GatewayAnswer {
        GatewayAnswer::Offline
    }

    fn refund(&self, _key: &str, _capture_key: &str, _amount: Money) -> GatewayAnswer {
        GatewayAnswer::Offline
    }

    fn query(&self, _key: &str) -> GatewayOutcome {
        GatewayOutcome::Offline
    }

    fn is_online(&self) -> bool {
        false
    }
}

/// A till's services with a gateway or without.
pub(crate) struct Desk {
    pub(crate) till: Till,
    pub(crate) has_gateway: bool,
}

impl Desk {
    /// Opens the store, recovers it to ready, and goes on with the payments that were under way.
    pub(crate) fn open(dir: &Path, gateway: Option<&Path>, options: Options) -> Result<Self, Failure> {
        let store = Store::open(dir, options).map_err(|error| Failure::opening(&error))?;
        Ok(Self::over(store, gateway)?)
    }

    /// The same over a store that is open.
    pub(crate) fn over(store: Store, gateway: Option<&Path>) -> bitacora::Result<Self> {
        let has_gateway = gateway.is_some();
        let gateway: Arc<dyn PaymentGateway> = match gateway {
            Some(folder) => Arc::new(FileGateway::open(folder)?),
            None => Arc::new(Unreachable),
        };
        let till = Till::over(store, gateway, RETRY_DELAY_MS)?;
        let report = till.recovery.recover(Trigger::Open, Strategy::Incremental)?;
        till.recovery.gate().check()?;
        let desk = Self { till, has_gateway };
        for decision in [SagaDecision::Resumed, SagaDecision::Compensating] {
            for payment_id in report.sagas_with(decision) {
                desk.go_on(payment_id)?;
            }
        }
        Ok(desk)
    }

    /// Goes on with a payment to its end; without a gateway, or where a person has to decide, as far as it goes.
    pub(crate) fn go_on(&self, payment_id: &str) -> bitacora::Result<()> {
        let orchestrator = &self.till.orchestrator;
        let outcome = if self.has_gateway {
            orchestrator.drive(payment_id).map(drop)
        } else {
            // Until it would have to wait: for the network, that is.
            orchestrator.advance(payment_id, Timestamp::EPOCH).map(drop)
        };
        match outcome {
            Err(error) if error.kind() == ErrorKind::NotReady => Ok(()),
            outcome => outcome,
        }
    }

    /// A payment that is there.
    pub(crate) fn payment(&self, payment_id: &str) -> bitacora::Result<Option<PaymentSaga>> {
        self.till.orchestrator.load(payment_id)
    }

    /// Leaves little for the next recovery to do, and closes the store.
    pub(crate) fn close(self) -> Result<(), Failure> {
        Ok(self.till.close()?)
    }
}
