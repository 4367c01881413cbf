//! Named consumers: subscriptions that resume where they were.
//!
//! A checkpoint is in the index at once, which survives a kill. Now and then, and when a consumer or the store is closed, it
//! goes into the log too, as an event of a system stream: that survives a power cut, and the loss of the index. Whatever is lost,
//! a checkpoint goes back and never ahead, so that everything is delivered at least once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::commit::Commit;
use super::shared::Shared;
use super::subscription::{SubscribeOptions, Subscription};
use crate::error::{Error, ErrorKind, Result};
use crate::index::checkpoints::{Checkpoints, LOGGED_SCHEMA, LOGGED_STREAM, LOGGED_TYPE, encode_logged};
use crate::sync::Mutex;
use crate::types::{CodecId, Event, EventType, ExpectedVersion, NewEvent, Sequence, StreamId, Timestamp};

/// How often a checkpoint goes into the log at most, unless it is said otherwise.
const LOG_EVERY_DEFAULT: Duration = Duration::from_secs(5);

/// What a consumer is shown, and how its checkpoint is kept.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    subscribe: SubscribeOptions,
    with_system_streams: bool,
    log_every: Duration,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self { subscribe: SubscribeOptions::new(), with_system_streams: false, log_every: LOG_EVERY_DEFAULT }
    }
}

impl ConsumerOptions {
    /// All events but those of the store's own streams.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What it is shown. [`SubscribeOptions::after`] counts only as long as there is no checkpoint.
    #[must_use]
    pub fn subscribe(mut self, options: SubscribeOptions) -> Self {
        self.subscribe = options;
        self
    }

    /// Also the events of the store's own streams; not those of consumers' checkpoints, of which each would make the next.
    #[must_use]
    pub fn with_system_streams(mut self) -> Self {
        self.with_system_streams = true;
        self
    }

    /// How long, by the store's time, a checkpoint goes into the log at most once. Default 5 s. That long, and as long as
    /// nothing is acknowledged, a consumer may go back where the index is lost. Zero: each time.
    #[must_use]
    pub fn log_every(mut self, duration: Duration) -> Self {
        self.log_every = duration;
        self
    }
}

/// A subscription with a name, whose place outlives it, see [`Store::consumer`](crate::Store::consumer). As an iterator it is as
/// the [`Subscription`].
///
/// What was acknowledged is not delivered again, but for what a power cut or a lost index takes back; what was not acknowledged is.
/// A name is for one consumer at a time: of two that use the same, the one that is behind does not move the checkpoint.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    name: String,
    log_every: Duration,
    subscription: Subscription,
    acknowledged: Sequence,
}

impl Consumer {
    pub(super) fn new(shared: &Arc<Shared>, name: &str, options: ConsumerOptions) -> Result<Self> {
        shared.writer()?;
        Checkpoints::check_name(name)?;
        let mut subscribe = options.subscribe;
        let checkpoint = shared.checkpoints.get(name)?;
        if let Some(checkpoint) = &checkpoint {
            checkpoint.check_within(shared.places.sequence(), &format!("the consumer {name}"))?;
            subscribe = subscribe.after(checkpoint.sequence);
        }
        subscribe.without_stream = Some(LOGGED_STREAM);
        if !options.with_system_streams {
            subscribe = subscribe.without_system_streams();
        }
        let acknowledged = checkpoint.map_or(Sequence::ZERO, |checkpoint| checkpoint.sequence);
        shared.acknowledged.begin(name, acknowledged, shared.now());
        let subscription = Subscription::new(shared, subscribe);
        Ok(Self {
            shared: Arc::clone(shared),
            name: name.to_owned(),
            log_every: options.log_every,
            subscription,
            acknowledged,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last sequence that it acknowledged, now or in an earlier life; zero where it did not.
    #[must_use]
    pub fn acknowledged(&self) -> Sequence {
        self.acknowledged
    }

    /// The sequence through which it was given everything, and which it may acknowledge therefore: that of the last event, or a
    /// later one where what follows is not for it.
    #[must_use]
    pub fn reached(&self) -> Sequence {
        self.subscription.reached()
    }

    /// As [`Subscription::try_next`].
    ///
    /// # Errors
    /// As [`Subscription::try_next`].
    pub fn try_next(&mut self) -> Result<Option<Event>> {
        self.subscription.try_next()
    }

    /// As [`Subscription::next_timeout`].
    ///
    /// # Errors
    /// As [`Subscription::next_timeout`].
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Event>> {
        self.subscription.next_timeout(timeout)
    }

    /// Says that everything through this sequence is dealt with, durably: from now on the consumer resumes after it. What the
    /// consumer has made of the events must be durable by then. A lower sequence than before changes nothing.
    ///
    /// # Errors
    /// `InvalidInput`: it is beyond [`reached`](Self::reached), so there is something that was never given. `Io`, `StorageFull`,
    /// `Poisoned`, `Closed`: it may be acknowledged or not. A full log is no error: the index has the checkpoint, and the log
    /// gets it later.
    pub fn acknowledge(&mut self, sequence: Sequence) -> Result<()> {
        let reached = self.reached();
        if sequence > reached {
            let text = format!("consumer {}: it was given everything through {reached}, not {sequence}", self.name);
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        if sequence <= self.acknowledged {
            return Ok(());
        }
        self.shared.make_durable("checkpoint", sequence)?;
        self.shared.checkpoints.advance(&self.name, sequence)?;
        self.acknowledged = sequence;
        let due = self.shared.acknowledged.advance(&self.name, sequence, self.shared.now(), self.log_every);
        if !due {
            return Ok(());
        }
        match self.shared.log_checkpoints_of(Some(&self.name)) {
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                tracing::warn!(%error, consumer = self.name, "a checkpoint found no room in the log");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Ends it, with its checkpoint in the log. Dropping it does the same, with errors traced.
    ///
    /// # Errors
    /// `StorageFull`, `CommitUnknown`, `Poisoned`: the checkpoint is in the index and not in the log.
    pub fn close(self) -> Result<()> {
        self.end()
    }

    fn end(&self) -> Result<()> {
        match self.shared.log_checkpoints_of(Some(&self.name)) {
            // Who closed the store has written it.
            Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
            outcome => outcome,
        }
    }
}

impl Iterator for Consumer {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        self.subscription.next()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, consumer = self.name, "a checkpoint could not be written to the log");
        }
    }
}

/// What the consumers of this session have acknowledged, and how much of it is in the log.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    names: Mutex<BTreeMap<String, Progress>>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    acknowledged: Sequence,
    logged: Sequence,
    logged_at: Timestamp,
}

impl Acknowledged {
    fn begin(&self, name: &str, at: Sequence, now: Timestamp) {
        let progress = Progress { acknowledged: at, logged: at, logged_at: now };
        self.names.lock().entry(name.to_owned()).or_insert(progress);
    }

    /// Notes an acknowledgement; whether it is to go into the log now.
    fn advance(&self, name: &str, sequence: Sequence, now: Timestamp, every: Duration) -> bool {
        let mut names = self.names.lock();
        let Some(progress) = names.get_mut(name) else { unreachable!("a consumer begins before it acknowledges") };
        progress.acknowledged = sequence.max(progress.acknowledged);
        progress.acknowledged > progress.logged && now.since(progress.logged_at) >= every
    }

    /// What is not in the log, of one consumer or of all.
    fn waiting(&self, name: Option<&str>) -> Vec<(String, Sequence)> {
        let names = self.names.lock();
        let wanted = names.iter().filter(|(known, _)| name.is_none_or(|name| name == known.as_str()));
        let waiting = wanted.filter(|(_, progress)| progress.acknowledged > progress.logged);
        waiting.map(|(name, progress)| (name.clone(), progress.acknowledged)).collect()
    }

    fn logged(&self, name: &str, sequence: Sequence, now: Timestamp) {
        if let Some(progress) = self.names.lock().get_mut(name) {
            progress.logged = sequence.max(progress.logged);
            progress.logged_at = now;
        }
    }
}

impl Shared {
    /// Writes every consumer's checkpoint that is not in the log into it. For a close, which goes on whatever becomes of that:
    /// the index has them.
    pub(super) fn log_checkpoints(&self) {
        match self.log_checkpoints_of(None) {
            Err(error) if error.kind() != ErrorKind::Closed => {
                tracing::warn!(%error, "consumers' checkpoints could not be written to the log");
            }
            _ => {}
        }
    }

    fn log_checkpoints_of(&self, name: Option<&str>) -> Result<()> {
        let waiting = self.acknowledged.waiting(name);
        if waiting.is_empty() {
            return Ok(());
        }
        let events = waiting.iter().map(|(name, sequence)| logged_event(name, *sequence)).collect::<Result<_>>()?;
        self.commit(Commit::new().append(&StreamId::new(LOGGED_STREAM)?, ExpectedVersion::Any, events))?;
        let now = self.now();
        waiting.iter().for_each(|(name, sequence)| self.acknowledged.logged(name, *sequence, now));
        Ok(())
    }
}

fn logged_event(name: &str, sequence: Sequence) -> Result<NewEvent> {
    let event = NewEvent::new(EventType::new(LOGGED_TYPE)?, CodecId::BINCODE, encode_logged(name, sequence)?);
    Ok(NewEvent { schema_version: LOGGED_SCHEMA, ..event })
}
