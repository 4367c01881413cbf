//! The flow of a recovery of the services that were registered: each fails alone, and is recovered alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::flow::add_touched;
use super::member::Member;
use super::run::Run;
use super::{Finding, FindingKind, Phase, RecoveryPoint, RecoveryService, Restored, RestoredService, Scope};
use crate::error::{Error, Result};

/// A registered service that is recovered.
pub(super) struct Attempt {
    pub(super) member: Arc<Member>,
    pub(super) point: RecoveryPoint,
    aggregate_ids: BTreeSet<String>,
    restored: Restored,
    failure: Option<String>,
}

impl Attempt {
    pub(super) fn new(member: Arc<Member>, point: RecoveryPoint) -> Self {
        let aggregate_ids = point.pending.clone();
        Self { member, point, aggregate_ids, restored: Restored::default(), failure: None }
    }

    /// Takes note that the service cannot be recovered now.
    fn failed(&mut self, run: &mut Run<'_>, error: &Error) {
        let (detail, stream) = (error.to_string(), service_stream(self.member.id()));
        self.member.fail(&detail);
        run.find(vec![Finding::notice(stream, FindingKind::ServiceFailed, detail.clone())]);
        self.failure = Some(detail);
    }

    /// Its findings. What it says of streams that are not its own stops nobody.
    fn own(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        for finding in &mut findings {
            finding.is_quarantined &= self.owned(&finding.stream).is_some();
        }
        // Only the store's own checks speak of the store.
        findings.retain(|finding| !finding.is_about_the_store());
        findings
    }

    /// The id of one of its aggregates.
    fn owned<'a>(&self, stream: &'a str) -> Option<&'a str> {
        stream.strip_prefix(self.member.aggregate_type()?)?.strip_prefix('-')
    }

    pub(super) fn report(&self) -> RestoredService {
        RestoredService {
            service_id: self.member.id().to_owned(),
            restored: self.restored.aggregates,
            events_replayed: self.restored.events_replayed,
            failure: self.failure.clone(),
        }
    }
}

/// What findings about a service are filed under.
pub(super) fn service_stream(service_id: &str) -> String {
    format!("service/{service_id}")
}

impl RecoveryService {
    pub(super) fn restore_registered(&self, run: &mut Run<'_>, attempts: &mut [Attempt]) -> Result<()> {
        if attempts.is_empty() {
            return Ok(());
        }
        let mut restored: u64 = 0;
        for attempt in attempts {
            let from = attempt.point.last_event_sequence;
            if let Some(aggregate_type) = attempt.member.aggregate_type() {
                add_touched(&self.store, aggregate_type, from, run.end, &mut attempt.aggregate_ids)?;
            }
            let options = run.options;
            let total = if attempt.member.aggregate_type().is_some() {
                u64::try_from(attempt.aggregate_ids.len()).unwrap_or(u64::MAX)
            } else {
                run.end.get().saturating_sub(from.get())
            };
            let scope = Scope {
                aggregate_ids: &attempt.aggregate_ids,
                strategy: run.strategy,
                snapshots: &BTreeMap::new(),
                from,
                end: run.end,
                threads: run.threads(),
                progress: &|done| options.tell(Phase::RestoreServices, done, total),
            };
            let outcome = attempt.member.guard("restoring", || attempt.member.service().restore(&scope));
            match outcome {
                Ok(mut outcome) => {
                    run.find(attempt.own(std::mem::take(&mut outcome.findings)));
                    restored = restored.saturating_add(outcome.aggregates);
                    attempt.restored = outcome;
                }
                Err(error) => attempt.failed(run, &error),
            }
        }
        run.done(Phase::RestoreServices, restored);
        Ok(())
    }

    pub(super) fn validate_registered(run: &mut Run<'_>, attempts: &mut [Attempt]) {
        if attempts.is_empty() {
            return;
        }
        let mut validated: u64 = 0;
        for attempt in attempts.iter_mut().filter(|attempt| attempt.failure.is_none()) {
            let member = Arc::clone(&attempt.member);
            match member.guard("validating", || member.service().validate(&attempt.aggregate_ids)) {
                Ok(findings) => {
                    validated += 1;
                    run.find(attempt.own(findings));
                }
                Err(error) => attempt.failed(run, &error),
            }
        }
        run.done(Phase::ValidateServices, validated);
    }

    /// Sets the recovery points of those that did not fail, and returns how many were set.
    pub(super) fn set_registered_points(&self, run: &Run<'_>, attempts: &[Attempt]) -> u64 {
        let mut set = 0;
        for attempt in attempts.iter().filter(|attempt| attempt.failure.is_none()) {
            let quarantined = run.quarantined.keys().filter_map(|stream| attempt.owned(stream));
            let last = [&attempt.restored.last_snapshot_id, &attempt.point.last_snapshot_id];
            let point = RecoveryPoint {
                service_id: attempt.member.id().to_owned(),
                last_event_sequence: run.end,
                last_snapshot_id: last.into_iter().find(|id| !id.is_empty()).cloned().unwrap_or_default(),
                pending: quarantined.map(str::to_owned).collect(),
            };
            set += u64::from(self.try_save(&point));
        }
        set
    }

    pub(super) fn ready_registered(&self, run: &mut Run<'_>, attempts: &mut [Attempt]) {
        if attempts.is_empty() {
            return;
        }
        let mut ready: u64 = 0;
        for attempt in attempts.iter_mut().filter(|attempt| attempt.failure.is_none()) {
            match attempt.member.ready() {
                Ok(()) => {
                    self.gate.open(attempt.member.id());
                    ready += 1;
                }
                Err(error) => attempt.failed(run, &error),
            }
        }
        run.done(Phase::ServicesReady, ready);
    }

    /// Moves the recovery points of registered services to where they say that they are.
    pub(super) fn checkpoint_registered(&self) -> Result<()> {
        for member in self.registered() {
            // One that panics at this has failed, and stops nobody else.
            let told = member.guard("telling how far it is", || Ok(member.service().dealt_with()));
            let Ok(Some(dealt_with)) = told else { continue };
            let known = RecoveryPoint::load(&self.store, member.id())?;
            let sequence = dealt_with.min(self.store.last_sequence());
            if member.is_healthy() && sequence > known.last_event_sequence {
                let prefix = member.aggregate_type().map(|aggregate_type| format!("{aggregate_type}-"));
                let quarantined = self.gate.quarantined();
                let own = |stream: &String| stream.strip_prefix(prefix.as_deref()?).map(str::to_owned);
                let pending = quarantined.keys().filter_map(own).collect();
                self.try_save(&RecoveryPoint { last_event_sequence: sequence, pending, ..known });
            }
        }
        Ok(())
    }

    /// Whether the point was set. One that cannot be set costs the next recovery time and nothing else.
    pub(super) fn try_save(&self, point: &RecoveryPoint) -> bool {
        let saved = point.save(&self.store);
        if let Err(error) = &saved {
            tracing::warn!(service_id = point.service_id, %error, "a recovery point is not set");
        }
        saved.is_ok()
    }
}
