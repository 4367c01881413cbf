//! What a power cut may keep or lose, thing by thing, and telling one image from another.

use std::path::PathBuf;

use super::{Observer, SimulatedDisk};

/// One thing that a power cut may keep or lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsynced {
    /// The file or folder that it is of; of a rename the new name.
    pub path: PathBuf,
    /// What of it.
    pub part: UnsyncedPart,
}

/// What of a file or folder is not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsyncedPart {
    /// That it has this name, or that it has it no more.
    Name,
    /// Its length.
    Length,
    /// The sector of this number.
    Sector(u64),
}

impl SimulatedDisk {
    /// What a power cut now may keep or lose, in the order in which [`SimulatedDisk::crash_choosing`] asks.
    #[must_use]
    pub fn unsynced_things(&self) -> Vec<Unsynced> {
        self.shared.volume.lock().unsynced_things()
    }

    /// A digest of all names and of what readers see in the files: disks that look the same have the same one.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        let mut digest = Digest::default();
        self.shared.volume.lock().digest(&mut digest);
        digest.finish()
    }

    /// Calls the observer no more, and gives it back.
    #[must_use]
    pub fn take_observer(&self) -> Option<Observer> {
        self.shared.observer.lock().take()
    }
}

/// Two multiplicative hashes side by side: quick, and only against chance.
#[derive(Debug)]
pub(super) struct Digest {
    first: u64,
    second: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { first: 0x9E37_79B9_7F4A_7C15, second: 0xD1B5_4A32_D192_ED03 }
    }
}

impl Digest {
    pub(super) fn word(&mut self, word: u64) {
        self.first = (self.first ^ word).wrapping_mul(0xBF58_476D_1CE4_E5B9).rotate_left(29);
        self.second = (self.second.rotate_left(23) ^ word).wrapping_mul(0x94D0_49BB_1331_11EB);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.word(u64::from(*byte));
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.word(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    fn finish(self) -> u128 {
        let spread = |word: u64| (word ^ (word >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        u128::from(spread(self.first)) << 64 | u128::from(spread(self.second))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::{Disk, OpenMode};
    use super::super::{SimulatedDisk, UnsyncedPart};

    #[test]
    fn everything_unsynced_is_listed_in_the_order_in_which_it_is_asked_about() {
        let disk = SimulatedDisk::default();
        disk.create_directory(Path::new("/d")).unwrap();
        let file = disk.open(Path::new("/d/a"), OpenMode::CreateNew).unwrap();
        file.write_at(&[std::io::IoSlice::new(&[1; 700])], 0).unwrap();
        disk.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
        let things = disk.unsynced_things();
        assert_eq!(things.len(), disk.unsynced());
        let listed: Vec<_> = things.iter().map(|thing| (thing.path.to_str().unwrap(), thing.part)).collect();
        let (name, length) = (UnsyncedPart::Name, UnsyncedPart::Length);
        let sectors = [("/d/b", UnsyncedPart::Sector(0)), ("/d/b", UnsyncedPart::Sector(1))];
        assert_eq!(
            listed,
            [[("/d", name), ("/d/a", name), ("/d/b", name), ("/d/b", length)].as_slice(), &sectors].concat()
        );
        let without_second = disk.crash_choosing(|number| number != 5);
        let bytes = without_second.read_file(Path::new("/d/b")).unwrap();
        assert_eq!((&bytes[..512], &bytes[512..]), ([1; 512].as_slice(), [0; 188].as_slice()));
    }

    #[test]
    fn disks_that_look_the_same_have_one_fingerprint_and_others_have_another() {
        let disk = SimulatedDisk::default();
        let mut seen = vec![disk.fingerprint()];
        let path = Path::new("/a");
        for bytes in [[].as_slice(), &[0], &[0; 2], &[1, 0], &[0; 5000]] {
            disk.write_file(path, bytes).unwrap();
            assert_eq!(disk.fingerprint(), disk.crash_choosing(|_| true).fingerprint());
            seen.push(disk.fingerprint());
        }
        disk.rename(path, Path::new("/b")).unwrap();
        assert_eq!(disk.crash_choosing(|_| false).fingerprint(), *seen.last().unwrap());
        seen.push(disk.fingerprint());
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }
}
