//! Ending: everything written, synced, indexed and noted as closed, so that the next open reads nothing.

use std::sync::Arc;

use super::shared::Shared;
use crate::disk::{self, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::{self, CleanClose};
use crate::format::frame::FrameKind;
use crate::index::{IndexBatch, Watermark};
use crate::log::writer::WriteError;
use crate::recovery::examine::CONTROL;
use crate::recovery::walk::watermark;
use crate::sabotage::{self, Defect};
use crate::sync::Ordering;
use crate::types::Sequence;

impl Shared {
    /// Closes: later calls are answered `Closed`. What was submitted is written first.
    ///
    /// # Errors
    /// `Poisoned`: an earlier failure stopped the store. `Io`: a write or a sync failed. In both cases the next open
    /// recovers. An index that could not be brought up to date is no error: the next open reads more.
    pub(crate) fn close(self: &Arc<Self>) -> Result<()> {
        self.log_checkpoints();
        {
            let mut state = self.commits.lock();
            if std::mem::replace(&mut state.is_closed, true) {
                return Ok(());
            }
        }
        let outcome = if self.writer.is_some() { self.close_log() } else { Ok(()) };
        // Also where the log could not be closed.
        *self.keeping.lock() = true;
        self.is_closed.store(true, Ordering::Release);
        // An archiving that is under way breaks off: the folder may soon be another's.
        drop(self.archiving.lock());
        self.chores.stop();
        self.watch.wake();
        outcome
    }

    fn close_log(&self) -> Result<()> {
        let Some(lock) = &self.writer else { return Ok(()) };
        let mut writer = loop {
            while self.lead_waiting() {}
            let writer = lock.lock();
            let state = self.commits.lock();
            if let Some(error) = state.queue.poisoned() {
                return Err(error.clone());
            }
            // Nothing joins any more, and nobody leads without the writer: what is idle now stays so. A group that formed
            // behind the last leader is written before the log ends.
            if state.queue.is_idle() {
                break writer;
            }
            let group = Arc::clone(state.queue.forming());
            drop(state);
            drop(writer);
            self.wait(&group);
        };
        let closed = (|| {
            writer.sync()?;
            if writer.wants_mark() {
                writer.mark(FrameKind::CloseMark)?;
            }
            // The index will stand on the mark, and then no open writes it again.
            writer.settle()
        })();
        if let Err(WriteError::Clean(error) | WriteError::Fatal(error)) = closed {
            drop(writer);
            self.poison(&error);
            return Err(error);
        }
        self.note_durable(writer.durable());
        let (position, end) = (writer.position(), watermark(&self.files, writer.segment(), writer.position()));
        self.view.write().freeze(end);
        drop(writer);
        *self.keeping.lock() = true;
        // Its room is of use to the index.
        self.spare.give_up(self.files.disk.as_ref());
        self.ingest_at_close();
        self.cover_close_mark(end);
        if let Err(error) = self.index.close() {
            tracing::warn!(%error, "the index could not be closed");
        }
        let path = self.root.join(CONTROL);
        let io = |source| Error::from_failed_write("write control", source);
        let file = self.files.disk.open(&path, OpenMode::ReadWrite).map_err(io)?;
        let last = position.next.previous();
        let clean = CleanClose { last, session: self.session, offset: position.offset, chain: position.chain };
        let bytes = control::encode_clean(self.store_id, &clean);
        disk::write_all_at(file.as_ref(), &[&bytes], control::CLEAN_OFFSET).map_err(io)?;
        file.sync_data().map_err(io)
    }

    /// Brings the index up to date; on a full disk with the reserve's room, which the next open takes again.
    fn ingest_at_close(&self) {
        match self.ingest_waiting() {
            Err(error) if error.kind() == ErrorKind::StorageFull && self.reserve.give_up(self.files.disk.as_ref()) => {
                self.ingest_all();
            }
            Err(error) => tracing::warn!(%error, "the index could not be brought up to date"),
            Ok(()) => {}
        }
    }

    /// Where the index has all events and misses but the mark, it is told of that, so that the next open reads nothing.
    fn cover_close_mark(&self, end: Watermark) {
        let is_behind = self.index.watermark().is_none_or(|mark| mark.sequence == end.sequence && mark != end);
        if is_behind && self.view.read().size().0 == 0 {
            let batch = IndexBatch::of_nothing(end);
            if let Err(error) = self.index.ingest(&batch) {
                tracing::warn!(%error, "the index could not be brought up to date");
            }
        }
    }

    /// Makes the log durable up to what is about to enter the index's state. Nothing enters that above what is durable, and
    /// nothing after the store is poisoned.
    ///
    /// # Errors
    /// `InvalidInput`: it is beyond the log. `Io`, `Poisoned`, `Closed`, `ReadOnly`.
    pub(crate) fn make_durable(&self, what: &str, sequence: Sequence) -> Result<()> {
        self.writer()?;
        let shown = self.places.sequence();
        if sequence > shown {
            let text = format!("the {what} rests on sequence {sequence}, and the log ends at {shown}");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        if sequence > self.places.durable() && !sabotage::has(Defect::SnapshotBeforeSync) {
            self.sync()?;
        }
        if self.latch.is_tripped() {
            return Err(Error::new(ErrorKind::Poisoned, "an earlier failure stopped this store; open it again"));
        }
        Ok(())
    }

    /// Syncs, and returns how far the log is durable.
    ///
    /// # Errors
    /// `Io`, `Poisoned`, `Closed`, `ReadOnly`.
    pub(crate) fn sync(&self) -> Result<Sequence> {
        self.writer()?;
        while self.lead_waiting() {}
        if let Some(error) = self.commits.lock().queue.poisoned() {
            return Err(error.clone());
        }
        self.sync_beside().map_err(|error| match error.kind() {
            ErrorKind::Closed | ErrorKind::ReadOnly => error,
            _ => error.context("sync the log"),
        })
    }
}
