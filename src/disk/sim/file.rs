//! One file: what readers see, what the device holds, and what lies between the two.
//!
//! Invariants: 1. `cache` and `durable` differ at most in the sectors listed in `unsynced` and in length; 2. the last
//! version of an unsynced sector is what `cache` holds there; 3. `durable` is not longer than `cache`, and where
//! `lengths` is not empty, its last one is the cache's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::crash::Fate;
use super::image::Image;
use super::options::AfterFailedSync;
use super::outcomes::UnsyncedPart;

/// How many states of one sector, or of the length, are remembered beside the durable one: enough for every shape
/// of loss, and a word that is stored into for hours costs no more than that.
const VERSIONS_MAX: usize = 4;

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    cache: Image,
    durable: Image,
    unsynced: BTreeMap<u64, Unsynced>,
    /// The lengths since the durable one.
    lengths: Vec<u64>,
    /// After a failed sync: the system believes the length to be on the device.
    length_is_clean: bool,
    /// A failed sync that will be reported by the next one.
    late_error: bool,
    pub(super) locked: bool,
}

/// The states of one sector since it was synced.
#[derive(Clone, Debug, Default)]
struct Unsynced {
    versions: Vec<Arc<[u8]>>,
    /// After a failed sync: the system believes it to be on the device, and no sync writes it until it is written
    /// to again.
    is_clean: bool,
}

fn remember<T>(versions: &mut Vec<T>, version: T) {
    if versions.len() == VERSIONS_MAX {
        versions.remove(0);
    }
    versions.push(version);
}

impl File {
    /// A file that is wholly on the device.
    pub(super) fn settled(image: Image) -> Self {
        Self { cache: image.clone(), durable: image, ..Self::default() }
    }

    /// Replaces the content, as if it had always been there.
    pub(super) fn replace(&mut self, image: Image) {
        *self = Self { locked: self.locked, ..Self::settled(image) };
    }

    pub(super) fn cache(&self) -> &Image {
        &self.cache
    }

    pub(super) fn durable(&self) -> &Image {
        &self.durable
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64, sector_bytes: u64) {
        assert!(!bytes.is_empty(), "a write of nothing changes nothing");
        let end = offset + bytes.len() as u64;
        self.cache.write(bytes, offset);
        for index in offset / sector_bytes..end.div_ceil(sector_bytes) {
            let sector = self.unsynced.entry(index).or_default();
            sector.is_clean = false;
            remember(&mut sector.versions, self.cache.sector(index, sector_bytes));
        }
        if end > self.durable.length() {
            self.note_length();
        }
    }

    /// Grows to `length` with zeros that belong to no sector's history.
    pub(super) fn grow(&mut self, length: u64) {
        if length > self.cache.length() {
            self.cache.set_length(length);
            self.note_length();
        }
    }

    fn note_length(&mut self) {
        self.length_is_clean = false;
        if self.lengths.last() != Some(&self.cache.length()) {
            remember(&mut self.lengths, self.cache.length());
        }
    }

    /// What a sync does that works: all that is not believed to be clean reaches the device.
    pub(super) fn sync(&mut self, sector_bytes: u64) {
        let length_settles = !self.lengths.is_empty() && !self.length_is_clean;
        let nothing_is_left = !self.length_is_clean && self.unsynced.values().all(|sector| !sector.is_clean);
        if nothing_is_left {
            self.durable = self.cache.clone();
            self.unsynced.clear();
            self.lengths.clear();
            return;
        }
        if length_settles {
            self.durable.set_length(self.cache.length());
            self.lengths.clear();
        }
        let (cache, durable) = (&self.cache, &mut self.durable);
        self.unsynced.retain(|index, sector| {
            if !sector.is_clean {
                durable.overwrite(&cache.sector(*index, sector_bytes), index * sector_bytes);
            }
            sector.is_clean
        });
    }

    /// What a sync does that fails. Nothing is settled by it; a crash may still find any of it on the device.
    pub(super) fn fail_sync(&mut self, after: AfterFailedSync, sector_bytes: u64) {
        match after {
            AfterFailedSync::Dirty => return,
            AfterFailedSync::CleanOld => {
                for index in std::mem::take(&mut self.unsynced).into_keys() {
                    self.cache.overwrite(&self.durable.sector(index, sector_bytes), index * sector_bytes);
                }
            }
            AfterFailedSync::CleanNew | AfterFailedSync::ReportedLate => {
                for sector in self.unsynced.values_mut() {
                    sector.is_clean = true;
                }
            }
        }
        self.length_is_clean = !self.lengths.is_empty();
        self.late_error = after == AfterFailedSync::ReportedLate;
    }

    /// Whether an earlier sync failed and nobody was told; asking is being told.
    pub(super) fn take_late_error(&mut self) -> bool {
        std::mem::take(&mut self.late_error)
    }

    /// What a power cut leaves of it.
    pub(super) fn crash(&self, fate: &mut dyn Fate, sector_bytes: u64) -> Image {
        let mut image = self.durable.clone();
        if !self.lengths.is_empty() {
            let length = fate.length(self.durable.length(), &self.lengths);
            image.set_length(length);
            let first = self.durable.length().div_ceil(sector_bytes);
            fate.unwritten(&mut image, first..length.div_ceil(sector_bytes), sector_bytes);
        }
        for (index, sector) in &self.unsynced {
            // What lands beyond the length is not part of the file.
            if let Some(bytes) = fate.sector(&image.sector(*index, sector_bytes), &sector.versions) {
                image.overwrite(&bytes, index * sector_bytes);
            }
        }
        image
    }

    /// What `crash` asks about, in that order.
    pub(super) fn unsynced_parts(&self) -> impl Iterator<Item = UnsyncedPart> {
        let length = (!self.lengths.is_empty()).then_some(UnsyncedPart::Length);
        length.into_iter().chain(self.unsynced.keys().copied().map(UnsyncedPart::Sector))
    }

    /// What a new start finds whose predecessor was killed: all of it, still unsynced.
    pub(super) fn restart(&mut self) {
        self.locked = false;
        self.late_error = false;
    }

    /// Changes bytes behind everybody's back, in whatever copies of them there are.
    pub(super) fn rot(&mut self, bytes: &[u8], offset: u64, sector_bytes: u64) {
        self.durable.overwrite(bytes, offset);
        self.cache.overwrite(bytes, offset);
        let end = offset + bytes.len() as u64;
        for (index, sector) in self.unsynced.range_mut(offset / sector_bytes..end.div_ceil(sector_bytes)) {
            sector.versions = vec![self.cache.sector(*index, sector_bytes)];
        }
    }
}
