//! A gateway in memory that behaves as [`FileGateway`](super::FileGateway) does, for tests and simulations.

use std::fmt;
use std::sync::Arc;

use super::gateway::{GatewayAnswer, GatewayCommand, GatewayOutcome, PaymentGateway};
use super::gateway_journal::{Journal, Scan};
use super::gateway_ledger::{Call, Entry, GatewayProfile, Ledger};
use crate::money::Money;
use crate::sync::{AtomicBool, Mutex, Ordering};

#[derive(Clone, Debug, Default)]
struct State {
    ledger: Ledger,
    entries: Vec<Entry>,
}

/// A card gateway in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryGateway {
    profile: GatewayProfile,
    state: Arc<Mutex<State>>,
    is_online: Arc<AtomicBool>,
}

impl fmt::Debug for MemoryGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryGateway").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl MemoryGateway {
    /// A gateway that has seen nothing.
    #[must_use]
    pub fn new(profile: GatewayProfile) -> Self {
        Self { profile, state: Arc::default(), is_online: Arc::new(AtomicBool::new(true)) }
    }

    /// The money it moved, added up from its calls.
    #[must_use]
    pub fn journal(&self) -> Journal {
        let entries = self.state.lock().entries.clone();
        Journal::of(&Scan { entries, ..Scan::default() })
    }

    /// Another gateway that has seen the same so far, and goes its own way from here: for simulations that look at what
    /// would follow from one moment.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.state.lock().clone();
        let is_online = Arc::new(AtomicBool::new(self.is_online()));
        Self { profile: self.profile, state: Arc::new(Mutex::new(state)), is_online }
    }

    /// Takes its network away, or gives it back: without one nothing arrives and nothing is kept.
    pub fn set_online(&self, is_online: bool) {
        self.is_online.store(is_online, Ordering::SeqCst);
    }

    fn call(&self, call: &Call<'_>) -> GatewayAnswer {
        if !self.is_online() {
            return GatewayAnswer::Offline;
        }
        let mut state = self.state.lock();
        let (entry, answer) = state.ledger.decide(&self.profile, call);
        state.keep(entry);
        answer
    }
}

impl State {
    fn keep(&mut self, entry: Option<Entry>) {
        if let Some(entry) = entry {
            self.ledger.apply(&entry);
            self.entries.push(entry);
        }
    }
}

impl PaymentGateway for MemoryGateway {
    fn authorise(&self, key: &str, amount: Money, _reference: &str) -> GatewayAnswer {
        self.call(&Call { command: GatewayCommand::Authorise, key, target: "", amount: Some(amount) })
    }

    fn capture(&self, key: &str, authorise_key: &str, amount: Money) -> GatewayAnswer {
        self.call(&Call { command: GatewayCommand::Capture, key, target: authorise_key, amount: Some(amount) })
    }

    fn void(&self, key: &str, authorise_key: &str) -> GatewayAnswer {
        self.call(&Call { command: GatewayCommand::Void, key, target: authorise_key, amount: None })
    }

    fn refund(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        self.call(&Call { command: GatewayCommand::Refund, key, target: capture_key, amount: Some(amount) })
    }

    fn query(&self, key: &str) -> GatewayOutcome {
        if !self.is_online() {
            return GatewayOutcome::Offline;
        }
        let mut state = self.state.lock();
        let (entry, outcome) = state.ledger.decide_query(&self.profile, key);
        state.keep(entry);
        outcome
    }

    fn settles(&self) -> bool {
        self.profile.settles
    }

    fn settle(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        self.call(&Call { command: GatewayCommand::Settle, key, target: capture_key, amount: Some(amount) })
    }

    fn is_online(&self) -> bool {
        self.is_online.load(Ordering::SeqCst)
    }
}
