//! How the services are, as one report.

use std::collections::BTreeMap;

use serde::Serialize;

use super::member::Member;
use super::{Health, RecoveryService};
use crate::clock::ClockState;

/// How a service is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthState {
    /// It was not made ready yet.
    Starting,
    /// It serves.
    Healthy,
    /// It does not serve.
    Failed,
    /// It does not serve, and is not recovered by itself any more.
    GivenUp,
}

/// How a service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServiceHealth {
    /// The service.
    pub service_id: String,
    /// How it is.
    pub state: HealthState,
    /// Why it does not serve, where it does not.
    pub reason: Option<String>,
    /// Whether commands on it, or questions to it, are let through.
    pub is_open: bool,
    /// How often it was made ready again.
    pub restarts: u64,
}

/// How the services are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HealthReport {
    /// Whether commands on wallets and sagas are let through.
    pub is_ready: bool,
    /// Whether every service serves, nothing is quarantined, and the clock is believed.
    pub is_well: bool,
    /// How far the wall clock has jumped ahead of store time, milliseconds, where it is not believed: timers pause until it
    /// returns, or somebody [accepts](crate::Store::accept_clock) it.
    pub clock_suspect_ahead_by_ms: Option<u64>,
    /// The wallets, the sagas, then what was registered, in that order.
    pub services: Vec<ServiceHealth>,
    /// Quarantined streams, each with the reason.
    pub quarantined: BTreeMap<String, String>,
    /// The last recovery of this process that came to its end.
    pub last_recovery_id: Option<String>,
    /// How often services were made ready again, all of them together.
    pub restarts: u64,
}

impl RecoveryService {
    /// How the services are. Asks each; changes nothing.
    #[must_use]
    pub fn health(&self) -> HealthReport {
        let services: Vec<ServiceHealth> = self.each_member(|member| self.health_of(member));
        let quarantined = self.gate.quarantined();
        let is_serving = services.iter().all(|service| service.state == HealthState::Healthy && service.is_open);
        let clock_suspect_ahead_by_ms = match self.store.clock_state() {
            ClockState::Suspect { ahead_by, .. } => Some(u64::try_from(ahead_by.as_millis()).unwrap_or(u64::MAX)),
            ClockState::Trusted => None,
        };
        HealthReport {
            is_ready: self.gate.is_open(),
            is_well: is_serving && quarantined.is_empty() && clock_suspect_ahead_by_ms.is_none(),
            clock_suspect_ahead_by_ms,
            restarts: services.iter().map(|service| service.restarts).fold(0, u64::saturating_add),
            services,
            quarantined,
            last_recovery_id: self.last_recovery_id.lock().clone(),
        }
    }

    fn health_of(&self, member: &Member) -> ServiceHealth {
        let (state, reason) = match (member.health(), member.given_up()) {
            (Health::Healthy, _) => (HealthState::Healthy, None),
            (Health::Starting | Health::Failed(_), Some(reason)) => (HealthState::GivenUp, Some(reason)),
            (Health::Starting, None) => (HealthState::Starting, None),
            (Health::Failed(reason), None) => (HealthState::Failed, Some(reason)),
        };
        ServiceHealth {
            service_id: member.id().to_owned(),
            state,
            reason,
            is_open: self.gate.check_service(member.id()).is_ok(),
            restarts: member.restarts(),
        }
    }
}
