//! Repairing a store: what is damaged, what is sound, and what is lost; and then doing it.
//!
//! The plan looks and changes nothing. It reads a store that `open` refuses, too: frame by frame, going on behind every damaged
//! place. [`salvage`] reads, [`plan`] and [`fill`] are pure; [`deed`] carries a plan out, and nothing but that plan.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::create::{self, Standing};
use super::environment::Environment;
use super::pace::Pace;
use super::verify::{self, Finding, FindingKind, VerifyPhase, VerifyReport};
use super::{read_only, resolved};
use crate::error::{Error, ErrorKind, Result};
use crate::index::{Index, IndexEvidence};
use crate::log::files::LogFiles;
use crate::recovery::examine::{self, INDEX, LOG};
use crate::types::{Event, Sequence, StoreId, StreamId, Timestamp, Version};

mod archives;
mod build;
mod deed;
mod fill;
mod intent;
mod keep;
mod own_lock;
mod plan;
mod record;
mod salvage;

pub use fill::EVENT_LOST;
pub(crate) use intent::{check_none, write_durably};

/// What a repair would find.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairPlan {
    /// The store's id; from a segment's header where the identity is damaged, `None` where neither is readable.
    pub store_id: Option<StoreId>,
    /// Why a reader, and an open, refuse the store; `None` where they do not.
    pub refusal: Option<String>,
    /// What is damaged.
    pub damage: Vec<Finding>,
    /// Sequences that are there and sound.
    pub kept: Vec<SequenceRange>,
    /// Sequences that were durable, or whose successors are there, and are not there or not sound.
    pub lost: Vec<Loss>,
    /// Events that are sound.
    pub events_kept: u64,
    /// Events that are lost.
    pub events_lost: u64,
    /// Streams that have lost events, by name.
    pub streams: Vec<StreamLoss>,
    /// Lost events of which nothing tells the stream: the last ones of their streams.
    pub events_of_unknown_streams: u64,
    /// What a crash left at the end of the log and the next open cuts: no damage, and nothing that was acknowledged.
    pub torn_tail: Option<TornTail>,
    /// Why this cannot be repaired; `None` where it can.
    pub obstacle: Option<String>,
    /// The repair was begun before and cut short; this is what it does when it is begun again.
    pub is_begun: bool,
}

impl RepairPlan {
    /// Whether anything is damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damage.is_empty() || !self.lost.is_empty() || self.refusal.is_some() || self.is_begun
    }
}

/// How far the plan of a repair, or the repair itself, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepairProgress {
    /// What it does.
    pub phase: RepairPhase,
    /// Bytes of the log done in this phase.
    pub done_bytes: u64,
    /// Bytes of the log to do in this phase.
    pub total_bytes: u64,
}

/// What the plan of a repair, or the repair itself, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RepairPhase {
    /// It looks for damage, as `verify` does.
    Verify,
    /// It reads all that is sound.
    Salvage,
    /// It writes segments anew, beside the old ones.
    Rewrite,
}

/// Is told how far a repair is, and says whether to go on.
pub(crate) type RepairTold<'a> = &'a mut dyn FnMut(RepairProgress) -> ControlFlow<()>;

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairOutcome {
    /// Where the log says what was done: the sequence of the event in `system-repairs`, the last one.
    pub record_sequence: Sequence,
    /// Events that are lost, each with a stand-in of type `EventLost` at its sequence.
    pub events_lost: u64,
    /// Segments that were written anew.
    pub segments_rewritten: u64,
    /// Files that are kept as they were.
    pub quarantined: Vec<Quarantined>,
}

/// A file that is kept as it was before a repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The file, relative to the store.
    pub file: String,
    /// Its copy, relative to the store.
    pub kept_as: String,
    /// Its length.
    pub bytes: u64,
    /// Bytes that the medium did not give; zeros stand for them in the copy.
    pub unreadable_bytes: u64,
    /// SHA-256 of the copy.
    pub sha256: [u8; 32],
}

/// Sequences that follow one another, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceRange {
    /// The first.
    pub first: Sequence,
    /// The last.
    pub last: Sequence,
}

/// Sequences that are lost together, and where they should stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The first.
    pub first: Sequence,
    /// The last.
    pub last: Sequence,
    /// The file that the first should stand in or follow, relative to the store.
    pub file: String,
    /// Where in it.
    pub offset: u64,
}

/// A stream that has lost events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamLoss {
    /// The stream.
    pub stream: StreamId,
    /// Its last version before the first loss: so far it is whole.
    pub whole_through: Version,
    /// The versions that are lost.
    pub lost: Vec<VersionRange>,
    /// Events that are lost.
    pub events_lost: u64,
    /// Events that are sound and stand behind a loss.
    pub events_behind: u64,
}

/// Versions that follow one another, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// The first.
    pub first: Version,
    /// The last.
    pub last: Version,
}

/// What a crash left at the end of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TornTail {
    /// The file, relative to the store.
    pub file: String,
    /// Where it starts.
    pub offset: u64,
    /// How long it is, bytes.
    pub bytes: u64,
}

/// Plans the repair of the store in a folder; changes nothing. Beside a writer, as far as that has synced.
///
/// # Errors
/// `NotFound`: there is no store. `NotAStore`, `UnsupportedFormat`, `Io`. Damage is no error but the answer.
pub fn repair_plan(path: impl AsRef<Path>) -> Result<RepairPlan> {
    repair_plan_in(&Environment::default(), resolved(path.as_ref()), &mut |_| {})
}

/// As [`repair_plan`], of a store that stands on something else than the operating system's files; each event that is sound is
/// shown to `visitor`, in order.
///
/// # Errors
/// As [`repair_plan`].
pub fn repair_plan_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    visitor: &mut dyn FnMut(&Event),
) -> Result<RepairPlan> {
    repair_plan_in_with(environment, path, visitor, &mut |_| ControlFlow::Continue(()))
}

/// As [`repair_plan_in`], telling how far it is; `Break` breaks it off.
///
/// # Errors
/// As [`repair_plan`]. `Aborted`: `progress` said so.
pub fn repair_plan_in_with(
    environment: &Environment,
    path: impl AsRef<Path>,
    visitor: &mut dyn FnMut(&Event),
    progress: &mut dyn FnMut(RepairProgress) -> ControlFlow<()>,
) -> Result<RepairPlan> {
    if let Some(intent) = intent::Intent::read(environment.disk.as_ref(), path.as_ref())? {
        return Ok(RepairPlan { is_begun: true, ..intent.plan });
    }
    let mut show = |found: salvage::Found<'_>| {
        if let salvage::Found::Commit(_, events) = found {
            events.iter().for_each(&mut *visitor);
        }
        Ok(())
    };
    examine(environment, path.as_ref(), &mut show, progress).map(|examined| examined.plan)
}

/// Carries out the plan of a repair, and nothing else: where the store is not as it was then, nothing is done. Every sound event
/// keeps its sequence, version, id and time. At each lost sequence stands an event of type `EventLost`, in the stream whose version
/// is missing or, where nothing tells which that was, in `system-lost-1` (of the next repair, `-2`); so an aggregate that has lost
/// an event cannot be loaded by mistake. What was done is the log's last event, in `system-repairs`. Segments from the first damaged
/// one on are written anew beside the old ones, which needs as much room. Copies of all damaged files are kept in
/// `quarantine/repair-1` (of the next repair, `-2`). The index is removed, and made anew by the next open; snapshots go with it.
///
/// Cut short at any point, the store is as before or is repaired, or opens to nothing but another repair, which ends this one.
///
/// # Errors
/// `Conflict`: the store is not as planned. `Refused`: nothing is damaged, or there is an
/// [obstacle](RepairPlan::obstacle). `Locked`: the store is being written to. `StorageFull`, `Io`: it was cut short.
/// `NotFound`, `NotAStore`, `UnsupportedFormat`, `ReadOnly`.
pub fn repair(path: impl AsRef<Path>, plan: &RepairPlan) -> Result<RepairOutcome> {
    repair_with(path, plan, &mut |_| ControlFlow::Continue(()))
}

/// As [`repair`], telling how far it is. `Break` breaks it off as long as nothing of the store is changed: what was made beside it is
/// removed.
///
/// # Errors
/// As [`repair`]. `Aborted`: `progress` said so.
pub fn repair_with(
    path: impl AsRef<Path>,
    plan: &RepairPlan,
    progress: &mut dyn FnMut(RepairProgress) -> ControlFlow<()>,
) -> Result<RepairOutcome> {
    use crate::clock::Clock;
    let now = crate::clock::SystemClock.now();
    repair_in_with(&Environment::default(), resolved(path.as_ref()), plan, now, progress)
}

/// As [`repair`], of a store that stands on something else than the operating system's files; `now` goes on record.
///
/// # Errors
/// As [`repair`].
pub fn repair_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    plan: &RepairPlan,
    now: Timestamp,
) -> Result<RepairOutcome> {
    repair_in_with(environment, path, plan, now, &mut |_| ControlFlow::Continue(()))
}

/// As [`repair_with`], of a store that stands on something else than the operating system's files; `now` goes on record.
///
/// # Errors
/// As [`repair_with`].
pub fn repair_in_with(
    environment: &Environment,
    path: impl AsRef<Path>,
    plan: &RepairPlan,
    now: Timestamp,
    progress: &mut dyn FnMut(RepairProgress) -> ControlFlow<()>,
) -> Result<RepairOutcome> {
    let root = path.as_ref();
    let kind = environment.disk.kind(root);
    if kind.map_err(|source| Error::from_io(format!("look at {}", root.display()), source))?.is_none() {
        return Err(Error::new(ErrorKind::NotFound, format!("{}: there is no store", root.display())));
    }
    deed::repair(environment, root, plan, now, progress)
}

/// A plan, and what it was made of.
struct Examined {
    plan: RepairPlan,
    facts: salvage::Facts,
    /// `None` where nothing tells the store's id.
    files: Option<Arc<LogFiles>>,
}

fn examine(
    environment: &Environment,
    root: &Path,
    visitor: &mut dyn FnMut(salvage::Found<'_>) -> Result<()>,
    progress: RepairTold<'_>,
) -> Result<Examined> {
    let disk = Arc::clone(&environment.disk);
    let mut report = VerifyReport::default();
    let store_id = match create::standing(disk.as_ref(), root) {
        Ok(Standing::Store(identity)) => Some(identity.store_id),
        Ok(_) => return Err(Error::new(ErrorKind::NotFound, format!("{}: there is no store", root.display()))),
        Err(error) => {
            let id = salvage::store_id(disk.as_ref(), &root.join(LOG));
            report.take(FindingKind::Header, error)?;
            id
        }
    };
    let refusal = match read_only::open(environment, root) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound && report.is_ok() => return Err(error),
        Err(error) => Some(error.to_string()),
    };
    let Some(store_id) = store_id else {
        let obstacle = Some("nothing tells the store's id".to_owned());
        let plan = RepairPlan { refusal, damage: report.findings, obstacle, ..RepairPlan::default() };
        return Ok(Examined { plan, facts: salvage::Facts::default(), files: None });
    };
    verify::check_store(environment, root, store_id, &mut report, &mut |now| match now.phase {
        VerifyPhase::Log => {
            progress(RepairProgress { phase: RepairPhase::Verify, done_bytes: now.done, total_bytes: now.total })
        }
        VerifyPhase::Index => ControlFlow::Continue(()),
    })?;
    let evidence = Proof::look(environment, root, store_id)?;
    let inventory = examine::inventory(disk.as_ref(), &root.join(LOG))?;
    let files = Arc::new(LogFiles::new(disk, root.join(LOG), store_id, &inventory.segments));
    let mut tell =
        |done_bytes, total_bytes| progress(RepairProgress { phase: RepairPhase::Salvage, done_bytes, total_bytes });
    let mut pace = Pace::new(WHAT, verify::log_bytes(&files), verify::STEP_BYTES, &mut tell)?;
    let mut facts = salvage::read(&files, evidence.proven, evidence.bound, &mut pace, visitor)?;
    plan::add_heads(&mut facts, &evidence.heads);
    let obstacle = match fill::obstacle(&facts)? {
        None if !report.is_ok() || refusal.is_some() => archives::obstacle(&files, &inventory.archived, &facts),
        obstacle => obstacle,
    };
    let plan = plan::plan(distinct(report.findings), facts.clone(), obstacle);
    Ok(Examined { plan: RepairPlan { store_id: Some(store_id), refusal, ..plan }, facts, files: Some(files) })
}

/// What is broken off, where it is.
const WHAT: &str = "the repair";

/// What is known of the log from elsewhere.
struct Proof {
    /// The last sequence that had been durable.
    proven: Sequence,
    /// Beside a writer: what it has synced; nothing beyond is looked at.
    bound: Sequence,
    /// The streams' versions, as the index has them.
    heads: Vec<(StreamId, Version)>,
}

impl Proof {
    fn look(environment: &Environment, root: &Path, store_id: StoreId) -> Result<Self> {
        let disk = environment.disk.as_ref();
        let has_writer =
            disk.is_locked(&root.join(create::LOCK)).map_err(|source| Error::from_io("look at LOCK", source))?;
        let control = examine::read_control(disk, root, store_id)?;
        if has_writer {
            let bound = if control.shows_synced_only { control.durable } else { Sequence::MAX };
            return Ok(Self { proven: control.clean_sequence(), bound, heads: Vec::new() });
        }
        let directory = root.join(INDEX);
        let index = match environment.index.evidence(&directory, store_id) {
            IndexEvidence::Present { watermark, state_sequence } => {
                watermark.map_or(Sequence::ZERO, |mark| mark.sequence).max(state_sequence)
            }
            IndexEvidence::Absent | IndexEvidence::Unusable(_) => Sequence::ZERO,
        };
        // An index that cannot be read tells no heads, which is a finding of its own.
        let heads = environment.index.open_read_only(&directory, store_id).and_then(|index| heads(index.as_ref()));
        let proven = control.clean_sequence().max(index);
        Ok(Self { proven, bound: Sequence::MAX, heads: heads.unwrap_or_default() })
    }
}

fn heads(index: &dyn Index) -> Result<Vec<(StreamId, Version)>> {
    let mut heads: Vec<(StreamId, Version)> = Vec::new();
    loop {
        let after = heads.last().map(|(stream, _)| stream.as_str().to_owned());
        let page = index.streams("", after.as_deref(), 1024)?;
        if page.is_empty() {
            return Ok(heads);
        }
        heads.extend(page.into_iter().map(|(stream, head)| (stream, head.version)));
    }
}

/// A damaged header is found twice, by who counts the segments and by who reads them.
fn distinct(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        let is_known = |known: &&Finding| {
            (&known.segment, known.offset, &known.detail) == (&finding.segment, finding.offset, &finding.detail)
        };
        if kept.iter().find(is_known).is_none() {
            kept.push(finding);
        }
    }
    kept
}

/// As text, for a report.
fn label(first: Sequence) -> String {
    LogFiles::label(first)
}
