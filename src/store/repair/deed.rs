//! Carrying a repair out.
//!
//! First everything is made beside the store: copies of what will be removed, and the segments from the first damaged one on, with
//! stand-ins for what is lost and a record of the repair at the end; all of it is synced and read back. Then the file `repair` says
//! that it is ready, and names are changed. A repair that is cut short before that has changed nothing; one that is cut short after
//! it is finished by the next.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::build::{self, Builder, Built};
use super::fill::{EVENT_LOST, Filling};
use super::intent::{self, Intent, REPAIR};
use super::keep::{self, Folder};
use super::own_lock::OwnLock;
use super::salvage::{self, Facts, Found};
use super::{
    Examined, Quarantined, RepairOutcome, RepairPhase, RepairPlan, RepairProgress, RepairTold, SequenceRange, WHAT,
    record,
};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::to_u64;
use crate::format::identity::Identity;
use crate::format::{archive, segment};
use crate::limits;
use crate::log::files::LogFiles;
use crate::log::roll::TEMPORARY;
use crate::log::scan::Position;
use crate::recovery::examine::{self, IDENTITY, INDEX, LOG, QUARANTINE};
use crate::recovery::execute;
use crate::store::create;
use crate::store::environment::Environment;
use crate::store::pace::Pace;
use crate::store::verify::{self, FindingKind};
use crate::types::{CodecId, Event, EventId, EventType, NewEvent, Sequence, StoreId, StreamId, Timestamp, Version};

/// Stand-ins in one commit.
const STAND_INS_MAX: u64 = 1024;

/// See [`repair_in`](super::repair_in).
pub(super) fn repair(
    environment: &Environment,
    root: &Path,
    plan: &RepairPlan,
    now: Timestamp,
    progress: RepairTold<'_>,
) -> Result<RepairOutcome> {
    let _lock = create::lock(environment.disk.as_ref(), root)?;
    let own = Environment { disk: Arc::new(OwnLock(Arc::clone(&environment.disk))), ..environment.clone() };
    let disk = own.disk.as_ref();
    let intent = match Intent::read(disk, root)? {
        Some(intent) => {
            same(&RepairPlan { is_begun: true, ..intent.plan.clone() }, plan)?;
            intent
        }
        None => {
            let examined = super::examine(&own, root, &mut |_| Ok(()), progress)?;
            same(&examined.plan, plan)?;
            let prepared = prepare(disk, root, examined, now, progress);
            let intent = prepared.inspect_err(|error| {
                if error.kind() == ErrorKind::Aborted {
                    remove_made(disk, root);
                }
            })?;
            intent.write(disk, root)?;
            intent
        }
    };
    carry_out(&own, root, &intent).map_err(|source| Error::from_io("carry the repair out", source))?;
    tracing::warn!(root = %root.display(), lost = intent.plan.events_lost, "store repaired");
    Ok(intent.outcome)
}

fn same(found: &RepairPlan, agreed: &RepairPlan) -> Result<()> {
    if found != agreed {
        return Err(Error::new(
            ErrorKind::Conflict,
            "the store is not as it was when the repair was planned; plan again",
        ));
    }
    let refused = |text: &str| Err(Error::new(ErrorKind::Refused, text));
    match &found.obstacle {
        Some(obstacle) => refused(&format!("this cannot be repaired: {obstacle}")),
        None if !found.is_damaged() => refused("nothing is damaged"),
        None => Ok(()),
    }
}

/// Removes what was made beside the store. What cannot be is in nobody's way: the next repair, and the next open, remove it.
fn remove_made(disk: &dyn Disk, root: &Path) {
    let directory = root.join(LOG);
    let inventory = examine::inventory(disk, &directory);
    let removed = inventory.and_then(|found| execute::remove_temporary(disk, &directory, &found.temporary));
    let removed = removed.and_then(|_| {
        keep::remove_unfinished(disk, root)
            .map_err(|source| Error::from_io(format!("remove what was begun in {QUARANTINE}/"), source))
    });
    if let Err(error) = removed {
        tracing::warn!(%error, root = %root.display(), "what a repair that was broken off has made cannot be removed");
    }
}

/// Makes everything beside the store.
fn prepare(
    disk: &dyn Disk,
    root: &Path,
    examined: Examined,
    now: Timestamp,
    progress: RepairTold<'_>,
) -> Result<Intent> {
    let Examined { plan, facts, files } = examined;
    let (Some(files), Some(store_id)) = (files, plan.store_id) else {
        return Err(Error::new(ErrorKind::Refused, "nothing tells the store's id"));
    };
    let directory = root.join(LOG);
    let inventory = examine::inventory(disk, &directory)?;
    execute::remove_temporary(disk, &directory, &inventory.temporary)?;
    let io = |source| Error::from_io(format!("make a folder in {QUARANTINE}/"), source);
    let folder = Folder::make(disk, root).map_err(io)?;
    // From here on segments are made anew: at the latest the last one, which gets the record.
    let unharmed = unharmed(&facts);
    let before = unharmed.checked_sub(1).and_then(|at| facts.segments.get(at));
    let from = before.map_or(Sequence::FIRST, |facts| facts.end.next);
    let seals_from = bad_seal(&plan).map_or(from, |first| first.min(from));
    let seals = inventory.seals.iter().filter(|first| **first >= seals_from).map(|first| segment::seal_name(*first));
    let seals: Vec<String> = seals.collect();
    let harmed = facts.segments.iter().skip(unharmed).filter(|facts| !facts.is_whole);
    let harmed = harmed.map(|facts| segment::file_name(facts.first));
    let has_identity = plan.damage.iter().any(|finding| finding.segment == IDENTITY);
    let kept = harmed.chain(seals.iter().cloned()).map(|name| format!("{LOG}/{name}"));
    let kept = kept.chain(has_identity.then(|| IDENTITY.to_owned()));
    let kept = kept.filter_map(|file| folder.keep(disk, root, &file).transpose()).collect::<Result<Vec<_>>>()?;
    folder.sync(disk).map_err(io)?;
    let mut tell =
        |done_bytes, total_bytes| progress(RepairProgress { phase: RepairPhase::Rewrite, done_bytes, total_bytes });
    let mut pace = Pace::new(WHAT, verify::log_bytes(&files), verify::STEP_BYTES, &mut tell)?;
    let source = Rebuilt { store_id, facts: &facts, files: &files, unharmed };
    let (made, record_sequence) = build(disk, &directory, &source, (&plan, kept.as_slice(), now), &mut pace)?;
    disk.sync_directory(&directory).map_err(|source| Error::from_io("sync the folder log", source))?;
    if has_identity {
        write_identity(disk, root, store_id, &facts)?;
    }
    let replaced = facts.segments.iter().skip(unharmed).filter(|facts| !made.contains(&facts.first));
    // A stub beside a segment's file leads to what the segment was.
    let stubs = inventory.stubs.iter().filter(|first| **first >= from).map(|first| archive::stub_name(*first));
    let removed = replaced.map(|facts| segment::file_name(facts.first)).chain(seals).chain(stubs).collect();
    let outcome = RepairOutcome {
        record_sequence,
        events_lost: plan.events_lost,
        segments_rewritten: to_u64(made.len()),
        quarantined: kept,
    };
    let segments = made.iter().map(|first| first.get()).collect();
    Ok(Intent { plan: short(plan), outcome, segments, removed, has_identity, quarantine: folder.name })
}

/// How many segments are left as they are. The last one never is.
pub(super) fn unharmed(facts: &Facts) -> usize {
    let is_sound = |facts: &salvage::SegmentFacts| facts.is_whole && facts.is_joined && facts.end.next > facts.first;
    let unharmed = facts.segments.iter().take_while(|facts| is_sound(facts)).count();
    unharmed.min(facts.segments.len().saturating_sub(1))
}

/// What the file `repair` has room for; all of it was shown before.
fn short(mut plan: RepairPlan) -> RepairPlan {
    plan.damage.truncate(1_000);
    plan.streams.truncate(10_000);
    plan
}

fn bad_seal(plan: &RepairPlan) -> Option<Sequence> {
    let seals = plan.damage.iter().filter(|finding| finding.kind == FindingKind::Seal);
    seals.filter_map(|finding| segment::parse_name(finding.segment.strip_prefix("log/")?, ".seal")).min()
}

fn write_identity(disk: &dyn Disk, root: &Path, store_id: StoreId, facts: &Facts) -> Result<()> {
    let header = facts.segments.iter().find_map(|facts| facts.header);
    let identity = Identity { store_id, created: header.map_or(Timestamp::EPOCH, |header| header.created) };
    intent::write_durably(disk, &root.join(format!("{IDENTITY}{TEMPORARY}")), &[&identity.encode()])
        .and_then(|()| disk.sync_directory(root))
        .map_err(|source| Error::from_io("write identity", source))
}

/// What is written anew: all behind the first `unharmed` segments.
struct Rebuilt<'a> {
    store_id: StoreId,
    facts: &'a Facts,
    files: &'a Arc<LogFiles>,
    unharmed: usize,
}

/// Writes the segments from the `unharmed` first ones on; which they are, and where the record stands.
fn build(
    disk: &dyn Disk,
    directory: &Path,
    source: &Rebuilt<'_>,
    record: (&RepairPlan, &[Quarantined], Timestamp),
    pace: &mut Pace<'_>,
) -> Result<(Vec<Sequence>, Sequence)> {
    let Rebuilt { store_id, facts, files, unharmed } = *source;
    let before = unharmed.checked_sub(1).and_then(|at| facts.segments.get(at));
    let start =
        Position { offset: 0, next: Sequence::FIRST, chain: 0, timestamp: Timestamp::EPOCH, previous_frame: None };
    let mut builder = Builder {
        disk,
        directory,
        store_id,
        position: before.map_or(start, |facts| facts.end),
        previous: before.map_or(Sequence::ZERO, |facts| facts.first),
        ordinal: to_u64(unharmed),
        source: None,
        current: None,
        made: Vec::new(),
        cut_bound: to_u64(limits::GROUP_BYTES_MAX.max(limits::COMMIT_BYTES_MAX)),
    };
    let from = builder.position.next;
    let mut filling = Filling::new(facts)?;
    salvage::read(files, facts.end.previous(), Sequence::MAX, pace, &mut |found| match found {
        Found::Segment(first) if first >= from => {
            builder.start(facts.segments.iter().find(|facts| facts.first == first))
        }
        Found::Commit(frame, events) if frame.header.first_sequence >= from => {
            let key = frame.key().map_err(|defect| crate::log::cursor::damaged_in(frame, defect))?;
            builder.push(Built {
                key: key.as_ref().map(|(key, hash)| (*key, hash)),
                durable_through: frame.header.durable_through,
                timestamp: frame.header.timestamp,
                events: events.iter().map(kept).collect(),
            })
        }
        Found::Lost(range) => stand_in(&mut builder, &mut filling, range),
        Found::Segment(_) | Found::Commit(..) => Ok(()),
    })?;
    filling.finish()?;
    let (plan, kept, now) = record;
    let sequence = builder.position.next;
    let stream = StreamId::new(record::REPAIRS_STREAM)?;
    let known = facts.streams.get(&stream);
    let version = known.map_or(Version::ZERO, |facts| {
        facts.lost.last().map_or(facts.version, |gap| gap.versions.last.max(facts.version))
    });
    let event = record::event(plan, kept, now)?;
    builder.push(Built {
        key: None,
        durable_through: sequence.previous(),
        timestamp: now,
        events: vec![(stream, version.next(), derived_id(store_id, sequence), event)],
    })?;
    builder.finish()?;
    Ok((builder.made, sequence))
}

fn kept(event: &Event) -> (StreamId, Version, EventId, NewEvent) {
    let again = NewEvent {
        id: Some(event.id),
        event_type: event.event_type.clone(),
        schema_version: event.schema_version,
        codec: event.codec,
        tags: event.tags.clone(),
        metadata: event.metadata.clone(),
        payload: event.payload.clone(),
    };
    (event.stream.clone(), event.version, event.id, again)
}

fn stand_in(builder: &mut Builder<'_>, filling: &mut Filling, range: SequenceRange) -> Result<()> {
    let event_type = EventType::new(EVENT_LOST)?;
    let mut first = range.first;
    while first <= range.last {
        let last = first.plus(STAND_INS_MAX).previous().min(range.last);
        let events = (first.get()..=last.get()).map(|sequence| {
            let sequence = Sequence::new(sequence);
            let (stream, version) = filling.next(sequence)?;
            let event = NewEvent::new(event_type.clone(), CodecId::RAW, Vec::new());
            Ok((stream, version, derived_id(builder.store_id, sequence), event))
        });
        let events = events.collect::<Result<Vec<_>>>()?;
        let timestamp = builder.position.timestamp;
        builder.push(Built { key: None, durable_through: first.previous(), timestamp, events })?;
        first = last.next();
    }
    Ok(())
}

/// An id that is the same however often the repair is begun.
fn derived_id(store_id: StoreId, sequence: Sequence) -> EventId {
    let mut hasher = Sha256::new();
    hasher.update(EVENT_LOST.as_bytes());
    hasher.update(store_id.as_bytes());
    hasher.update(sequence.get().to_le_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    EventId::from_bytes(digest.first_chunk().copied().unwrap_or_default())
}

/// Changes names. Each step can be made again.
fn carry_out(environment: &Environment, root: &Path, intent: &Intent) -> std::io::Result<()> {
    let (disk, directory) = (environment.disk.as_ref(), root.join(LOG));
    for first in intent.segments.iter().map(|first| Sequence::new(*first)) {
        rename(disk, &directory.join(build::temporary_name(first)), &directory.join(segment::file_name(first)))?;
    }
    for name in &intent.removed {
        let path = directory.join(name);
        if disk.kind(&path)?.is_some() {
            disk.remove(&path)?;
        }
    }
    disk.sync_directory(&directory)?;
    environment.index.remove(&root.join(INDEX)).map_err(std::io::Error::other)?;
    if intent.has_identity {
        rename(disk, &root.join(format!("{IDENTITY}{TEMPORARY}")), &root.join(IDENTITY))?;
    }
    let quarantine = root.join(QUARANTINE);
    rename(disk, &keep::temporary(root, &intent.quarantine), &quarantine.join(&intent.quarantine))?;
    disk.sync_directory(&quarantine)?;
    disk.sync_directory(root)?;
    disk.remove(&root.join(REPAIR))?;
    disk.sync_directory(root)
}

fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> std::io::Result<()> {
    if disk.kind(from)?.is_some() { disk.rename(from, to) } else { Ok(()) }
}
