//! Measuring: small writes that are made durable in each way, and large ones one after another.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::medium::medium_of;
use super::{CheckDiskProgress, DiskMeasurements, SyncCost, SyncWay};
use crate::disk::{self, Disk, DiskFile, EntryKind, OpenMode, OsDisk};
use crate::error::{Error, ErrorKind, Result};
use crate::measure::{Distribution, per_second};

/// What a commit of one event takes, roughly.
const SMALL_BYTES: usize = 400;
const SECTOR_BYTES: usize = 4096;
/// Room for the small writes of one way; then it is written over again, as no store does, but by then there are thousands.
const AREA_BYTES: u64 = 16 * 1024 * 1024;
/// Written one after another.
const LARGE_BYTES: usize = 1024 * 1024;
const LARGE_MAX: u64 = 128;
/// No way is tried more often.
const WRITES_MAX: usize = 20_000;
/// So much must be free.
const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;
const DURATION_MIN: Duration = Duration::from_secs(1);
const DURATION_MAX: Duration = Duration::from_secs(600);
/// How many phases there are, and how much of the time each may take.
const PHASES: u32 = 7;

/// Each way with what the progress calls it.
const WAYS: [(SyncWay, &str); 5] = [
    (SyncWay::Grow, "syncs of a file that grows"),
    (SyncWay::Reserve, "syncs in room that was reserved"),
    (SyncWay::ZeroFill, "syncs in room of zeros"),
    (SyncWay::ZeroFillSector, "syncs of whole sectors"),
    (SyncWay::ZeroFillDsync, "writes that are syncs"),
];

/// The temporary file's path; what is there is removed in the end, whatever comes.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn remove(&self) -> Result<()> {
        match OsDisk.remove(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", error)),
            _ => Ok(()),
        }
    }

    /// A new file in the place of the last one.
    fn renew(&self) -> Result<Arc<dyn DiskFile>> {
        self.remove()?;
        OsDisk.open(&self.path, OpenMode::CreateNew).map_err(|source| failed("create", source))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, path = %self.path.display(), "a temporary file is left");
        }
    }
}

fn failed(what: &str, source: io::Error) -> Error {
    Error::from_io(format!("{what} the temporary file"), source)
}

/// Asks whether to go on.
struct Asking<'a> {
    progress: &'a mut dyn FnMut(CheckDiskProgress) -> ControlFlow<()>,
    now: CheckDiskProgress,
}

impl Asking<'_> {
    fn begin(&mut self, phase: &'static str, done: usize) -> Result<()> {
        self.now.phase = phase;
        self.now.done = u64::try_from(done).unwrap_or(0);
        self.ask()
    }

    fn ask(&mut self) -> Result<()> {
        match (self.progress)(self.now) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::new(ErrorKind::Aborted, "the check of the disk was broken off")),
        }
    }
}

/// Measures the disk that a folder is on.
///
/// # Errors
/// See [`check_disk`](super::check_disk).
pub(super) fn measure(
    directory: &Path,
    duration: Duration,
    progress: &mut dyn FnMut(CheckDiskProgress) -> ControlFlow<()>,
) -> Result<DiskMeasurements> {
    if !(DURATION_MIN..=DURATION_MAX).contains(&duration) {
        return Err(Error::new(ErrorKind::InvalidInput, "a check of a disk takes from one second to ten minutes"));
    }
    let look = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, format!("{}: no such folder", directory.display())),
        _ => Error::from_io(format!("look at {}", directory.display()), source),
    };
    if OsDisk.kind(&directory.canonicalize().map_err(look)?).map_err(look)? != Some(EntryKind::Directory) {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{} is no folder", directory.display())));
    }
    let room = OsDisk.room(directory).map_err(look)?;
    if let Some(room) = room.filter(|room| room.free_bytes < FREE_BYTES_MIN) {
        let text = format!("{} bytes are free, and a check of a disk wants {FREE_BYTES_MIN}", room.free_bytes);
        return Err(Error::new(ErrorKind::StorageFull, text));
    }
    let temporary = Temporary { path: directory.join(format!("check-disk-{}.tmp", std::process::id())) };
    let total = u64::from(PHASES);
    let mut asking = Asking { progress, now: CheckDiskProgress { phase: "", done: 0, total } };
    let each = duration / PHASES;
    let mut measured = DiskMeasurements { medium: medium_of(directory), ..DiskMeasurements::default() };
    for (number, (way, phase)) in WAYS.into_iter().enumerate() {
        asking.begin(phase, number)?;
        if let Some(nanos) = sync_cost(&temporary, way, each, &mut asking)? {
            measured.syncs.push(SyncCost { way, nanos });
        }
    }
    asking.begin("writing", WAYS.len())?;
    let (file, written, rate) = write_rate(&temporary, each, &mut asking)?;
    measured.write_bytes_per_second = rate;
    drop(file);
    asking.begin("reading", WAYS.len() + 1)?;
    measured.read_bytes_per_second = read_rate(&temporary.path, written, each, &mut asking)?;
    temporary.remove()?;
    Ok(measured)
}

/// Small writes, each made durable, for so long. `None` where this system does not know the way.
fn sync_cost(
    temporary: &Temporary,
    way: SyncWay,
    each: Duration,
    asking: &mut Asking<'_>,
) -> Result<Option<Distribution>> {
    let file = temporary.renew()?;
    let prepared = match way {
        SyncWay::Grow => Ok(()),
        SyncWay::Reserve => file.allocate(AREA_BYTES),
        SyncWay::ZeroFill | SyncWay::ZeroFillSector | SyncWay::ZeroFillDsync => fill(file.as_ref(), asking)?,
    };
    prepared.and_then(|()| file.sync_data()).map_err(|source| failed("prepare", source))?;
    let directly = if way == SyncWay::ZeroFillDsync { open_dsync(&temporary.path) } else { None };
    if way == SyncWay::ZeroFillDsync && directly.is_none() {
        return Ok(None);
    }
    let bytes = vec![0xA5; if way == SyncWay::ZeroFillSector { SECTOR_BYTES } else { SMALL_BYTES }];
    let step = if way == SyncWay::ZeroFillSector { SECTOR_BYTES } else { SMALL_BYTES.next_multiple_of(8) };
    let step = u64::try_from(step).unwrap_or(u64::MAX);
    let (mut offset, mut times) = (0, Vec::new());
    let began = Instant::now();
    while began.elapsed() < each && times.len() < WRITES_MAX {
        asking.ask()?;
        let start = Instant::now();
        let written = match &directly {
            Some(file) => file.write_all_at(&bytes, offset),
            None => disk::write_all_at(file.as_ref(), &[&bytes], offset).and_then(|()| file.sync_data()),
        };
        written.map_err(|source| failed("write to", source))?;
        times.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
        offset += step;
        if offset + step > AREA_BYTES {
            offset = 0;
        }
    }
    Ok(Some(Distribution::of_values(times)))
}

/// Zeros a page at a time, as a store writes them: larger writes make larger units in memory, and slower small syncs. The inner
/// result is the disk's.
fn fill(file: &dyn DiskFile, asking: &mut Asking<'_>) -> Result<io::Result<()>> {
    const STEP_BYTES: u64 = 1024 * 1024;
    const PAGE: [u8; SECTOR_BYTES] = [0; SECTOR_BYTES];
    if let Err(error) = file.allocate(AREA_BYTES) {
        return Ok(Err(error));
    }
    let mut offset = 0;
    while offset < AREA_BYTES {
        if offset % STEP_BYTES == 0 {
            asking.ask()?;
        }
        if let Err(error) = disk::write_all_at(file, &[&PAGE], offset) {
            return Ok(Err(error));
        }
        offset += 4096;
    }
    Ok(Ok(()))
}

#[cfg(target_os = "linux")]
fn open_dsync(path: &Path) -> Option<File> {
    let flags = i32::try_from(rustix::fs::OFlags::DSYNC.bits()).ok()?;
    OpenOptions::new().write(true).custom_flags(flags).open(path).ok()
}

#[cfg(not(target_os = "linux"))]
fn open_dsync(_path: &Path) -> Option<File> {
    None
}

/// Large writes for so long, with the sync at the end: the file, what was written, and the rate.
fn write_rate(temporary: &Temporary, each: Duration, asking: &mut Asking<'_>) -> Result<(Arc<dyn DiskFile>, u64, u64)> {
    let file = temporary.renew()?;
    let bytes = vec![0x5A; LARGE_BYTES];
    let large = u64::try_from(LARGE_BYTES).unwrap_or(u64::MAX);
    let (began, mut count) = (Instant::now(), 0);
    while count < LARGE_MAX && (began.elapsed() < each || count == 0) {
        asking.ask()?;
        disk::write_all_at(file.as_ref(), &[&bytes], count * large).map_err(|source| failed("write to", source))?;
        count += 1;
        // Now and then, so that what is left for the end is bounded on a slow disk too.
        if count % 8 == 0 {
            file.sync_data().map_err(|source| failed("sync", source))?;
        }
    }
    file.sync_data().map_err(|source| failed("sync", source))?;
    Ok((file, count * large, per_second(count * large, began.elapsed()).unwrap_or(0)))
}

/// Reads back what was written, for so long.
fn read_rate(path: &Path, written: u64, each: Duration, asking: &mut Asking<'_>) -> Result<u64> {
    let file = File::open(path).map_err(|source| failed("open", source))?;
    #[cfg(target_os = "linux")]
    // Where the system keeps it in memory all the same, the rate is memory's, and is told as such.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    let mut buffer = vec![0; LARGE_BYTES];
    let (began, mut offset) = (Instant::now(), 0);
    while offset < written && began.elapsed() < each {
        asking.ask()?;
        let read = file.read_at(&mut buffer, offset).map_err(|source| failed("read", source))?;
        if read == 0 {
            break;
        }
        offset += u64::try_from(read).unwrap_or(0);
    }
    Ok(per_second(offset, began.elapsed()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn every_way_is_measured_and_nothing_is_left() {
        let root = tempfile::tempdir().unwrap();
        let mut phases = Vec::new();
        let mut tell = |now: CheckDiskProgress| {
            if phases.last() != Some(&now.phase) {
                phases.push(now.phase);
            }
            ControlFlow::Continue(())
        };
        let measured = measure(root.path(), DURATION_MIN, &mut tell).unwrap();
        for (way, _) in WAYS {
            let cost = measured.sync(way).unwrap();
            assert!(cost.p50 > 0 && cost.p50 <= cost.p99 && cost.p99 <= cost.max, "{way:?}");
        }
        assert!(measured.write_bytes_per_second > 0 && measured.read_bytes_per_second > 0);
        assert_eq!(phases.len(), 7);
        assert!(names(root.path()).is_empty());
    }

    #[test]
    fn a_check_that_is_broken_off_anywhere_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        for phase in WAYS.iter().map(|(_, phase)| *phase).chain(["writing", "reading"]) {
            let mut seen = false;
            let mut tell = |now: CheckDiskProgress| {
                if now.phase == phase {
                    // The second time: the file is there by then.
                    if std::mem::replace(&mut seen, true) {
                        assert_eq!(names(root.path()).len(), 1);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            };
            let broken_off = measure(root.path(), DURATION_MIN, &mut tell).unwrap_err();
            assert_eq!(broken_off.kind(), ErrorKind::Aborted, "{phase}");
            assert!(names(root.path()).is_empty(), "{phase}");
        }
    }

    #[test]
    fn what_is_no_folder_and_no_duration_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let mut on = |_: CheckDiskProgress| ControlFlow::Continue(());
        let kind = |result: Result<DiskMeasurements>| result.unwrap_err().kind();
        assert_eq!(kind(measure(&root.path().join("none"), DURATION_MIN, &mut on)), ErrorKind::NotFound);
        std::fs::write(root.path().join("file"), "").unwrap();
        assert_eq!(kind(measure(&root.path().join("file"), DURATION_MIN, &mut on)), ErrorKind::InvalidInput);
        assert_eq!(kind(measure(root.path(), Duration::ZERO, &mut on)), ErrorKind::InvalidInput);
        assert_eq!(kind(measure(root.path(), DURATION_MAX * 2, &mut on)), ErrorKind::InvalidInput);
    }
}
