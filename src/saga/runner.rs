//! A thread that polls: when something is due, when there is new work, and now and then.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::PollReport;
use crate::clock::ClockState;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering};
use crate::types::Timestamp;

/// How often a clock that is not believed is looked at again.
const SUSPECT_LOOK: Duration = Duration::from_secs(1);

/// Wakes whoever waits for work.
#[derive(Debug, Default)]
pub struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    /// A bell that nobody has rung.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// There is work, or may be.
    pub fn ring(&self) {
        *self.rings.lock() += 1;
        self.rung.notify_all();
    }

    pub(super) fn rings(&self) -> u64 {
        *self.rings.lock()
    }

    /// Waits until it is rung after `heard`, for so long at most. May return early.
    pub(super) fn wait(&self, heard: u64, at_most: Duration) {
        let mut rings = self.rings.lock();
        if *rings == heard {
            self.rung.wait_for(&mut rings, at_most);
        }
    }
}

/// What can be polled.
pub trait Poller: Send + Sync + 'static {
    /// Does what is due at `now`, and never sleeps.
    ///
    /// # Errors
    /// `Closed`, `Poisoned`, `ReadOnly`: there is no use in polling again. Others may pass.
    fn poll(&self, now: Timestamp) -> Result<PollReport>;

    /// The store whose time counts.
    fn store(&self) -> &Store;

    /// The bell that is rung when there is new work.
    fn bell(&self) -> &Bell;
}

/// How a thread polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunnerOptions {
    /// It polls at least this often: for work that nobody rings the bell for, such as an event that was appended past the poller,
    /// and for clocks that are set. Default one second.
    pub longest_wait: Duration,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self { longest_wait: Duration::from_secs(1) }
    }
}

struct Shared {
    poller: Arc<dyn Poller>,
    options: RunnerOptions,
    is_stopping: AtomicBool,
}

/// A thread that polls. Dropped, it stops, after the poll that is under way.
pub struct Runner {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Runner {
    /// Starts the thread. It keeps the store open until it is stopped.
    ///
    /// # Errors
    /// `InvalidInput`: the longest wait is 0. `Io`: no thread can be started.
    pub fn start(poller: Arc<dyn Poller>, options: RunnerOptions) -> Result<Self> {
        if options.longest_wait.is_zero() {
            return Err(Error::new(ErrorKind::InvalidInput, "the longest wait of a runner is 0"));
        }
        let shared = Arc::new(Shared { poller, options, is_stopping: AtomicBool::new(false) });
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("bitacora-sagas".to_owned()).spawn(move || its.run());
        let thread = thread.map_err(|error| Error::with_source(ErrorKind::Io, "start the thread that polls", error))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whether the thread still polls.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Stops the thread after the poll that is under way, and says what had ended it before, if anything.
    ///
    /// # Errors
    /// `Closed`, `Poisoned`, `ReadOnly`: the store's. A panic of the poller goes on here.
    pub fn stop(mut self) -> Result<()> {
        match self.end() {
            Some(Ok(outcome)) => outcome,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Option<std::thread::Result<Result<()>>> {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        self.shared.poller.bell().ring();
        self.thread.take().map(JoinHandle::join)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(Ok(Err(error))) = self.end() {
            tracing::error!(%error, "the thread that polls had stopped");
        }
    }
}

impl Shared {
    fn run(&self) -> Result<()> {
        let (bell, store) = (self.poller.bell(), self.poller.store());
        loop {
            // Heard before the poll: what comes after it is not missed.
            let heard = bell.rings();
            if self.is_stopping.load(Ordering::SeqCst) {
                return Ok(());
            }
            let wait = if is_clock_suspect(store) {
                // A clock that returns, or is accepted, rings no bell.
                SUSPECT_LOOK
            } else {
                self.poll()?.map_or(Duration::MAX, |due| due.since(store.now()))
            };
            if !wait.is_zero() {
                bell.wait(heard, wait.min(self.options.longest_wait));
            }
        }
    }

    /// When the next poll is due.
    fn poll(&self) -> Result<Option<Timestamp>> {
        match self.poller.poll(Timestamp::EPOCH) {
            Ok(report) => Ok(report.next_due),
            Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Poisoned | ErrorKind::ReadOnly) => {
                Err(error)
            }
            Err(error) => {
                tracing::error!(%error, "a poll failed, and is tried again");
                Ok(None)
            }
        }
    }
}

/// Whether the store's time is in doubt, so that no timer may fire.
fn is_clock_suspect(store: &Store) -> bool {
    matches!(store.clock_state(), ClockState::Suspect { .. })
}
