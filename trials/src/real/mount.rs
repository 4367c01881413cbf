//! File systems made for one trial: in memory or in an image, small, filled up or cut off.
//!
//! They are mounted in a namespace of the process's own, so that nobody else sees them and the system unmounts them when the
//! process and its children are gone, however that comes about. Dropping one unmounts it sooner.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// A kind of file system in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4, data before the metadata that names it. Its default.
    Ext4Ordered,
    /// ext4, data through the journal as well.
    Ext4Journal,
    /// ext4, data at any time.
    Ext4Writeback,
    /// XFS.
    Xfs,
}

impl FileSystem {
    /// Those that can be cut off.
    pub const ALL: [Self; 4] = [Self::Xfs, Self::Ext4Ordered, Self::Ext4Journal, Self::Ext4Writeback];

    /// As a tally notes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4Ordered => "ext4 ordered",
            Self::Ext4Journal => "ext4 journal",
            Self::Ext4Writeback => "ext4 writeback",
            Self::Xfs => "xfs",
        }
    }

    fn mount_options(self) -> &'static str {
        match self {
            Self::Ext4Ordered => "loop,data=ordered",
            Self::Ext4Journal => "loop,data=journal",
            Self::Ext4Writeback => "loop,data=writeback",
            Self::Xfs => "loop",
        }
    }

    fn maker(self) -> &'static str {
        if self == Self::Xfs { "mkfs.xfs" } else { "mkfs.ext4" }
    }

    /// Makes an image with an empty file system in it.
    ///
    /// # Panics
    /// Where that fails.
    pub fn make(self, image: &Path, bytes: u64, block_bytes: u64) {
        let file = File::create(image).unwrap_or_else(|error| panic!("{}: {error}", image.display()));
        file.set_len(bytes).unwrap_or_else(|error| panic!("{}: {error}", image.display()));
        let mut command = Command::new(self.maker());
        let block = block_bytes.to_string();
        match self {
            Self::Xfs => command.args(["-q", "-b", &format!("size={block}")]),
            // Nothing is kept for the superuser, who these trials run as.
            _ => command.args(["-q", "-F", "-m", "0", "-b", &block]),
        };
        expect(command.arg(image));
    }
}

/// Why nothing can be mounted here, if so. Otherwise this process is in a namespace of mounts of its own from now on; that is,
/// the calling thread and those that it starts.
///
/// # Errors
/// Why.
pub fn prepare() -> Result<(), &'static str> {
    let is_there =
        |command: &str| Command::new(command).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !FileSystem::ALL.into_iter().all(|system| is_there(system.maker())) {
        return Err("mkfs.ext4 and mkfs.xfs are not both here");
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("there are no loop devices here");
    }
    let not_allowed = "mounting is not allowed here";
    own_namespace().map_err(|_| not_allowed)?;
    // What is mounted from now on is not handed on to the namespace that this one was copied from.
    let is_private = run(Command::new("mount").args(["--make-rprivate", "/"])).is_ok();
    if is_private { Ok(()) } else { Err(not_allowed) }
}

fn own_namespace() -> io::Result<()> {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: what becomes this thread's own are its mounts, its working folder and its mask for new files; neither memory
    // nor open files, on which the rest of the program could rely.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }?)
}

/// A file system that is mounted. It is unmounted when this is dropped.
#[derive(Debug)]
pub struct Mounted {
    point: PathBuf,
    is_mounted: bool,
}

impl Mounted {
    /// A file system in memory, with room for so much.
    ///
    /// # Panics
    /// Where it cannot be mounted.
    #[must_use]
    pub fn memory(point: &Path, bytes: u64) -> Self {
        Self::mount(point, Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]))
    }

    /// That of an image. A journal that was left behind is replayed.
    ///
    /// # Panics
    /// Where it cannot be mounted.
    #[must_use]
    pub fn image(point: &Path, image: &Path, system: FileSystem) -> Self {
        Self::mount(point, Command::new("mount").args(["-o", system.mount_options()]).arg(image))
    }

    fn mount(point: &Path, command: &mut Command) -> Self {
        fs::create_dir_all(point).unwrap_or_else(|error| panic!("{}: {error}", point.display()));
        expect(command.arg(point));
        Self { point: point.to_owned(), is_mounted: true }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// What its power can be cut with. To be dropped before it is unmounted.
    ///
    /// # Panics
    /// Where its folder cannot be opened.
    #[must_use]
    pub fn switch(&self) -> Switch {
        let folder = File::open(&self.point).unwrap_or_else(|error| panic!("{}: {error}", self.point.display()));
        Switch { folder }
    }

    /// Unmounts it. Who had it open must be gone.
    ///
    /// # Panics
    /// Where it stays in use.
    pub fn unmount(mut self) {
        let mut outcome = Ok(());
        for _ in 0..100 {
            outcome = run(Command::new("umount").arg(&self.point));
            if outcome.is_ok() {
                self.is_mounted = false;
                return;
            }
            // A process that was killed gives its files back a little later.
            std::thread::park_timeout(Duration::from_millis(20));
        }
        panic!("{}: {outcome:?}", self.point.display());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.is_mounted && run(Command::new("umount").arg(&self.point)).is_err() {
            // It goes when the last user does; after a failure that may be one that hangs.
            let _ = run(Command::new("umount").arg("--lazy").arg(&self.point));
        }
    }
}

/// The switch of a file system's power.
#[derive(Debug)]
pub struct Switch {
    folder: File,
}

impl Switch {
    /// Cuts the file system off from what it lies on, as a power cut does: what it has not written there by now never comes
    /// there, what its journal holds in memory neither. Every later call on it fails. But a sync that is under way may
    /// still return as if it had gone through (ext4 and XFS, Linux 6.18, seen with a program of thirty lines), which after a
    /// real power cut nobody hears: whoever waits for one has to be killed or stopped before.
    ///
    /// # Errors
    /// The file system cannot do that.
    pub fn cut(self) -> io::Result<()> {
        use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
        const FS_IOC_SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
        const FSOP_GOING_FLAGS_NOLOGFLUSH: u32 = 2;
        // SAFETY: this call takes a pointer to 32 bits and only reads them, whatever direction its number tells.
        Ok(unsafe { ioctl(self.folder, Setter::<FS_IOC_SHUTDOWN, u32>::new(FSOP_GOING_FLAGS_NOLOGFLUSH)) }?)
    }
}

/// A foreign file that takes the room of a file system.
#[derive(Debug)]
pub struct Filler {
    file: File,
    length: Mutex<u64>,
}

impl Filler {
    /// One that takes nothing yet.
    ///
    /// # Panics
    /// Where it cannot be made.
    #[must_use]
    pub fn new(mounted: &Mounted) -> Self {
        let file = File::create(mounted.point().join("filler")).expect("a foreign file");
        Self { file, length: Mutex::new(0) }
    }

    /// Takes all room but so much. Others may take of that, too, and of what was free a moment ago.
    ///
    /// # Panics
    /// Where that fails for another reason than that there is no more.
    pub fn leave(&self, bytes: u64) {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        const STEPS_BYTES: [u64; 5] = [4 << 20, 256 << 10, 16 << 10, 4096, 1024];
        let mut length = self.length.lock().expect("no panic under this lock");
        for step in STEPS_BYTES {
            loop {
                match fallocate(&self.file, FallocateFlags::empty(), *length, step) {
                    Ok(()) => *length += step,
                    Err(Errno::INTR) => {}
                    Err(Errno::NOSPC) => break,
                    Err(error) => panic!("take room: {error}"),
                }
            }
        }
        *length = length.saturating_sub(bytes);
        self.file.set_len(*length).expect("a file is cut");
    }

    /// Gives all of it back.
    ///
    /// # Panics
    /// Where that fails.
    pub fn give_back(&self) {
        *self.length.lock().expect("no panic under this lock") = 0;
        self.file.set_len(0).expect("a file is cut");
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).output() {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(Output { status, stderr, .. }) => {
            Err(format!("{command:?}: {status}: {}", String::from_utf8_lossy(&stderr).trim()))
        }
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn expect(command: &mut Command) {
    run(command).unwrap_or_else(|text| panic!("{text}"));
}
