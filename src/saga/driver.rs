//! The driver: does what [`Saga::next`] says, and puts on record what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::draft::{Draft, are_same};
use super::point::OpenPoint;
use super::poll::{Looked, PollLimits, poll_with};
use super::runner::{Bell, Poller};
use super::{LoadedSaga, Next, PollReport, Published, Saga, TypeMeaning, Watch, Work, load};
use crate::aggregate::{DomainEvent, new_events};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Commit, Durability, Store};
use crate::sync::{Mutex, MutexGuard};
use crate::types::{ExpectedVersion, Metadata, Sequence, Timestamp};

/// How often a saga is decided anew because another writer was faster.
const CONFLICTS_MAX: u32 = 64;

/// Carries the actions of a saga out.
pub trait SagaHandler<S: Saga>: Send + Sync + 'static {
    /// What an action comes to. Looks and decides, and does nothing: it is asked again after a conflict. What is inside the
    /// store is decided here; a command to the outside is [published](Work::publish), and sent when it is on record.
    ///
    /// # Errors
    /// Whatever keeps it from deciding; the saga is tried again later.
    fn prepare(&self, saga: &S, action: S::Action, now: Timestamp) -> Result<Work<S::Event>>;

    /// Sends a command for the first time, under its [key](super::Command::idempotency_key), and says what that comes to: at
    /// least one event, after which the command is no longer [unanswered](Saga::unanswered). That no answer came is an answer,
    /// too. May block; nothing is locked meanwhile.
    ///
    /// # Errors
    /// Whatever is worth no event; the command stays unanswered, and is asked about when the saga is tried again.
    fn send(&self, saga: &S, command: &Published<'_>) -> Result<Vec<S::Event>>;

    /// Finds out what became of a command that may have been sent: by a life that ended, or by another thread. As it is given
    /// here the command is sent again under the same key, which is right where the other side acts on a key once and answers a
    /// repeated one as it did before.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    fn query(&self, saga: &S, command: &Published<'_>) -> Result<Vec<S::Event>> {
        self.send(saga, command)
    }
}

/// How sagas are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SagaOptions {
    /// Asks for more than the store's durability for all commits. An intent is durable before it is acted on in any case.
    /// Default: the store's.
    pub durability: Option<Durability>,
    /// Sagas that one poll looks at. Default 256.
    pub sagas_per_poll: u32,
    /// Actions of a saga that are carried out before another one has its turn. Default 256.
    pub actions_max: u32,
    /// After which time a saga that could not be carried on is tried again. Default 5 s.
    pub retry_after: Duration,
}

impl Default for SagaOptions {
    fn default() -> Self {
        Self { durability: None, sagas_per_poll: 256, actions_max: 256, retry_after: Duration::from_secs(5) }
    }
}

/// How far a saga came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SagaProgress {
    /// It is over.
    Ended,
    /// It waits for an event from elsewhere; this is why.
    Parked(String),
    /// There is nothing to do before this time.
    WaitUntil(Timestamp),
}

struct Inner<S: Saga, H> {
    store: Store,
    handler: H,
    policy: S::Policy,
    options: SagaOptions,
    watch: Watch,
    /// Held while deciding and committing by whoever has met a conflict: a courtesy and no lock, which keeps threads of this
    /// driver from deciding on the same versions for nothing.
    turn: Mutex<()>,
    #[cfg(test)]
    cuts: Option<super::tests::Cuts>,
}

/// Carries sagas of one type out. Clones share everything; any number of threads may use them, on the same saga too.
pub struct SagaDriver<S: Saga, H>(Arc<Inner<S, H>>);

impl<S: Saga, H> Clone for SagaDriver<S, H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Saga, H> fmt::Debug for SagaDriver<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SagaDriver")
            .field("saga_type", &S::SAGA_TYPE)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

impl<S: Saga, H: SagaHandler<S>> SagaDriver<S, H> {
    /// A driver over `store`.
    ///
    /// # Errors
    /// `InvalidInput`: the saga's type is empty or has a `-`, or an option is 0.
    pub fn new(store: Store, handler: H, policy: S::Policy, options: SagaOptions) -> Result<Self> {
        if S::SAGA_TYPE.is_empty() || S::SAGA_TYPE.contains('-') {
            let text = format!("{:?} is no type of sagas: it must have a name, without '-'", S::SAGA_TYPE);
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        if options.sagas_per_poll == 0 || options.actions_max == 0 || options.retry_after.is_zero() {
            return Err(Error::new(ErrorKind::InvalidInput, "sagas: an option that bounds the work is 0"));
        }
        Ok(Self(Arc::new(Inner {
            store,
            handler,
            policy,
            options,
            watch: Watch::default(),
            turn: Mutex::new(()),
            #[cfg(test)]
            cuts: None,
        })))
    }

    /// The same, cut off after so many cut points.
    #[cfg(test)]
    pub(super) fn with_cuts(self, cuts: super::tests::Cuts) -> Self {
        let mut inner = Arc::into_inner(self.0).unwrap();
        inner.cuts = Some(cuts);
        Self(Arc::new(inner))
    }

    /// The store that it stands on.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What carries the actions out.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.0.handler
    }

    /// A saga as it is on record; `None` if there is none with this id.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(&self, saga_id: &str) -> Result<Option<S>> {
        let loaded = load::<S>(self.store(), saga_id)?;
        Ok((loaded.version.get() > 0).then_some(loaded.saga))
    }

    /// Puts the first events of a saga on record, and nothing more. A saga that began with the same events is given as it is.
    ///
    /// # Errors
    /// `InvalidInput`: the first event is not one that begins a saga, or an event is too large. `IdempotencyConflict`: another
    /// saga is on record under this id. As [`load`], and of the commit: `StorageFull`, `Poisoned`, `CommitUnknown`,
    /// `ReadOnly`.
    pub fn start(&self, saga_id: &str, events: &[S::Event], metadata: &Metadata) -> Result<S> {
        let begins = |event: &S::Event| S::type_meaning(event.event_type()) == TypeMeaning::Begins;
        if !events.first().is_some_and(begins) {
            let text = format!("{} {saga_id:?}: its first event must be one that begins it", S::SAGA_TYPE);
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let stream = load::stream_of::<S>(saga_id)?;
        let metadata = Metadata { correlation_id: Some(saga_id.to_owned()), ..metadata.clone() };
        let mut commit = Commit::new().append(&stream, ExpectedVersion::NoStream, new_events(events, &metadata)?);
        if let Some(durability) = self.0.options.durability {
            commit = commit.durability(durability);
        }
        match self.store().commit(commit) {
            Ok(_) => self.0.watch.ring(),
            Err(error) if error.kind() == ErrorKind::Conflict => self.check_same(saga_id, events)?,
            Err(error) => return Err(error),
        }
        load::<S>(self.store(), saga_id).map(|loaded| loaded.saga)
    }

    fn check_same(&self, saga_id: &str, events: &[S::Event]) -> Result<()> {
        let stream = load::stream_of::<S>(saga_id)?;
        let on_record = self.store().read_stream(&stream, ..).take(events.len());
        let on_record: Result<Vec<S::Event>> = on_record.map(|event| S::Event::decode(&event?)).collect();
        if are_same(&on_record?, events)? {
            return Ok(());
        }
        let text = format!("another {} is on record as {saga_id:?}", S::SAGA_TYPE);
        Err(Error::new(ErrorKind::IdempotencyConflict, text))
    }

    /// Puts events on record that come from elsewhere, such as an operator's decision: those that `decide` makes of the saga's
    /// state, which is asked again where another writer was faster. None: nothing is done. Polled, the saga goes on from there.
    ///
    /// # Errors
    /// `NotFound`: there is no such saga. What `decide` says. `Conflict`: other writers were faster every time. As [`load`], and
    /// of the commit: `StorageFull`, `Poisoned`, `CommitUnknown`, `ReadOnly`.
    pub fn tell(&self, saga_id: &str, decide: impl Fn(&S, Timestamp) -> Result<Vec<S::Event>>) -> Result<S> {
        let mut conflicts = 0;
        loop {
            let mut draft = self.draft(saga_id)?;
            let now = self.store().now();
            draft.push(decide(&draft.base.saga, now)?, now);
            match self.flush(&mut draft, self.0.options.durability) {
                Ok(()) => {
                    self.0.watch.ring();
                    return Ok(draft.base.saga);
                }
                Err(error) if error.kind() == ErrorKind::Conflict && conflicts < CONFLICTS_MAX => conflicts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Carries a saga on until it ends or has to wait. `now` counts where it is later than the store's time. At most so many
    /// actions as the options say; a saga with more of them waits until now.
    ///
    /// # Errors
    /// `NotFound`: there is no such saga. `InvalidInput`: the saga or its handler breaks a rule of [`Saga`] or [`SagaHandler`];
    /// the text says which. `Conflict`: other writers were faster every time. What the handler says. As [`load`], and of the
    /// commits: `StorageFull`, `Poisoned`, `CommitUnknown`, `ReadOnly`. After any of them the saga can be gone on with.
    pub fn advance(&self, saga_id: &str, now: Timestamp) -> Result<SagaProgress> {
        let _hold = self.0.watch.hold(saga_id);
        self.work(&mut self.draft(saga_id)?, now)
    }

    fn draft(&self, saga_id: &str) -> Result<Draft<S>> {
        let draft = Draft::<S>::load(self.store(), saga_id)?;
        if draft.base.version.get() == 0 {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no {} {saga_id:?}", S::SAGA_TYPE)));
        }
        Ok(draft)
    }

    fn work(&self, draft: &mut Draft<S>, at_least: Timestamp) -> Result<SagaProgress> {
        let (mut conflicts, mut actions) = (0, 0);
        loop {
            let now = self.store().now().max(at_least);
            if actions >= self.0.options.actions_max {
                self.flush(draft, self.0.options.durability)?;
                return Ok(SagaProgress::WaitUntil(now));
            }
            actions += 1;
            let outcome = match draft.ahead.saga.unanswered() {
                Some(_) => self.answer(draft, now).map(|()| None),
                None => {
                    let turn = (conflicts > 0).then(|| self.0.turn.lock());
                    self.decide(draft, now, turn)
                }
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(progress)) => return Ok(progress),
                Err(error) if error.kind() == ErrorKind::Conflict && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    let stream = draft.stream()?;
                    // After a conflict elsewhere what is pending still counts: it does not rest on that stream.
                    if error.as_conflict().is_none_or(|conflict| conflict.stream == stream) {
                        draft.reload(self.store())?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends the command that is on record and not answered, or asks about it.
    fn answer(&self, draft: &mut Draft<S>, now: Timestamp) -> Result<()> {
        // Nothing is acted on that is not on record.
        self.flush(draft, Some(Durability::Sync))?;
        let saga = &draft.base.saga;
        let Some(command) = saga.unanswered() else { return Ok(()) };
        let published = Published::of(self.store(), &draft.base, &command)?;
        self.cut_point()?;
        let events = if draft.to_send.take().as_ref() == Some(&command) {
            self.0.handler.send(saga, &published)?
        } else {
            self.0.handler.query(saga, &published)?
        };
        self.cut_point()?;
        if draft.after(&events, now).saga.unanswered().as_ref() == Some(&command) {
            return Err(broken::<S>(command.step(), "is still unanswered after what its handler says of it"));
        }
        draft.push(events, now);
        Ok(())
    }

    /// Does what is next; `Some`: there is nothing to do now.
    fn decide(
        &self,
        draft: &mut Draft<S>,
        now: Timestamp,
        _turn: Option<MutexGuard<'_, ()>>,
    ) -> Result<Option<SagaProgress>> {
        let progress = match draft.ahead.saga.next(now, &self.0.policy) {
            Next::Act(action) => {
                let work = self.0.handler.prepare(&draft.ahead.saga, action, now)?;
                return self.carry_out(draft, work, now).map(|()| None);
            }
            Next::Done if !draft.ahead.is_over => return Err(broken::<S>("the end", "has no event")),
            Next::WaitUntil(due) if due <= now => return Err(broken::<S>("a wait", "is for a time that has passed")),
            Next::Done => SagaProgress::Ended,
            Next::Parked(reason) => SagaProgress::Parked(reason),
            Next::WaitUntil(due) => SagaProgress::WaitUntil(due),
        };
        if draft.has_pending() {
            // On record, its events have the times that they were committed at, and what is next may follow from those.
            self.flush(draft, self.0.options.durability)?;
            return Ok(None);
        }
        Ok(Some(progress))
    }

    fn carry_out(&self, draft: &mut Draft<S>, work: Work<S::Event>, now: Timestamp) -> Result<()> {
        if work.events.is_empty() {
            return Err(broken::<S>("an action", "comes to no event"));
        }
        if work.is_events_only() {
            draft.push(work.events, now);
            return Ok(());
        }
        let to_send = work.command.clone();
        let durability = if to_send.is_some() { Some(Durability::Sync) } else { self.0.options.durability };
        if let Some(command) = &to_send
            && draft.after(&work.events, now).saga.unanswered().as_ref() != Some(command)
        {
            return Err(broken::<S>(command.step(), "is not unanswered after its intent"));
        }
        self.commit(draft, work, durability)?;
        draft.to_send = to_send;
        Ok(())
    }

    fn flush(&self, draft: &mut Draft<S>, durability: Option<Durability>) -> Result<()> {
        if draft.has_pending() { self.commit(draft, Work::new(), durability) } else { Ok(()) }
    }

    fn commit(&self, draft: &mut Draft<S>, work: Work<S::Event>, durability: Option<Durability>) -> Result<()> {
        self.cut_point()?;
        draft.commit(self.store(), work, durability)?;
        self.cut_point()
    }

    /// Where a test cuts the work off, as a crash would.
    #[cfg_attr(not(test), expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "it is a test's"))]
    fn cut_point(&self) -> Result<()> {
        #[cfg(test)]
        if let Some(cuts) = &self.0.cuts {
            return cuts.pass();
        }
        Ok(())
    }

    /// Does what is due at `now`, which counts where it is later than the store's time, on at most so many sagas as the
    /// options say. Never sleeps. The first poll begins with [`recover`](Self::recover).
    ///
    /// # Errors
    /// `Corrupt`: the log cannot be followed, or ends before what was seen of it. `Io`, `Closed`, `Poisoned`, `ReadOnly`: the
    /// store's. What stops one saga alone is in the report.
    pub fn poll(&self, now: Timestamp) -> Result<PollReport> {
        if !self.0.watch.is_seeded() {
            self.recover()?;
        }
        let SagaOptions { sagas_per_poll: sagas_max, retry_after, .. } = self.0.options;
        poll_with::<S>(&self.0.watch, self.store(), PollLimits { sagas_max, retry_after }, now, |saga_id, now| {
            let mut draft = self.draft(saga_id)?;
            let progress = self.work(&mut draft, now)?;
            let covered = draft.base.last_event_sequence;
            Ok(match progress {
                SagaProgress::Ended => Looked::Ended { covered },
                SagaProgress::Parked(_) => Looked::Parked { covered },
                SagaProgress::WaitUntil(due) => Looked::Waits { covered, due },
            })
        })
    }

    /// Makes the agenda anew: of the sagas that were open at the [checkpoint](Self::checkpoint), and the events since; without a
    /// checkpoint of all events. Calls nobody, and writes nothing. Returns how many sagas are open.
    ///
    /// # Errors
    /// `Corrupt`: the checkpoint is beyond the log's end, or the log is damaged. `Io`, `Closed`: the store's. A saga that cannot
    /// be read is due at once, so that the next poll reports it.
    pub fn recover(&self) -> Result<usize> {
        let point = OpenPoint::load::<S>(self.store())?;
        self.recover_from(point.sequence, &point.open)
    }

    /// As [`recover`](Self::recover), of the sagas that were open at `from` and the events after it.
    ///
    /// # Errors
    /// As [`recover`](Self::recover).
    pub fn recover_from(&self, from: Sequence, known_open: &BTreeSet<String>) -> Result<usize> {
        let watch = &self.0.watch;
        watch.seed(from, known_open);
        watch.follow::<S>(self.store())?;
        let open = watch.open();
        for saga_id in open.keys() {
            let Ok(loaded) = load::<S>(self.store(), saga_id) else { continue };
            watch.appraise(saga_id, &loaded, &self.next_of(&loaded));
        }
        watch.ring();
        Ok(open.len())
    }

    fn next_of(&self, loaded: &LoadedSaga<S>) -> Next<S::Action> {
        if loaded.version.get() == 0 || loaded.saga.unanswered().is_some() {
            return Next::WaitUntil(loaded.last_event_time);
        }
        loaded.saga.next(self.store().now(), &self.0.policy)
    }

    /// Sets the checkpoint that the next [`recover`](Self::recover) begins with: now and then, and before a close. Returns its
    /// sequence.
    ///
    /// # Errors
    /// As [`poll`](Self::poll). `InvalidInput`: more sagas are open than a checkpoint holds.
    pub fn checkpoint(&self) -> Result<Sequence> {
        if !self.0.watch.is_seeded() {
            self.recover()?;
        }
        let (sequence, open) = self.0.watch.follow_and_list::<S>(self.store())?;
        OpenPoint { sequence, open }.save::<S>(self.store())?;
        Ok(sequence)
    }

    /// The open sagas as far as the last poll saw, each with the time at which it is to be looked at; `None`: when an event comes.
    #[must_use]
    pub fn open(&self) -> BTreeMap<String, Option<Timestamp>> {
        self.0.watch.open()
    }

    /// Leaves an open saga alone until an event of it comes.
    pub fn hold_back(&self, saga_id: &str) {
        self.0.watch.hold_back(saga_id);
    }
}

impl<S: Saga, H: SagaHandler<S>> Poller for SagaDriver<S, H> {
    fn poll(&self, now: Timestamp) -> Result<PollReport> {
        Self::poll(self, now)
    }

    fn store(&self) -> &Store {
        Self::store(self)
    }

    fn bell(&self) -> &Bell {
        self.0.watch.bell()
    }
}

/// A saga, or its handler, that breaks a rule of this module.
fn broken<S: Saga>(what: &str, how: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("sagas of type {}: {what} {how}", S::SAGA_TYPE))
}
