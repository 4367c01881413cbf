//! Polling payments: what is due is carried on, and nothing sleeps.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::orchestrator::{Orchestrator, Progress};
use super::state::PaymentSaga;
use crate::error::Result;
use crate::saga::{self, Bell, Looked, PollLimits, PollReport, Poller, Saga, poll_with};
use crate::store::Store;
use crate::types::{Sequence, Timestamp};

/// Payments that one poll looks at, where nothing else is asked for.
const PAYMENTS_PER_POLL: u32 = 256;

impl Orchestrator {
    /// Carries on every payment that is due at `now`, which counts where it is later than the store's time; 256 of them at most.
    /// Never sleeps: the report says when to poll again. Any number of threads may poll; each payment is in one's hands
    /// at a time. Before the first poll the agenda is made by [`watch`](Self::watch), else it is made of the whole log.
    ///
    /// # Errors
    /// `Corrupt`: the log cannot be followed. `Io`, `Closed`, `Poisoned`, `ReadOnly`: the store's. What stops one payment alone
    /// is in the report; it is tried again after the longest delay of the retry policy.
    pub fn poll(&self, now: Timestamp) -> Result<PollReport> {
        self.poll_some(now, PAYMENTS_PER_POLL)
    }

    /// As [`poll`](Self::poll), for at most so many payments.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn poll_some(&self, now: Timestamp, payments_max: u32) -> Result<PollReport> {
        let watch = &self.inner.watch;
        if !watch.is_seeded() {
            self.watch(Sequence::ZERO, &BTreeSet::new())?;
        }
        let limits = PollLimits { sagas_max: payments_max, retry_after: self.inner.options.retry.longest };
        poll_with::<PaymentSaga>(watch, self.store(), limits, now, |payment_id, now| {
            let mut draft = Draft::load(self.store(), payment_id)?;
            let progress = self.work(&mut draft, now)?;
            let saga = draft.on_record();
            let covered = saga.last_event_sequence();
            Ok(match progress {
                Progress::Final(_) if saga.is_over() => Looked::Ended { covered },
                // A refund that was given up waits for a person as a parked payment does.
                Progress::Final(_) | Progress::Parked(_) => Looked::Parked { covered },
                Progress::WaitUntil(due) => Looked::Waits { covered, due },
            })
        })
    }

    /// Makes the agenda anew: of the payments that were open at `from`, and the events after it, such as a recovery's point and
    /// what was [incomplete](Self::incomplete) there. Calls no gateway, and writes nothing. Returns how many payments are
    /// open.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`: the store's. A payment that cannot be read is due at once, so that the next poll reports it.
    pub fn watch(&self, from: Sequence, known_open: &BTreeSet<String>) -> Result<usize> {
        let watch = &self.inner.watch;
        watch.seed(from, known_open);
        watch.follow::<PaymentSaga>(self.store())?;
        let open = watch.open();
        for payment_id in open.keys() {
            let Ok(loaded) = saga::load::<PaymentSaga>(self.store(), payment_id) else { continue };
            let next = Saga::next(&loaded.saga, self.store().now(), &self.inner.options.retry);
            watch.appraise(payment_id, &loaded, &next);
        }
        watch.ring();
        Ok(open.len())
    }

    /// The open payments as far as the last poll saw, each with the time at which it is to be looked at; `None`: when an event
    /// comes, such as an operator's.
    #[must_use]
    pub fn open_payments(&self) -> BTreeMap<String, Option<Timestamp>> {
        self.inner.watch.open()
    }

    /// Has [`poll`](Self::poll) leave an open payment alone until an event of it comes: one whose wallet is quarantined.
    pub fn hold_back(&self, payment_id: &str) {
        self.inner.watch.hold_back(payment_id);
    }
}

impl Poller for Orchestrator {
    fn poll(&self, now: Timestamp) -> Result<PollReport> {
        Self::poll(self, now)
    }

    fn store(&self) -> &Store {
        Self::store(self)
    }

    fn bell(&self) -> &Bell {
        self.inner.watch.bell()
    }
}
