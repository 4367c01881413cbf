//! The supervisor: recovers services that have failed, with a growing delay and a limit, and stops none of the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::{HealthState, RecoverOptions, RecoveryService, ServiceHealth, Strategy, Trigger};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Condvar, Mutex};
use crate::types::Timestamp;

/// When failed services are recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupervisorOptions {
    /// How often health is asked for. Default 1 s.
    pub check_every: Duration,
    /// From a restart to the next one of the same service, if it fails again. The first restart is made at once. Default 1 s.
    pub delay_initial: Duration,
    /// What the delay grows by with each further restart within the window. Default 2.
    pub delay_factor: u32,
    /// The longest delay. Default 60 s.
    pub delay_max: Duration,
    /// Restarts of a service within the window; then it is given up. Default 5.
    pub restarts_max: u32,
    /// How long a restart counts. Default 10 minutes.
    pub window: Duration,
    /// What states are made from. Default incremental.
    pub strategy: Strategy,
}

impl Default for SupervisorOptions {
    fn default() -> Self {
        Self {
            check_every: Duration::from_secs(1),
            delay_initial: Duration::from_secs(1),
            delay_factor: 2,
            delay_max: Duration::from_mins(1),
            restarts_max: 5,
            window: Duration::from_mins(10),
            strategy: Strategy::Incremental,
        }
    }
}

/// What is to be done about a service that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Restart,
    WaitUntil(Timestamp),
    GiveUp,
}

impl SupervisorOptions {
    fn check(&self) -> Result<()> {
        let invalid = |why: &str| Err(Error::new(ErrorKind::InvalidInput, format!("supervisor: {why}")));
        if self.check_every.is_zero() {
            return invalid("health cannot be asked for every 0 s");
        }
        if self.delay_factor == 0 {
            return invalid("the delay's factor is 0");
        }
        if self.delay_max < self.delay_initial {
            return invalid("the longest delay is below the first one");
        }
        Ok(())
    }

    /// How long after a restart, of which there were `restarts` within the window, the next one may follow.
    fn delay(&self, restarts: usize) -> Duration {
        let growth = u32::try_from(restarts.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = self.delay_factor.saturating_pow(growth);
        self.delay_initial.saturating_mul(factor).min(self.delay_max)
    }

    /// What is to be done at `now` about a service that has failed, and was restarted at these times. Pure.
    fn decide(&self, restarts: &VecDeque<Timestamp>, now: Timestamp) -> Decision {
        let counting = restarts.iter().filter(|restart| now < restart.plus(self.window)).count();
        if counting >= usize::try_from(self.restarts_max).unwrap_or(usize::MAX) {
            return Decision::GiveUp;
        }
        match restarts.back() {
            Some(last) if counting > 0 => {
                let due = last.plus(self.delay(counting));
                if now < due { Decision::WaitUntil(due) } else { Decision::Restart }
            }
            _ => Decision::Restart,
        }
    }
}

/// Recovers services that have failed. It never waits by itself: [`poll`](Self::poll) does what is due and says when the next
/// thing is; [`start`](Self::start) has a thread do so.
#[derive(Debug)]
pub struct Supervisor {
    recovery: Arc<RecoveryService>,
    options: SupervisorOptions,
    /// When each service was restarted, oldest first. At most `restarts_max` each.
    restarts: Mutex<BTreeMap<String, VecDeque<Timestamp>>>,
}

impl Supervisor {
    /// A supervisor over these services.
    ///
    /// # Errors
    /// `InvalidInput`: the options are not in their ranges.
    pub fn new(recovery: Arc<RecoveryService>, options: SupervisorOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { recovery, options, restarts: Mutex::new(BTreeMap::new()) })
    }

    /// The services.
    #[must_use]
    pub fn recovery(&self) -> &Arc<RecoveryService> {
        &self.recovery
    }

    /// Asks every service how it is, makes those ready that never were, and recovers those that have failed and whose delay is
    /// over. One that failed too often is
    /// given up: it stays closed, with the reason in [`health`](RecoveryService::health), until it is recovered by hand or
    /// [taken back](Self::take_back). Returns when to poll next; `None` where all services are given up. That a recovery failed
    /// is in the health, and counts as a restart.
    pub fn poll(&self, now: Timestamp) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        let (mut due, mut starting) = (BTreeSet::new(), BTreeSet::new());
        let mut at = |time: Timestamp| next = Some(next.map_or(time, |next| next.min(time)));
        let soon = now.plus(self.options.check_every);
        for ServiceHealth { service_id, state, reason, .. } in self.recovery.health().services {
            match state {
                HealthState::GivenUp => {}
                HealthState::Healthy => at(soon),
                HealthState::Starting => {
                    at(soon);
                    starting.insert(service_id);
                }
                HealthState::Failed => {
                    let reason = reason.unwrap_or_default();
                    // Nobody is to rest on it from here on; the others go on.
                    let closed = format!("service {service_id} does not serve: {reason}");
                    self.recovery.gate.close(&service_id, &closed);
                    match self.decide(&service_id, now) {
                        Decision::Restart => {
                            at(soon);
                            due.insert(service_id);
                        }
                        Decision::WaitUntil(time) => at(time),
                        Decision::GiveUp => self.give_up(&service_id, &reason),
                    }
                }
            }
        }
        self.note_restarts(&due, now);
        due.append(&mut starting);
        self.recover(&due);
        next
    }

    /// Supervises a service again that was given up.
    pub fn take_back(&self, service_id: &str) {
        self.restarts.lock().remove(service_id);
        self.recovery.each_member(|member| {
            if member.id() == service_id {
                member.take_back();
            }
        });
    }

    /// Has a thread poll by the store's time, until the handle is dropped.
    ///
    /// # Errors
    /// `Io`: there is no thread to be had.
    pub fn start(self: &Arc<Self>) -> Result<SupervisorThread> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (supervisor, stopping) = (Arc::clone(self), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("bitacora-supervisor".to_owned())
            .spawn(move || supervisor.run(&stopping))
            .map_err(|source| Error::from_io("start the supervisor's thread", source))?;
        Ok(SupervisorThread { stop, thread: Some(thread) })
    }

    fn run(&self, stopping: &(Mutex<bool>, Condvar)) {
        let (is_stopped, changed) = stopping;
        loop {
            let now = self.recovery.store.now();
            // Also where nothing is left to restart: somebody may take a service back.
            let wait = self.poll(now).map_or(self.options.check_every, |next| next.since(now));
            let mut is_stopped = is_stopped.lock();
            if !*is_stopped {
                changed.wait_for(&mut is_stopped, wait.min(self.options.check_every));
            }
            if *is_stopped {
                return;
            }
        }
    }

    fn decide(&self, service_id: &str, now: Timestamp) -> Decision {
        let restarts = self.restarts.lock();
        self.options.decide(restarts.get(service_id).unwrap_or(&VecDeque::new()), now)
    }

    fn note_restarts(&self, due: &BTreeSet<String>, now: Timestamp) {
        let mut restarts = self.restarts.lock();
        for service_id in due {
            let times = restarts.entry(service_id.clone()).or_default();
            times.push_back(now);
            while times.len() > usize::try_from(self.options.restarts_max.max(1)).unwrap_or(usize::MAX) {
                times.pop_front();
            }
        }
    }

    fn recover(&self, due: &BTreeSet<String>) {
        // One after the other: a registered service waits for the wallets and the sagas, and they for none of those.
        let core: BTreeSet<String> = self.recovery.core.iter().map(|member| member.id().to_owned()).collect();
        let together: BTreeSet<String> = due.intersection(&core).cloned().collect();
        let groups = [together].into_iter().filter(|group| !group.is_empty());
        let alone = due.difference(&core).map(|service_id| BTreeSet::from([service_id.clone()]));
        for group in groups.chain(alone) {
            let options = RecoverOptions::default();
            if let Err(error) =
                self.recovery.recover_of(Trigger::HealthCheck, self.options.strategy, options, Some(&group))
            {
                tracing::warn!(?group, %error, "a restart failed");
                self.note_failure(&group, &error);
            }
        }
    }

    /// A service that could not be recovered says why, so that a health report does.
    fn note_failure(&self, group: &BTreeSet<String>, error: &Error) {
        let reason = format!("it could not be recovered: {error}");
        self.recovery.each_member(|member| {
            if group.contains(member.id()) && !member.is_healthy() {
                member.fail(&reason);
            }
        });
    }

    fn give_up(&self, service_id: &str, reason: &str) {
        let SupervisorOptions { restarts_max, window, .. } = self.options;
        let reason = format!("given up after {restarts_max} restarts within {} s: {reason}", window.as_secs());
        tracing::error!(service_id, reason, "a service is given up");
        self.recovery.gate.close(service_id, &reason);
        self.recovery.each_member(|member| {
            if member.id() == service_id {
                member.give_up(&reason);
            }
        });
    }
}

/// A supervisor's thread. It ends when this is dropped, after the recovery that it is at.
#[derive(Debug)]
#[must_use = "the thread ends when this is dropped"]
pub struct SupervisorThread {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for SupervisorThread {
    fn drop(&mut self) {
        let (is_stopped, changed) = &*self.stop;
        *is_stopped.lock() = true;
        changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the supervisor's thread panicked");
        }
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
