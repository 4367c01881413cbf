//! Bringing a backup up to date, so that it is a whole store at every moment.
//!
//! What is new is made under temporary names, synced, and read back. Then it gets its names, one after another, each durable
//! before the next: the last segment's longer copy in place of the shorter one, and each segment that follows. At each of these
//! points the log ends with whole frames and goes further than before, which is what a store without its last mark of a close
//! looks like. A seal comes only once its segment has a successor, since a segment without one can be written to by whoever opens
//! the backup; so does a hard link. The control file, which says where the log ends, comes last.

use std::path::{Path, PathBuf};

use super::check;
use super::copy::{self, Copier};
use super::source::{self, Source};
use super::target::Target;
use super::{BackupOptions, BackupReport, Watch, in_backup, report, verify_whole};
use crate::disk::{Disk, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::to_u64;
use crate::format::identity::Identity;
use crate::format::segment;
use crate::log::roll::TEMPORARY;
use crate::log::scan::Position;
use crate::recovery::examine::{self, CONTROL, IDENTITY, LOG};
use crate::store::create;
use crate::store::environment::Environment;
use crate::types::Sequence;

/// Brings the backup at `to` up to date. See [`backup`](super::backup()).
///
/// # Errors
/// As [`backup`](super::backup()), and what `watch` says.
pub(super) fn update(
    environment: &Environment,
    root: &Path,
    to: &Path,
    identity: Identity,
    options: &BackupOptions,
    watch: &mut Watch<'_>,
) -> Result<BackupReport> {
    let disk = &environment.disk;
    let target = Target::look(disk, to, identity)?;
    let from = if options.verify_all { None } else { Some(target.last) };
    let source = source::read(environment, root, identity, from, watch)?;
    target.check_against(to, &source)?;
    if options.verify_all {
        let total_bytes = bytes_of(disk.as_ref(), to)?;
        verify_whole(environment, to, total_bytes, watch).map_err(|error| in_backup(to, error))?;
    }
    let work = Work::plan(&target, &source);
    let mut copier = Copier::new(disk.as_ref(), &source, work.from);
    if !work.is_nothing() {
        let _lock = create::lock(disk.as_ref(), to)?;
        if !Target::look_unlocked(disk, to, identity)?.is_as(&target) {
            let text = format!("{} was brought up to date by somebody else meanwhile", to.display());
            return Err(Error::new(ErrorKind::Locked, text));
        }
        let mut update = Update { disk: disk.as_ref(), to, log: to.join(LOG), copier: &mut copier, made: None };
        let done = update.run(&work, &target, options, watch);
        if done.is_err() {
            update.give_up();
        }
        done?;
    }
    let bytes = bytes_of(disk.as_ref(), to)?;
    let copied = copier.copied;
    let segments = to_u64(target.inventory.segments.len().max(source.before.len() + source.segments.len()));
    Ok(report(&source, copied, segments - copied.segments, bytes))
}

/// What is to be done.
struct Work {
    /// The first segment that is copied, as its number among those that were read.
    from: usize,
    /// Segments, with where their last frames end.
    segments: Vec<(Sequence, Position)>,
    seals: Vec<Sequence>,
    /// Where the log ends then.
    end: Position,
    /// Whether the control file is to say so.
    has_new_end: bool,
    has_leftovers: bool,
}

impl Work {
    fn plan(target: &Target, source: &Source) -> Self {
        // Marks alone are nothing to copy.
        let has_events = source.position.next > target.end.next;
        let is_kept = |(first, end): &(Sequence, Position)| {
            !has_events || *first < target.last || (*first == target.last && end.offset == target.end.offset)
        };
        let segments: Vec<_> = source.segments.iter().skip_while(|segment| is_kept(segment)).copied().collect();
        let last = if has_events { source.segments.last().map_or(target.last, |(last, _)| *last) } else { target.last };
        let seals = source.seals.iter().map(|(first, _)| *first);
        let seals = seals.filter(|first| *first < last && !target.has_seal(*first)).collect();
        let end = if has_events { source.position } else { target.end };
        Self {
            from: source.segments.len() - segments.len(),
            has_new_end: !segments.is_empty() || !target.says_its_end(),
            segments,
            seals,
            end,
            has_leftovers: !target.leftovers.is_empty(),
        }
    }

    fn is_nothing(&self) -> bool {
        self.seals.is_empty() && !self.has_new_end && !self.has_leftovers
    }
}

struct Update<'a, 'b> {
    disk: &'a dyn Disk,
    to: &'a Path,
    log: PathBuf,
    copier: &'b mut Copier<'a>,
    /// What has no name of its own yet.
    made: Option<PathBuf>,
}

impl Update<'_, '_> {
    fn run(&mut self, work: &Work, target: &Target, options: &BackupOptions, watch: &mut Watch<'_>) -> Result<()> {
        // What an update before this one has named may not be durable, and what comes now would stand on it.
        examine::sync_before_reading(self.disk, self.to, &self.log, &target.inventory.segments)?;
        for path in &target.leftovers {
            self.remove(path)?;
        }
        for (first, end) in &work.segments {
            let name = segment::file_name(*first);
            let path = self.begin(&self.log.join(&name));
            self.copier.segment(*first, end.offset, &path, false, watch)?;
            self.read_back(&path, *first, (*end).into(), watch)?;
            self.name(&self.log.join(&name))?;
            self.sync(&self.log.clone())?;
        }
        if options.hard_links {
            self.link(work)?;
        }
        for first in &work.seals {
            let name = segment::seal_name(*first);
            let path = self.begin(&self.log.join(&name));
            self.copier.seal(*first, &path)?;
            self.name(&self.log.join(&name))?;
        }
        if !work.seals.is_empty() {
            self.sync(&self.log.clone())?;
        }
        if !work.has_new_end {
            return Ok(());
        }
        // Whoever reads the backup meanwhile, by an open file that has another in its place now, looks again for another session.
        let session = self.copier.source.session.max(target.control.session.saturating_add(1));
        let control = copy::control(self.copier.source.identity.store_id, work.end, session);
        let path = self.begin(&self.to.join(CONTROL));
        self.copier.write(&path, &control)?;
        self.name(&self.to.join(CONTROL))?;
        self.sync(self.to)
    }

    /// The temporary name of a file that will stand at `path`.
    fn begin(&mut self, path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(TEMPORARY);
        let path = PathBuf::from(name);
        self.made = Some(path.clone());
        path
    }

    /// Gives what was made its name. It is durable once the folder is synced.
    fn name(&mut self, path: &Path) -> Result<()> {
        let Some(made) = self.made.take() else { unreachable!("what is named was made") };
        self.disk.rename(&made, path).map_err(|source| {
            self.made = Some(made);
            Error::from_io(format!("name {}", path.display()), source)
        })
    }

    fn sync(&self, folder: &Path) -> Result<()> {
        self.disk
            .sync_directory(folder)
            .map_err(|source| Error::from_io(format!("sync the folder {}", folder.display()), source))
    }

    fn read_back(&self, path: &Path, first: Sequence, end: check::End, watch: &mut Watch<'_>) -> Result<()> {
        let file = self.disk.open(path, OpenMode::Read);
        let file = file.map_err(|source| Error::from_io(format!("read {}", path.display()), source))?;
        let files = &self.copier.source.files;
        let segment = files.named(first).unwrap_or_else(|| unreachable!("what was copied is in the store"));
        let header = files.header(&segment)?;
        let copier = &*self.copier;
        check::whole(file, &header, end, &mut || copier.tell(watch)).map_err(|error| in_backup(self.to, error))
    }

    /// Replaces copies by second names of the store's files, as far as that can be done.
    fn link(&mut self, work: &Work) -> Result<()> {
        for (first, _) in &work.segments {
            let source = self.copier.source;
            if !source.is_finished(*first) || !source.has_seal(*first) {
                continue;
            }
            let name = segment::file_name(*first);
            let path = self.begin(&self.log.join(&name));
            let linked = self.disk.hard_link(&source.files.path(*first), &path);
            if !linked.map_err(|source| Error::from_io(format!("write {}", path.display()), source))? {
                self.made = None;
                return Ok(());
            }
            self.name(&self.log.join(&name))?;
            self.sync(&self.log.clone())?;
            self.copier.copied.linked += 1;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let io = |source| Error::from_io(format!("remove {}", path.display()), source);
        if self.disk.kind(path).map_err(io)?.is_some() {
            self.disk.remove(path).map_err(io)?;
        }
        Ok(())
    }

    /// Removes what has no name of its own; where that fails, the next update does it.
    fn give_up(&mut self) {
        let Some(made) = self.made.take() else { return };
        if let Err(error) = self.remove(&made) {
            tracing::warn!(%error, "a part of a backup that failed is left");
        }
    }
}

/// The bytes of a backup's files.
fn bytes_of(disk: &dyn Disk, to: &Path) -> Result<u64> {
    let io = |source| Error::from_io(format!("list {}", to.display()), source);
    let log = disk.list(&to.join(LOG)).map_err(io)?;
    let whole = disk.list(to).map_err(io)?;
    let of_the_log = log.iter().filter(|entry| !entry.name.ends_with(TEMPORARY));
    let others = whole.iter().filter(|entry| [CONTROL, IDENTITY].contains(&entry.name.as_str()));
    Ok(of_the_log.chain(others).map(|entry| entry.length).sum())
}
