//! A card gateway during whose call something happens to the store.

use std::fmt;
use std::sync::Mutex;

use bitacora::money::Money;
use bitacora::payment::{FileGateway, GatewayAnswer, GatewayOutcome, PaymentGateway};

/// The gateway, and what happens before its first authorisation.
pub struct DisturbedGateway {
    inner: FileGateway,
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl DisturbedGateway {
    /// The gateway; `act` is called once, when a payment that is on record waits for its first authorisation.
    #[must_use]
    pub fn new(inner: FileGateway, act: impl FnOnce() + Send + 'static) -> Self {
        Self { inner, act: Mutex::new(Some(Box::new(act))) }
    }
}

impl fmt::Debug for DisturbedGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DisturbedGateway").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl PaymentGateway for DisturbedGateway {
    fn authorise(&self, key: &str, amount: Money, reference: &str) -> GatewayAnswer {
        let act = self.act.lock().expect("no panic under this lock").take();
        if let Some(act) = act {
            act();
        }
        self.inner.authorise(key, amount, reference)
    }

    fn capture(&self, key: &str, authorise_key: &str, amount: Money) -> GatewayAnswer {
        self.inner.capture(key, authorise_key, amount)
    }

    fn void(&self, key: &str, authorise_key: &str) -> GatewayAnswer {
        self.inner.void(key, authorise_key)
    }

    fn refund(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        self.inner.refund(key, capture_key, amount)
    }

    fn query(&self, key: &str) -> GatewayOutcome {
        self.inner.query(key)
    }
}
