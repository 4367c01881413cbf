//! A full disk: what is refused was not written, what is answered stays, and there is room again some time.

use bitacora::disk::sim::SimulationOptions;
use bitacora::{ErrorKind, Preallocation};

use super::{Run, build};
use crate::model::plain::{Answer, Ready};

/// What a number of room stands for, bytes.
const STEP_BYTES: u64 = 64;

impl Run {
    /// From now on the disk takes so much more and no more. Nothing is pending then: what a full disk does to the members of a
    /// group one by one is not told from outside.
    pub(super) fn fill(&mut self, spare: u8) {
        if self.is_full {
            return;
        }
        self.housekeep();
        let disk = &self.world.disk;
        let lengths = disk.files().into_iter().map(|path| disk.read_file(&path).expect("a file that is listed").len());
        let used: u64 = lengths.map(|length| length as u64).sum();
        let capacity_bytes = Some(used + u64::from(spare) * STEP_BYTES);
        disk.set_options(SimulationOptions { capacity_bytes, ..disk.options() });
        self.is_full = true;
    }

    /// There is room again.
    pub(super) fn give_room(&mut self) {
        let disk = &self.world.disk;
        disk.set_options(SimulationOptions { capacity_bytes: None, ..disk.options() });
        self.is_full = false;
    }

    /// A chore may want room.
    pub(super) fn housekeep(&mut self) {
        self.model.flush();
        if let Err(error) = self.store().housekeep() {
            assert!(self.is_full && error.kind() == ErrorKind::StorageFull, "housekeep: {error}");
        }
    }

    /// A commit that was given its places in the model: there is room for it, or it leaves no trace. A file that grows may meet
    /// the end of the room halfway, and then only the next open tells.
    pub(super) fn commit_to_full(&mut self, ready: &Ready, may_use_reserve: bool, answer: Answer) {
        let found = self.store().commit(build::commit(ready, may_use_reserve));
        match found.as_ref().map_err(bitacora::Error::kind) {
            Err(ErrorKind::StorageFull) => {
                self.met.full += 1;
                self.model.take_back();
            }
            Err(ErrorKind::CommitUnknown) if self.shape.preallocation == Preallocation::Grow => {
                self.met.in_doubt += 1;
                let lower = self.model.last();
                self.model.flush();
                let world = self.world.kill();
                self.crash(world, lower, Some(self.model.states.len() - 1));
            }
            _ => {
                self.model.flush();
                self.compare_receipt(found, Ok(answer), ready);
            }
        }
    }
}
