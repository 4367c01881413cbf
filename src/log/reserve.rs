//! Room that is kept for what must still be written when the disk is full: a file of a segment's making, taken in advance.
//!
//! The file `log/reserve` has room for all of its bytes, holds zeros, and is evidence of nothing. A commit that may use it,
//! and meets a full disk where a new segment has to be made, makes the segment of this file: by rename, so that no other
//! program can take the room in between. Whether a file of that name is as it should be is looked at on each open; one
//! that is not (a segment's header was being written to it) is made anew.

use std::path::Path;
use std::sync::Arc;

use super::roll::Room;
use crate::disk::{self, Disk, EntryKind, OpenMode};
use crate::error::Result;
use crate::format::bytes::is_zero;
use crate::sync::Mutex;

/// The file, in the log's folder.
pub(crate) const RESERVE: &str = "reserve";

/// The reserve of one log.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    /// What it is to have; zero where none is kept.
    bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Missing,
    Kept(Room),
    /// A segment is being made of it. As long as that has no name of its own, none is made again under this one.
    HandedOut,
}

impl State {
    fn take(&mut self) -> Option<Room> {
        match std::mem::take(self) {
            Self::Kept(room) => Some(room),
            state => {
                *self = state;
                None
            }
        }
    }
}

impl Reserve {
    /// The reserve of `bytes` that is there, if it is as it should be; one that is not, or is of another size, is removed.
    pub(crate) fn find(disk: &dyn Disk, directory: &Path, bytes: u64) -> Self {
        let found = find(disk, directory, bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, "the reserve cannot be used");
            None
        });
        Self { bytes, state: Mutex::new(found.map_or(State::Missing, State::Kept)) }
    }

    /// What it is to have, bytes; zero where none is kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it is kept and not there.
    pub(crate) fn is_missing(&self) -> bool {
        self.bytes > 0 && !matches!(*self.state.lock(), State::Kept(_))
    }

    /// Makes it, where it is missing.
    ///
    /// # Errors
    /// `StorageFull`: there is no room, and nothing is left behind. `Io`.
    pub(crate) fn make(&self, disk: &dyn Disk, directory: &Path) -> Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        let mut state = self.state.lock();
        if matches!(*state, State::Missing) {
            *state = State::Kept(Room::take_kept(disk, directory, RESERVE, self.bytes)?);
        }
        Ok(())
    }

    /// Hands it out, if it has that much room.
    pub(crate) fn take(&self, length: u64) -> Option<Room> {
        let mut state = self.state.lock();
        if !matches!(&*state, State::Kept(room) if room.length() >= length) {
            return None;
        }
        let room = state.take();
        *state = State::HandedOut;
        room
    }

    /// What was handed out has another name now, or was removed.
    pub(crate) fn note_gone(&self) {
        *self.state.lock() = State::Missing;
    }

    /// Gives its room back to the file system; whether there was any.
    pub(crate) fn give_up(&self, disk: &dyn Disk) -> bool {
        self.state.lock().take().is_some_and(|room| room.give_up(disk))
    }
}

/// What a file of the reserve's name has, bytes; zero where there is none.
pub(crate) fn length(disk: &dyn Disk, directory: &Path) -> std::io::Result<u64> {
    let path = directory.join(RESERVE);
    match disk.kind(&path)? {
        Some(EntryKind::File) => disk.open(&path, OpenMode::Read)?.length(),
        _ => Ok(0),
    }
}

/// Removes the file, for an open that needs its room before the log can be written to; whether there was one.
pub(crate) fn remove(disk: &dyn Disk, directory: &Path) -> std::io::Result<bool> {
    let path = directory.join(RESERVE);
    if disk.kind(&path)? != Some(EntryKind::File) {
        return Ok(false);
    }
    disk.remove(&path)?;
    Ok(true)
}

fn find(disk: &dyn Disk, directory: &Path, bytes: u64) -> std::io::Result<Option<Room>> {
    let path = directory.join(RESERVE);
    if disk.kind(&path)? != Some(EntryKind::File) {
        return Ok(None);
    }
    let file = disk.open(&path, OpenMode::ReadWrite)?;
    // Only a segment's header is ever written to it before it gets a segment's name.
    let mut start = [0; 4096];
    let read = disk::read_up_to(file.as_ref(), &mut start, 0)?;
    if bytes > 0 && file.length()? == bytes && is_zero(start.get(..read).unwrap_or_default()) {
        return Ok(Some(Room::kept(Arc::clone(&file), path, bytes)));
    }
    disk.remove(&path)?;
    Ok(None)
}
