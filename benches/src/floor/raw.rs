//! A raw log: files of a segment's size, and one write after another.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

/// As large as a segment.
pub const FILE_BYTES: usize = 64 * 1024 * 1024;

/// What kind of file is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Filled with zeros before, in writes of 4 KiB (one large write makes large folios, which sync slower). As many files as
    /// all bytes take are made in advance, outside of what is measured: nothing is written twice but the zeros.
    ZeroFilled,
    /// Room is reserved with `fallocate`, and the next file made when one is full, as a log does; within what is measured.
    Fallocated,
    /// It grows with each write.
    Growing,
    /// One file that was filled before and is warm, written round and round. No log can do that: it is what writing into memory
    /// costs where no page has to be found for it.
    Overwritten,
}

/// How a write is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncing {
    /// It is not.
    None,
    /// With `fdatasync` after the write.
    DataSync,
    /// The file is opened with `O_DSYNC`: the write returns when it is durable.
    Dsync,
}

/// The files.
#[derive(Debug)]
pub struct RawLog {
    folder: PathBuf,
    medium: Medium,
    syncing: Syncing,
    file: File,
    ready: VecDeque<File>,
    offset: usize,
    made: usize,
}

impl RawLog {
    /// For so many bytes in all.
    ///
    /// # Panics
    /// The disk fails.
    #[must_use]
    pub fn new(folder: &Path, medium: Medium, syncing: Syncing, bytes: usize) -> Self {
        // A little more, since the end of a file is left where a frame does not fit.
        let count = if medium == Medium::ZeroFilled { (bytes + bytes / 50).div_ceil(FILE_BYTES).max(1) } else { 1 };
        let mut ready: VecDeque<File> = (0..count).map(|number| make(folder, medium, syncing, number)).collect();
        let file = ready.pop_front().unwrap();
        Self { folder: folder.to_owned(), medium, syncing, file, ready, offset: 0, made: count }
    }

    /// Writes behind what was written before, and syncs that.
    ///
    /// # Panics
    /// The disk fails.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.offset + bytes.len() > FILE_BYTES {
            self.roll();
        }
        self.file.write_all_at(bytes, self.offset as u64).unwrap();
        self.offset += bytes.len();
        if self.syncing == Syncing::DataSync {
            rustix::fs::fdatasync(&self.file).unwrap();
        }
    }

    fn roll(&mut self) {
        self.offset = 0;
        if self.medium == Medium::Overwritten {
            return;
        }
        self.file = self.ready.pop_front().unwrap_or_else(|| {
            assert_ne!(self.medium, Medium::ZeroFilled, "more was written than was said");
            self.made += 1;
            make(&self.folder, self.medium, self.syncing, self.made)
        });
    }
}

fn make(folder: &Path, medium: Medium, syncing: Syncing, number: usize) -> File {
    let path = folder.join(format!("floor-{number}"));
    let flags = if syncing == Syncing::Dsync { OFlags::DSYNC } else { OFlags::empty() };
    let open = |flags: OFlags| {
        let flags = i32::try_from(flags.bits()).unwrap();
        OpenOptions::new().create(true).truncate(false).write(true).custom_flags(flags).open(&path).unwrap()
    };
    let file = open(OFlags::empty());
    match medium {
        Medium::ZeroFilled | Medium::Overwritten => {
            for offset in (0..FILE_BYTES).step_by(4096) {
                file.write_all_at(&[0; 4096], offset as u64).unwrap();
            }
            file.sync_all().unwrap();
        }
        Medium::Fallocated => fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES as u64).unwrap(),
        Medium::Growing => {}
    }
    if flags.is_empty() { file } else { open(flags) }
}
