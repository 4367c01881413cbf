//! Where the measured files lie, and on what machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder on a disk, removed when it is dropped: in `$BITACORA_BENCH_DIR`, or beside what cargo builds.
///
/// # Panics
/// It cannot be made, or it would be in memory, where nothing that is measured means anything.
#[must_use]
pub fn folder() -> tempfile::TempDir {
    let parent = std::env::var_os("BITACORA_BENCH_DIR").map_or_else(beside_the_build, PathBuf::from);
    std::fs::create_dir_all(&parent).unwrap();
    #[cfg(target_os = "linux")]
    {
        const TMPFS: i64 = 0x0102_1994;
        let kind = rustix::fs::statfs(&parent).unwrap().f_type;
        assert_ne!(kind, TMPFS, "{} is memory and not a disk; set BITACORA_BENCH_DIR", parent.display());
    }
    tempfile::Builder::new().prefix("bench-").tempdir_in(parent).unwrap()
}

fn beside_the_build() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.parent().map_or_else(|| PathBuf::from("."), |folder| folder.join("bench-files"))
}

/// Waits until the disk has nothing left to do for this folder, so that one measurement does not pay for the one before.
///
/// # Panics
/// The folder cannot be opened.
pub fn settle(folder: &Path) {
    rustix::fs::syncfs(std::fs::File::open(folder).unwrap()).unwrap();
}

/// One line: date, processors, kernel, file system.
#[must_use]
pub fn machine(folder: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let processor = processor.trim_start_matches([' ', '\t', ':']);
    format!(
        "{}; {cores} cores ({processor}), {}, Linux {}",
        said_by("date", &["-u", "+%F"]),
        file_system(folder),
        kernel.trim()
    )
}

fn file_system(folder: &Path) -> String {
    let said = said_by("df", &["--output=fstype", &folder.display().to_string()]);
    said.lines().last().unwrap_or_default().to_owned()
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    let said = Command::new(program).args(arguments).output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default()
}
