//! A store that is open to read follows its writer, and the writer after that one.
//!
//! What may be shown is what [`read_only`](super::read_only) shows when it opens, for a refresh keeps to the same rule:
//!
//! - A writer that syncs each commit says in the control file how far it has synced, with a store to a mapped word right after
//!   the sync. That far everything is shown, whether the writer lives or not: it is a lower bound for ever.
//! - Beside another writer, all whole frames are.
//! - What stands beyond that is shown only where nobody writes, and as far as the next open would keep it.
//!
//! The lock is looked at only where something stands beyond, and each new writer has another session number: where that, or the
//! lock, has changed while something was read that nothing bounds, it is read again.

use super::create::{self, Standing};
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::Control;
use crate::format::frame::FrameRef;
use crate::log::files::{self, LogFiles};
use crate::recovery::examine;
use crate::recovery::fill;
use crate::recovery::plan::{self, Decision, Evidence, Witnesses};
use crate::recovery::walk::{self, Followed, Start};
use crate::types::Sequence;

/// How often a refresh looks again because writers came or went meanwhile, before it leaves that to the next one.
const ATTEMPTS: usize = 8;

/// Events that a tail takes before the index is asked whether it has those of the tails before.
const TAIL_EVENTS: usize = 65_536;

/// Where a store that is open to read stands in the log.
#[derive(Debug)]
pub(crate) struct Follower {
    /// Of the writer that was met last.
    session: u64,
    /// Behind the last frame that was passed, marks included.
    at: Start,
    /// Behind the last frame with events, all of which are shown.
    shown: Start,
    /// Where all that was there without a writer was looked at, in this session.
    examined: Option<Start>,
    pub(super) tail_events: usize,
    /// Events that the tails took in since the index was asked.
    taken: usize,
    /// What was shown is gone, and that stays so.
    stale: Option<Error>,
}

impl Follower {
    pub(crate) fn new(session: u64, at: Start) -> Self {
        Self { session, at, shown: at, examined: None, tail_events: TAIL_EVENTS, taken: 0, stale: None }
    }
}

#[cfg(all(test, feature = "simulation"))]
impl Follower {
    /// Where the last frame that is shown ends in its segment.
    pub(super) fn end_of_events(&self) -> u64 {
        self.shown.position.offset
    }
}

/// What a look at the end without a writer came to.
enum Examined {
    /// Somebody came meanwhile.
    Changed,
    /// The next open would keep everything through here.
    Kept(Sequence),
}

impl Shared {
    /// Shows what may be shown by now.
    ///
    /// # Errors
    /// See [`Store::refresh`](super::Store::refresh).
    pub(crate) fn refresh(&self) -> Result<Sequence> {
        self.check_open()?;
        if let Some(follower) = &self.follower {
            let mut follower = follower.lock();
            if let Some(stale) = &follower.stale {
                return Err(stale.clone());
            }
            let outcome = self.follow(&mut follower);
            if let Err(error) = &outcome
                && error.kind() == ErrorKind::Stale
            {
                follower.stale = Some(error.clone());
            }
            self.make_room(&mut follower);
            outcome?;
        }
        Ok(self.places.sequence())
    }

    fn follow(&self, follower: &mut Follower) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let control = self.read_control()?;
            if control.session != follower.session {
                self.meet_writer(follower, &control)?;
            }
            let followed = if control.shows_synced_only {
                self.show_synced(follower, control.durable)?
            } else {
                let whole = self.whole_frames(follower)?;
                if self.read_control()?.session != control.session {
                    continue;
                }
                Some(self.show_through(follower, whole.position.next.previous())?)
            };
            let Some(followed) = followed else { continue };
            if !followed.has_more() || follower.examined == Some(followed.end) || self.has_writer()? {
                return Ok(());
            }
            match self.examine_end(follower, &control)? {
                Examined::Changed => {}
                Examined::Kept(last) => {
                    self.show_through(follower, last)?;
                    follower.examined = Some(follower.at);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Shows what the writer has synced; `None` where that was another writer meanwhile.
    fn show_synced(&self, follower: &mut Follower, durable: Sequence) -> Result<Option<Followed>> {
        let followed = self.show_through(follower, durable)?;
        let next = follower.at.position.next;
        if next > durable {
            return Ok(Some(followed));
        }
        if self.read_control()?.session != follower.session {
            return Ok(None);
        }
        let found = followed.stop.map_or_else(String::new, |stop| stop.to_string());
        let expected = format!("events through sequence {durable}, which the writer has synced");
        Err(files::corrupt(follower.at.segment, follower.at.position.offset, next, expected, found))
    }

    /// Takes in and shows everything through `bound`.
    fn show_through(&self, follower: &mut Follower, bound: Sequence) -> Result<Followed> {
        let (mut taken, mut followed) = (0, Followed::from(follower.at));
        let take = &mut |frame: &FrameRef<'_>| {
            taken += usize::try_from(frame.header.event_count).unwrap_or(usize::MAX);
            fill::take_into(&mut self.view.write().active, frame)
        };
        let outcome = walk::follow(&self.files, &mut followed, bound, take);
        // What was taken in is not taken in again, whatever came after it.
        follower.taken += taken;
        follower.at = followed.end;
        if let Some(end) = followed.events_end {
            follower.shown = end;
            let (sequence, timestamp) = (end.position.next.previous(), end.position.timestamp);
            self.places.set_durable(sequence);
            self.places.show(sequence, timestamp);
            self.watch.announce();
        }
        outcome.map(|()| followed)
    }

    /// Where the whole frames end that are there now, whoever wrote them.
    fn whole_frames(&self, follower: &Follower) -> Result<Start> {
        let mut followed = Followed::from(follower.at);
        walk::follow(&self.files, &mut followed, Sequence::MAX, &mut |_| Ok(()))?;
        Ok(followed.end)
    }

    /// Another writer opened the store since: what it found, it has kept, or what was shown is gone.
    fn meet_writer(&self, follower: &mut Follower, control: &Control) -> Result<()> {
        let stale = |cause: Error| match cause.kind() {
            ErrorKind::Corrupt | ErrorKind::NotFound | ErrorKind::NotAStore => {
                let shown = self.places.sequence();
                let text = format!(
                    "{}: what was shown through sequence {shown} is not there any more; open it again",
                    self.root.display()
                );
                cause.wrap(ErrorKind::Stale, text)
            }
            _ => cause,
        };
        self.check_identity().map_err(stale)?;
        self.files.reopen_last().map_err(stale)?;
        let shown = walk::watermark(&self.files, follower.shown.segment, follower.shown.position);
        walk::check_last_covered(&self.files, &shown).map_err(stale)?;
        // Marks behind it may have gone.
        (follower.session, follower.at, follower.examined) = (control.session, follower.shown, None);
        Ok(())
    }

    fn check_identity(&self) -> Result<()> {
        match create::standing(self.environment.disk.as_ref(), &self.root)? {
            Standing::Store(identity) if identity.store_id == self.store_id => Ok(()),
            Standing::Store(identity) => {
                let text = format!("it is store {} now, and was {}", identity.store_id, self.store_id);
                Err(Error::new(ErrorKind::NotFound, text))
            }
            Standing::Absent | Standing::Unfinished => {
                Err(Error::new(ErrorKind::NotFound, "there is no store any more"))
            }
        }
    }

    /// What the next open would keep, where nobody writes. It is synced before it is shown.
    fn examine_end(&self, follower: &Follower, control: &Control) -> Result<Examined> {
        let end = self.whole_frames(follower)?;
        let Some(last) = self.files.last() else { return Ok(Examined::Changed) };
        let file = self.files.open(last.first)?;
        file.sync_data().map_err(|source| LogFiles::io(last.first, "sync", source))?;
        let walked = walk::walk(&self.files, end, Sequence::MAX, &mut |_| Ok(()), &mut |_, _| Ok(()))?;
        let evidence = Evidence {
            expected: walked.position.next,
            stop: walked.stop,
            offset: walked.position.offset,
            content_end: walked.ahead.content_end,
            cut_bound: files::read_header(file.as_ref(), self.store_id, last.first)?.cut_bound,
            witnesses: Witnesses {
                index: self.index.watermark().map_or(Sequence::ZERO, |mark| mark.sequence),
                clean_close: control.clean_sequence(),
                frame_before: walked.promised,
                frame_ahead: walked.ahead.promise.map_or(Sequence::ZERO, |(_, through)| through),
                state: Sequence::ZERO,
            },
        };
        if self.has_writer()? || self.read_control()?.session != control.session {
            return Ok(Examined::Changed);
        }
        match plan::decide(&evidence) {
            Decision::Clean | Decision::Cut { .. } => Ok(Examined::Kept(walked.position.next.previous())),
            Decision::Refuse { expected, found } => {
                Err(files::corrupt(walked.segment, walked.position.offset, walked.position.next, expected, found))
            }
        }
    }

    /// Lets go of what the writer's index has by now. Where it cannot be read the tails stay.
    fn make_room(&self, follower: &mut Follower) {
        if follower.taken < follower.tail_events {
            return;
        }
        follower.taken = 0;
        let logged = {
            let mut view = self.view.write();
            let logged = view.active.take_checkpoints();
            view.freeze(walk::watermark(&self.files, follower.at.segment, follower.at.position));
            logged
        };
        self.checkpoints.note_logged(logged);
        if let Err(error) = self.index.catch_up() {
            tracing::warn!(%error, "the index cannot be read anew");
        }
        let covered = self.index.watermark().map_or(Sequence::ZERO, |mark| mark.sequence);
        self.view.write().forget_through(covered.min(self.places.sequence()));
    }

    fn read_control(&self) -> Result<Control> {
        examine::read_control(self.environment.disk.as_ref(), &self.root, self.store_id)
    }

    fn has_writer(&self) -> Result<bool> {
        has_writer(self.environment.disk.as_ref(), &self.root)
    }
}

/// Whether a process has the store open to write.
///
/// # Errors
/// `Io`.
pub(super) fn has_writer(disk: &dyn crate::disk::Disk, root: &std::path::Path) -> Result<bool> {
    disk.is_locked(&root.join(create::LOCK)).map_err(|source| Error::from_io("look at LOCK", source))
}
