//! Payments that wait for somebody: made through the library, since the command reaches no gateway.

use std::sync::Arc;

use bitacora::aggregate::Repository;
use bitacora::money::{Currency, Money};
use bitacora::payment::{
    FileGateway, GatewayAnswer, GatewayOutcome, GatewayProfile, Orchestrator, OrchestratorOptions, PaymentGateway,
    PaymentRequest,
};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::Wallet;
use bitacora::{Options, Store};

use super::Place;

/// A gateway that authorises and takes nothing: its captures are refused.
struct TakesNothing(FileGateway);

impl PaymentGateway for TakesNothing {
    fn authorise(&self, key: &str, amount: Money, reference: &str) -> GatewayAnswer {
        self.0.authorise(key, amount, reference)
    }

    fn capture(&self, _key: &str, _authorise_key: &str, _amount: Money) -> GatewayAnswer {
        GatewayAnswer::Declined { reason: "not today".to_owned() }
    }

    fn void(&self, key: &str, authorise_key: &str) -> GatewayAnswer {
        self.0.void(key, authorise_key)
    }

    fn refund(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        self.0.refund(key, capture_key, amount)
    }

    fn query(&self, key: &str) -> GatewayOutcome {
        self.0.query(key)
    }
}

fn euro() -> Currency {
    "EUR".parse().unwrap()
}

fn orchestrator(store: &Store, gateway: Arc<dyn PaymentGateway>) -> Orchestrator {
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
    Orchestrator::new(wallets, gateway, OrchestratorOptions::default()).unwrap()
}

/// A payment of Ana's of 300 from the wallet and 200 by card that is parked for review: its capture was refused.
pub(crate) fn park(place: &Place, payment_id: &str) {
    let store = Store::open(place.store(), Options::new()).unwrap();
    let gateway = FileGateway::open_with(place.join("gateway"), GatewayProfile::always_approve()).unwrap();
    let payments = orchestrator(&store, Arc::new(TakesNothing(gateway)));
    payments.run(PaymentRequest::new(payment_id, "ana", euro()).by_wallet(300).by_card(200)).unwrap_err();
    store.close().unwrap();
}

/// One of the same that was put on record and not begun with.
pub(crate) fn begin(place: &Place, payment_id: &str) {
    let store = Store::open(place.store(), Options::new()).unwrap();
    let gateway = FileGateway::open_with(place.join("gateway"), GatewayProfile::always_approve()).unwrap();
    let payments = orchestrator(&store, Arc::new(gateway));
    payments.start(PaymentRequest::new(payment_id, "ana", euro()).by_wallet(300).by_card(200)).unwrap();
    store.close().unwrap();
}
