//! Scrubbing a store that is open: by a call, or by a thread of its own.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::run::Host;
use super::{ScrubOptions, ScrubReport, position, scrub_on};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
use crate::store::shared::Shared;
use crate::sync::{Condvar, Mutex};
use crate::types::Timestamp;

/// How often a thread that waits for the next pass looks whether its store is still open.
const LOOK: Duration = Duration::from_secs(1);

/// How long it waits after a pass that could not be made.
const REST: Duration = Duration::from_secs(60);

/// Tells a scrub to end.
#[derive(Debug, Default)]
struct Stop {
    is_stopping: Mutex<bool>,
    changed: Condvar,
}

/// A scrub within an open store.
#[derive(Debug)]
pub(in crate::store) struct StoreHost {
    shared: Weak<Shared>,
    started: Instant,
    stop: Arc<Stop>,
}

impl StoreHost {
    pub(in crate::store) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::downgrade(shared), started: Instant::now(), stop: Arc::default() }
    }

    fn is_stopping(&self) -> bool {
        *self.stop.is_stopping.lock()
    }
}

impl Host for StoreHost {
    fn check(&self) -> Result<()> {
        if self.is_stopping() {
            return Err(Error::new(ErrorKind::Aborted, "the scrubber was stopped"));
        }
        let closed = || Error::new(ErrorKind::Closed, "the store was closed");
        self.shared.upgrade().ok_or_else(closed)?.check_open()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn wait(&self, at_most: Duration) {
        let mut is_stopping = self.stop.is_stopping.lock();
        if !*is_stopping {
            self.stop.changed.wait_for(&mut is_stopping, at_most);
        }
    }

    fn keep(&self, write: &mut dyn FnMut()) {
        let Some(shared) = self.shared.upgrade() else { return };
        // Not after a close: the folder may be another's then.
        let is_over = shared.keeping.lock();
        if !*is_over {
            write();
        }
    }
}

/// A thread that scrubs a store, pass after pass. Dropped, it stops; it ends by itself within a second after its store is closed,
/// and does not keep that open.
pub struct Scrubber {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrubber").field("is_running", &self.is_running()).finish_non_exhaustive()
    }
}

impl Scrubber {
    pub(in crate::store) fn start(
        store: &Store,
        options: ScrubOptions,
        every: Duration,
        report: impl FnMut(Result<ScrubReport>) + Send + 'static,
    ) -> Result<Self> {
        let host = StoreHost::new(store.shared());
        let stop = Arc::clone(&host.stop);
        let thread = std::thread::Builder::new()
            .name("bitacora-scrub".to_owned())
            .spawn(move || work(&host, &options, every, report))
            .map_err(|error| Error::with_source(ErrorKind::Io, "start the thread that scrubs", error))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Whether the thread still scrubs, or waits for the next pass.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Stops the thread; the next scrub goes on where it was. A panic of what it reports to goes on here.
    pub fn stop(mut self) {
        if let Some(Err(panic)) = self.end() {
            std::panic::resume_unwind(panic);
        }
    }

    fn end(&mut self) -> Option<std::thread::Result<()>> {
        *self.stop.is_stopping.lock() = true;
        self.stop.changed.notify_all();
        self.thread.take().map(JoinHandle::join)
    }
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        if let Some(Err(_)) = self.end() {
            tracing::error!("the thread that scrubs had panicked");
        }
    }
}

/// Passes, until the store is closed or the scrubber stopped.
fn work(
    host: &StoreHost,
    options: &ScrubOptions,
    every: Duration,
    mut report: impl FnMut(Result<ScrubReport>) + Send + 'static,
) {
    loop {
        let Some(shared) = host.shared.upgrade() else { return };
        let (environment, root, store_id) = (shared.environment.clone(), shared.root.clone(), shared.store_id);
        drop(shared);
        let place = position::path(&root, options.position_folder.as_deref(), store_id);
        let kept = position::load(environment.disk.as_ref(), &place, store_id);
        let now = options.clock.now();
        let due = kept.filter(|kept| kept.is_done).map_or(now, |kept| kept.started.plus(every));
        if due > now {
            if !rest(host, options, due) {
                return;
            }
            continue;
        }
        let outcome = scrub_on(host, &environment, &root, options, &mut |_| ControlFlow::Continue(()));
        if host.check().is_err() {
            return;
        }
        let has_failed = outcome.is_err();
        report(outcome);
        // Also where it is not remembered when the pass was: it must not begin again at once.
        let until = options.clock.now().plus(if has_failed { REST } else { every });
        if !rest(host, options, until) {
            return;
        }
    }
}

/// Waits until then; whether the store is still open.
fn rest(host: &StoreHost, options: &ScrubOptions, until: Timestamp) -> bool {
    loop {
        if host.check().is_err() {
            return false;
        }
        let left = until.since(options.clock.now());
        if left.is_zero() {
            return true;
        }
        host.wait(left.min(LOOK));
    }
}
