//! Subscriptions: events that are there, and then events as they come, without a gap or a double.
//!
//! There is no switch from the one to the other that anything could fall into. A subscription knows how far it has come, and asks
//! again and again for what is shown beyond that; where nothing is, it waits until something was shown. All events are read from
//! the log in order; those of one stream, or of one correlation id, are found through the index and the tails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::format::record::RecordRef;
use crate::index::{Direction, Place};
use crate::log::cursor::{self, FrameCursor};
use crate::sync::{AtomicBool, Ordering};
use crate::types::{Event, EventType, SYSTEM_PREFIX, Sequence, StreamId, Version};

/// Places that are fetched at once.
const PLACES_AT_ONCE: usize = 64;

/// How often a subscription to a store that is open to read looks for what its writer has added.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where a subscription begins, and what it shows: the events that fit all that is asked for.
#[derive(Clone, Debug, Default)]
pub struct SubscribeOptions {
    after: Sequence,
    event_types: Vec<EventType>,
    stream: Option<StreamId>,
    stream_prefix: Option<String>,
    correlation_id: Option<String>,
    without_system_streams: bool,
    pub(super) without_stream: Option<&'static str>,
}

impl SubscribeOptions {
    /// All events from the first one on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with the first event after this sequence. Default zero: with the first of all.
    #[must_use]
    pub fn after(mut self, sequence: Sequence) -> Self {
        self.after = sequence;
        self
    }

    /// Only events of this type; called more than once, of any of these types.
    #[must_use]
    pub fn event_type(mut self, event_type: &EventType) -> Self {
        self.event_types.push(event_type.clone());
        self
    }

    /// Only events of this stream, which are found without a scan of the log.
    #[must_use]
    pub fn stream(mut self, stream: &StreamId) -> Self {
        self.stream = Some(stream.clone());
        self
    }

    /// Only events of streams whose name starts with this: `wallet-` for all wallets.
    #[must_use]
    pub fn stream_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.stream_prefix = Some(prefix.into());
        self
    }

    /// Only events whose metadata has this correlation id, which are found without a scan of the log.
    #[must_use]
    pub fn correlation_id(mut self, correlation_id: impl Into<String>) -> Self {
        self.correlation_id = Some(correlation_id.into());
        self
    }

    /// No events of the store's own streams, see [`StreamId::is_system`].
    #[must_use]
    pub fn without_system_streams(mut self) -> Self {
        self.without_system_streams = true;
        self
    }

    fn wants(&self, stream: &str, event_type: &str, correlation_id: impl FnOnce() -> bool) -> bool {
        self.stream.as_ref().is_none_or(|wanted| wanted.as_str() == stream)
            && self.stream_prefix.as_ref().is_none_or(|prefix| stream.starts_with(prefix))
            && !(self.without_system_streams && stream.starts_with(SYSTEM_PREFIX))
            && self.without_stream != Some(stream)
            && (self.event_types.is_empty() || self.event_types.iter().any(|wanted| wanted.as_str() == event_type))
            && (self.correlation_id.is_none() || correlation_id())
    }

    fn wants_record(&self, record: &RecordRef<'_>) -> bool {
        self.wants(record.stream, record.event_type, || record.correlation_id() == self.correlation_id.as_deref())
    }

    fn wants_event(&self, event: &Event) -> bool {
        let has_id = || event.metadata.correlation_id == self.correlation_id;
        self.wants(event.stream.as_str(), event.event_type.as_str(), has_id)
    }
}

/// Where the events come from.
#[derive(Debug)]
enum Source {
    /// The log. A cursor may have read ahead, what was not written then; so it serves no further than what was shown when it
    /// was made.
    Log(Option<(FrameCursor, Sequence)>),
    /// The places of a stream, from a version on that is looked for first.
    Stream { stream: StreamId, next: Option<Version>, found: VecDeque<(Version, Place)> },
    /// The places of a correlation id.
    Correlation { id: String, found: VecDeque<Place> },
}

/// How long to wait where there is nothing.
#[derive(Clone, Copy)]
enum Patience {
    Nothing,
    Until(Instant),
    Forever,
}

/// Events as they come, see [`Store::subscribe`](crate::Store::subscribe). As an iterator it blocks until there is one; it ends
/// when the store is closed, and after its first error.
///
/// Over a store that is open to read it follows that store's writer: where it has given all, it
/// [refreshes](crate::Store::refresh) the store every 50 ms as long as somebody waits for the next event, and
/// [`try_next`](Self::try_next) does so once. Writers may end and others follow.
///
/// It does not keep the store open: when the last [`Store`](crate::Store) is dropped, it ends.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    options: SubscribeOptions,
    source: Source,
    /// Everything through here was looked at; what is wanted of it was given or is ready.
    through: Sequence,
    ready: VecDeque<Event>,
    ended: Option<Error>,
    /// Set where somebody may end it from another thread, and wakes it then.
    stopped: Option<Arc<AtomicBool>>,
}

impl Subscription {
    pub(super) fn new(shared: &Arc<Shared>, options: SubscribeOptions) -> Self {
        let source = match (&options.stream, &options.correlation_id) {
            (Some(stream), _) => Source::Stream { stream: stream.clone(), next: None, found: VecDeque::new() },
            (None, Some(id)) => Source::Correlation { id: id.clone(), found: VecDeque::new() },
            (None, None) => Source::Log(None),
        };
        let (shared, through) = (Arc::clone(shared), options.after);
        Self { shared, options, source, through, ready: VecDeque::new(), ended: None, stopped: None }
    }

    /// The sequence through which it has given everything that it was asked for.
    #[must_use]
    pub fn reached(&self) -> Sequence {
        self.ready.front().map_or(self.through, |event| event.sequence.previous())
    }

    /// The next event, if there is one already. Never waits, but may read for a while: as far as what is wanted is away.
    ///
    /// # Errors
    /// `Closed`: the store was closed. `Poisoned`: an earlier failure stopped it, and everything was given. `Stale`: of a store that
    /// is open to read, what was shown is gone. `Corrupt`, `Io`. After an error, the same again.
    pub fn try_next(&mut self) -> Result<Option<Event>> {
        self.step(Patience::Nothing)
    }

    /// The next event, if one comes before the time is over.
    ///
    /// # Errors
    /// As [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Event>> {
        let patience = Instant::now().checked_add(timeout).map_or(Patience::Forever, Patience::Until);
        self.step(patience)
    }

    /// Has `stopped` end it, once it is set and the one that is waiting [woken](Shared::watch): from then on there is no event.
    #[cfg(feature = "futures")]
    pub(super) fn stop_by(&mut self, stopped: &Arc<AtomicBool>) -> Arc<Shared> {
        self.stopped = Some(Arc::clone(stopped));
        Arc::clone(&self.shared)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.as_ref().is_some_and(|stopped| stopped.load(Ordering::Acquire))
    }

    fn step(&mut self, patience: Patience) -> Result<Option<Event>> {
        loop {
            if self.is_stopped() {
                return Ok(None);
            }
            if let Some(error) = &self.ended {
                return Err(error.clone());
            }
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            match self.shared.check_open().and_then(|()| self.fetch()) {
                Ok(true) => {
                    let is_over = matches!(patience, Patience::Until(deadline) if deadline <= Instant::now());
                    if is_over && self.ready.is_empty() {
                        return Ok(None);
                    }
                }
                Ok(false) => {
                    if !self.wait(patience) {
                        return Ok(None);
                    }
                }
                Err(error) => self.ended = Some(error),
            }
        }
    }

    /// Waits for more than was looked at; whether to look again.
    fn wait(&mut self, patience: Patience) -> bool {
        if self.shared.follower.is_some() {
            return self.wait_for_writer(patience);
        }
        let (shared, through) = (&self.shared, self.through);
        if shared.latch.is_tripped() {
            if shared.places.sequence_in_order() <= through {
                let text = "an earlier failure stopped this store; open it again";
                self.ended = Some(Error::new(ErrorKind::Poisoned, text));
            }
            return true;
        }
        let deadline = match patience {
            Patience::Nothing => return false,
            Patience::Until(deadline) if deadline <= Instant::now() => return false,
            Patience::Until(deadline) => Some(deadline),
            Patience::Forever => None,
        };
        shared.watch.wait(deadline, || {
            shared.places.sequence_in_order() > through
                || shared.is_closed.load(Ordering::Acquire)
                || shared.latch.is_tripped()
                || self.is_stopped()
        });
        true
    }

    /// The same over a store that is open to read: nobody tells what another process writes, so it is looked for.
    fn wait_for_writer(&mut self, patience: Patience) -> bool {
        let (shared, through) = (&self.shared, self.through);
        match shared.refresh() {
            Ok(shown) if shown > through => return true,
            Ok(_) => {}
            Err(error) => {
                self.ended = Some(error);
                return true;
            }
        }
        let now = Instant::now();
        let wait = match patience {
            Patience::Nothing => return false,
            Patience::Until(deadline) if deadline <= now => return false,
            Patience::Until(deadline) => LOOK_EVERY.min(deadline - now),
            Patience::Forever => LOOK_EVERY,
        };
        shared.watch.wait(Some(now + wait), || {
            shared.places.sequence_in_order() > through || shared.is_closed.load(Ordering::Acquire) || self.is_stopped()
        });
        true
    }

    /// Looks at a little of what is shown beyond what was looked at; whether there was any.
    fn fetch(&mut self) -> Result<bool> {
        let shown = self.shared.places.sequence();
        if shown <= self.through {
            return Ok(false);
        }
        match &mut self.source {
            Source::Log(_) => self.fetch_frame(shown)?,
            Source::Stream { .. } => self.fetch_of_stream(shown)?,
            Source::Correlation { .. } => self.fetch_correlated(shown)?,
        }
        Ok(true)
    }

    /// The next frame of the log.
    fn fetch_frame(&mut self, shown: Sequence) -> Result<()> {
        let Source::Log(slot) = &mut self.source else { unreachable!("the source is the log") };
        let (mut cursor, until) = match slot.take() {
            Some(open) => open,
            None => (FrameCursor::at(&self.shared.files, self.through.next())?, shown),
        };
        let frame = cursor.frame()?;
        let damaged = |defect| cursor::damaged_in(&frame, defect);
        for placed in frame.records().map_err(damaged)? {
            let placed = placed.map_err(damaged)?;
            let is_new = self.through < placed.sequence && placed.sequence <= until;
            if is_new && self.options.wants_record(&placed.record) {
                let event = placed.record.to_event(placed.sequence, frame.header.timestamp);
                self.ready.push_back(event.map_err(|defect| cursor::damaged_record(&frame, defect))?);
            }
        }
        self.through = frame.header.last_sequence().min(until);
        if self.through < until {
            *slot = Some((cursor, until));
        }
        Ok(())
    }

    /// The stream's next event, or that there is none.
    fn fetch_of_stream(&mut self, shown: Sequence) -> Result<()> {
        let Source::Stream { stream, next, found } = &mut self.source else { unreachable!("the source is a stream") };
        if found.is_empty() {
            let from = match *next {
                Some(next) => next,
                None => version_after(&self.shared, stream, self.through)?,
            };
            let places = self.shared.places_of(stream.as_str(), from, Direction::Forwards, PLACES_AT_ONCE)?;
            found.extend(places.into_iter().take_while(|(_, place)| place.sequence <= shown));
            *next = Some(found.back().map_or(from, |(version, _)| version.next()));
        }
        let Some((version, place)) = found.pop_front() else {
            self.through = shown;
            return Ok(());
        };
        let event = self.shared.event_at(&place, stream, version)?;
        self.take(event);
        Ok(())
    }

    /// The next event with the correlation id, or that there is none.
    fn fetch_correlated(&mut self, shown: Sequence) -> Result<()> {
        let Source::Correlation { id, found } = &mut self.source else { unreachable!("the source is an id") };
        if found.is_empty() {
            let places = self.shared.correlated(id, self.through.next(), Direction::Forwards, PLACES_AT_ONCE)?;
            found.extend(places.into_iter().take_while(|place| place.sequence <= shown));
        }
        let Some(place) = found.pop_front() else {
            self.through = shown;
            return Ok(());
        };
        let event = self.shared.correlated_event(&place, id)?;
        self.take(event);
        Ok(())
    }

    fn take(&mut self, event: Event) {
        let is_new = self.through < event.sequence;
        self.through = self.through.max(event.sequence);
        if is_new && self.options.wants_event(&event) {
            self.ready.push_back(event);
        }
    }
}

impl Iterator for Subscription {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended.is_some() {
            return None;
        }
        match self.step(Patience::Forever) {
            Err(error) if error.kind() == ErrorKind::Closed => None,
            outcome => outcome.transpose(),
        }
    }
}

/// The first version of a stream that comes after a sequence; where none does, the next one that it will have.
fn version_after(shared: &Shared, stream: &StreamId, after: Sequence) -> Result<Version> {
    let Some(head) = shared.head(stream)?.filter(|_| after > Sequence::ZERO) else { return Ok(Version::FIRST) };
    // Below `low` all are at or before the sequence, from `high` on all are after it.
    let (mut low, mut high) = (Version::FIRST.get(), head.version.next().get());
    while low < high {
        let middle = low + (high - low) / 2;
        let found = shared.places_of(stream.as_str(), Version::new(middle), Direction::Forwards, 1)?;
        if found.first().is_some_and(|(_, place)| place.sequence <= after) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Version::new(low))
}
