//! A subscription as a stream, for async code.
//!
//! Reading the log is waiting for a disk, and following another process's store is asking again and again; neither belongs in an
//! executor. So each stream has a thread of its own, which reads a little ahead and wakes the task that asked. It needs no runtime.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::shared::Shared;
use super::subscription::Subscription;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering};
use crate::types::Event;

/// Events that are read before anybody has asked for them.
const AHEAD: usize = 64;

/// Events as they come, for async code, see [`Subscription::into_stream`]. It ends where the subscription does: when the store closes,
/// and after its first error.
///
/// A thread reads up to 64 events ahead, and ends soon after the stream was dropped. It does not keep the store open.
#[derive(Debug)]
pub struct EventStream {
    state: Arc<State>,
    stopped: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct State {
    inner: Mutex<Inner>,
    /// There is room, or nobody wants more.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    ready: VecDeque<Result<Event>>,
    /// Of the task that found nothing.
    waker: Option<Waker>,
    is_over: bool,
}

impl Subscription {
    /// The same events as a [`futures_core::Stream`], for async code. It needs no runtime: a thread reads, and wakes the task that
    /// asks.
    ///
    /// # Errors
    /// `Io`: the system gives no thread.
    pub fn into_stream(mut self) -> Result<EventStream> {
        let stopped = Arc::new(AtomicBool::new(false));
        let shared = self.stop_by(&stopped);
        let state = Arc::new(State { inner: Mutex::default(), changed: Condvar::new() });
        let (reader, reader_stopped) = (Reader { state: Arc::clone(&state) }, Arc::clone(&stopped));
        std::thread::Builder::new()
            .name("bitacora-stream".into())
            .spawn(move || reader.read(self, &reader_stopped))
            .map_err(|source| Error::from_io("start a thread that reads a stream", source))?;
        Ok(EventStream { state, stopped, shared })
    }
}

/// What the thread has of a stream. Whatever ends it, the task is told.
struct Reader {
    state: Arc<State>,
}

impl Reader {
    fn read(self, events: Subscription, stopped: &AtomicBool) {
        for event in events {
            let mut inner = self.state.inner.lock();
            while inner.ready.len() >= AHEAD && !stopped.load(Ordering::Acquire) {
                self.state.changed.wait(&mut inner);
            }
            inner.ready.push_back(event);
            wake(inner.waker.take(), inner);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut inner = self.state.inner.lock();
        if std::thread::panicking() {
            inner.ready.push_back(Err(Error::new(ErrorKind::Io, "the thread that reads a stream panicked")));
        }
        inner.is_over = true;
        wake(inner.waker.take(), inner);
    }
}

/// Wakes a task, without the lock that it takes first.
fn wake<T>(waker: Option<Waker>, lock: T) {
    drop(lock);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl EventStream {
    /// The next event; `None` at the end. What `StreamExt::next` of the crate `futures` does, for who does without that. Nothing
    /// is lost where the future is dropped before it is done.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Option<Result<Event>>> {
        let mut inner = self.state.inner.lock();
        if let Some(event) = inner.ready.pop_front() {
            drop(inner);
            self.state.changed.notify_one();
            return Poll::Ready(Some(event));
        }
        if inner.is_over {
            return Poll::Ready(None);
        }
        inner.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl futures_core::Stream for EventStream {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Who has looked, and does not sleep yet, holds the lock.
        drop(self.state.inner.lock());
        self.state.changed.notify_one();
        self.shared.watch.wake();
    }
}

#[cfg(test)]
impl EventStream {
    pub(super) fn read_ahead(&self) -> usize {
        self.state.inner.lock().ready.len()
    }

    /// Whether its thread runs, or it is there itself.
    pub(super) fn lives(&self) -> impl Fn() -> bool + use<> {
        let state = Arc::downgrade(&self.state);
        move || state.strong_count() > 0
    }
}
