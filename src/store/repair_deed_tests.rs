//! Repairs carried out: what is lost is what the plan said, whatever was damaged and wherever the power went.

use std::collections::BTreeMap;
use std::path::Path;

use super::repairs::{ROOT, World, options};
use super::*;
use crate::disk::sim::{CrashOptions, Random};

const NOW: Timestamp = Timestamp::from_micros(77);

/// Damages a store in one to three ways of those that can be told from a crash.
fn harm(world: &World, random: &mut Random) -> String {
    let mut done = Vec::new();
    for _ in 0..1 + random.below(3) {
        let segments = world.segments();
        if segments.is_empty() {
            break;
        }
        let path = &segments[random.index(segments.len())];
        let bytes = world.disk.read_file(path).unwrap();
        let label = path.file_name().unwrap().to_string_lossy().into_owned();
        match random.below(8) {
            0 if segments.len() > 1 => {
                world.disk.remove_file(path).unwrap();
                done.push(format!("{label} is gone"));
            }
            1 => {
                let length = random.index(bytes.len());
                world.disk.write_file(path, &bytes[..length]).unwrap();
                done.push(format!("{label} ends at {length}"));
            }
            2 => {
                let from = random.index(bytes.len());
                let to = bytes.len().min(from + random.index(900));
                world.disk.overwrite(path, from as u64, &vec![0; to - from]).unwrap();
                done.push(format!("{label} is zero from {from} to {to}"));
            }
            3 => {
                world.disk.flip_bit(Path::new("/store/identity"), 20, 1).unwrap();
                done.push("the identity".into());
            }
            4 if world.disk.read_file(&path.with_extension("seal")).is_ok() => {
                world.disk.flip_bit(&path.with_extension("seal"), 60, 1).unwrap();
                done.push(format!("{label}: its seal"));
            }
            _ => {
                let offset = random.below(bytes.len() as u64);
                world.disk.flip_bit(path, offset, 3).unwrap();
                done.push(format!("{label} at {offset}"));
            }
        }
    }
    done.join(", ")
}

/// That what is there is what was planned: each event that was to be kept as it was, at each lost sequence a stand-in, then the
/// record; and a store that verifies, before it is opened and after, and goes on.
fn check(world: &World, before: &[Event], plan: &RepairPlan, label: &str) -> Vec<Event> {
    let environment = world.environment();
    let verified = verify_in(&environment, ROOT).unwrap();
    assert!(verified.is_ok(), "{label}: {:?}", verified.findings);
    let again = repair_plan_in(&environment, ROOT, &mut |_| {}).unwrap();
    assert!(!again.is_damaged() && again.torn_tail.is_none(), "{label}: {again:?}");
    let store = Store::open_in(&environment, ROOT, options()).unwrap_or_else(|error| panic!("{label}: {error}"));
    let events: Vec<Event> = store.read_all(..).map(Result::unwrap).collect();
    assert_eq!(events.len() as u64, plan.events_kept + plan.events_lost + 1, "{label}");
    let (record, rest) = events.split_last().unwrap();
    assert_eq!((record.stream.as_str(), record.event_type.as_str()), ("system-repairs", "StoreRepaired"), "{label}");
    let mut stand_ins = BTreeMap::<(StreamId, u64), u64>::new();
    for event in rest {
        if plan.kept.iter().any(|range| range.first <= event.sequence && event.sequence <= range.last) {
            let was = &before[usize::try_from(event.sequence.get()).unwrap() - 1];
            assert_eq!(event, was, "{label}");
        } else {
            assert_eq!(event.event_type.as_str(), EVENT_LOST, "{label}: {event:?}");
            stand_ins.insert((event.stream.clone(), event.version.get()), event.sequence.get());
        }
    }
    for loss in &plan.streams {
        for version in loss.lost.iter().flat_map(|range| range.first.get()..=range.last.get()) {
            assert!(stand_ins.contains_key(&(loss.stream.clone(), version)), "{label}: {} {version}", loss.stream);
        }
    }
    for name in store.streams("").map(|stream| stream.unwrap().0) {
        let versions = store.read_stream(&name, ..).map(|event| event.unwrap().version.get());
        assert!(versions.zip(1..).all(|(version, number)| version == number), "{label}: {name}");
    }
    store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("it goes on")]).unwrap();
    store.housekeep().unwrap();
    store.close().unwrap();
    assert!(verify_in(&environment, ROOT).unwrap().is_ok(), "{label}: after it went on");
    events
}

#[test]
fn a_repair_loses_exactly_what_the_plan_said() {
    let (sound, events) = World::closed();
    let mut random = Random::new(11);
    let (mut repaired, mut lost) = (0, 0);
    for number in 0..400 {
        let world = sound.copy();
        let label = format!("{number}: {}", harm(&world, &mut random));
        let world = if random.below(3) == 0 {
            World { index: crate::index::MemoryIndexProvider::default(), ..world }
        } else {
            world
        };
        let damaged = world.copy();
        let plan = world.plan(&events, &label);
        let outcome = repair_in(&world.environment(), ROOT, &plan, NOW);
        if !plan.is_damaged() {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Refused, "{label}");
            assert_eq!(world.disk.files(), damaged.disk.files(), "{label}");
            continue;
        }
        let outcome = outcome.unwrap_or_else(|error| panic!("{label}: {error}"));
        assert_eq!(outcome.events_lost, plan.events_lost, "{label}");
        for kept in &outcome.quarantined {
            let was = damaged.disk.read_file(&Path::new(ROOT).join(&kept.file)).unwrap();
            assert_eq!(world.disk.read_file(&Path::new(ROOT).join(&kept.kept_as)).unwrap(), was, "{label}");
            let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&was).into();
            assert_eq!(kept.sha256, digest, "{label}");
        }
        check(&world, &events, &plan, &label);
        repaired += 1;
        lost += u64::from(plan.events_lost > 0);
    }
    assert!(repaired > 300 && lost > 200, "{repaired} repaired, {lost} with losses");
}

#[test]
fn a_store_is_repaired_as_often_as_it_is_damaged() {
    let (world, mut events) = World::closed();
    let mut random = Random::new(3);
    for round in 0..12 {
        let label = format!("{round}: {}", harm(&world, &mut random));
        let plan = world.plan(&events, &label);
        if plan.is_damaged() {
            repair_in(&world.environment(), ROOT, &plan, NOW).unwrap_or_else(|error| panic!("{label}: {error}"));
            check(&world, &events, &plan, &label);
        }
        let store = Store::open_in(&world.environment(), ROOT, options()).unwrap();
        events = store.read_all(..).map(Result::unwrap).collect();
        store.close().unwrap();
    }
}

/// Goal: whenever the power goes, the store is as before, or is repaired, or opens to nothing but a repair that ends this one.
/// Method: an image of what a power cut could leave before every operation of a repair; each is repaired again.
#[test]
fn a_repair_that_is_cut_short_at_any_point_can_be_started_again() {
    let (sound, events) = World::closed();
    let (mut unchanged, mut begun, mut done) = (0, 0, 0);
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let world = sound.copy();
        let label = format!("{seed}: {}", harm(&world, &mut random));
        let plan = world.plan(&events, &label);
        if !plan.is_damaged() {
            continue;
        }
        let images = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&images);
        let index = world.index.clone();
        world.disk.set_observer(Box::new(move |operation, disk| {
            let seed = random.next_u64();
            let image = World { disk: disk.crash(seed, CrashOptions::default()), index: index.crash(seed) };
            taken.lock().push((operation.number, image));
        }));
        repair_in(&world.environment(), ROOT, &plan, NOW).unwrap();
        world.disk.clear_observer();
        let expected = check(&world, &events, &plan, &label);
        for (operation, image) in std::mem::take(&mut *images.lock()) {
            let label = format!("{label}, cut before operation {operation}");
            let environment = image.environment();
            let found = repair_plan_in(&environment, ROOT, &mut |_| {}).unwrap();
            if found.is_damaged() {
                if found.is_begun {
                    begun += 1;
                    assert_eq!(RepairPlan { is_begun: false, ..found.clone() }, plan, "{label}");
                    let opened = Store::open_in(&environment, ROOT, options()).err().map(|error| error.kind());
                    assert_eq!(opened, Some(ErrorKind::Corrupt), "{label}");
                    assert!(Store::open_read_only_in(&environment, ROOT).is_err(), "{label}");
                } else {
                    unchanged += 1;
                    assert_eq!(found, plan, "{label}");
                }
                repair_in(&environment, ROOT, &found, NOW).unwrap_or_else(|error| panic!("{label}: {error}"));
            } else {
                done += 1;
            }
            assert_eq!(check(&image, &events, &plan, &label), expected, "{label}");
        }
    }
    assert!(unchanged > 50 && begun > 50 && done > 5, "{unchanged} unchanged, {begun} begun, {done} done");
}

#[test]
fn a_repair_does_nothing_but_what_was_planned() {
    let (world, events) = World::closed();
    let segments = world.segments();
    world.disk.flip_bit(&segments[1], 600, 1).unwrap();
    let plan = world.plan(&events, "one");
    world.disk.flip_bit(&segments[2], 600, 1).unwrap();
    let kind = |plan: &RepairPlan| repair_in(&world.environment(), ROOT, plan, NOW).unwrap_err().kind();
    assert_eq!(kind(&plan), ErrorKind::Conflict);
    let hindered = RepairPlan { obstacle: Some("it".into()), ..plan };
    assert_eq!(kind(&hindered), ErrorKind::Conflict);
    // Another process writes to it.
    let plan = world.plan(&events, "two");
    let lock = crate::disk::Disk::lock(&world.disk, Path::new("/store/LOCK"), "somebody").unwrap().unwrap();
    assert_eq!(kind(&plan), ErrorKind::Locked);
    drop(lock);
    repair_in(&world.environment(), ROOT, &plan, NOW).unwrap();
    check(&world, &events, &plan, "two");
    assert_eq!(repair_in(&World::default().environment(), ROOT, &plan, NOW).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn keys_and_correlations_of_what_is_kept_are_kept() {
    let world = World::default();
    let store = Store::open_in(&world.environment(), ROOT, options()).unwrap();
    let commit = |number: u32| {
        let metadata = crate::types::Metadata { correlation_id: Some("day".into()), ..Default::default() };
        let event = event(&format!("{number} {}", "x".repeat(80))).with_metadata(metadata);
        Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![event]).idempotency_key(format!("key-{number}"))
    };
    for number in 0..60 {
        store.commit(commit(number)).unwrap();
    }
    let events: Vec<Event> = store.read_all(..).map(Result::unwrap).collect();
    store.close().unwrap();
    drop(store);
    world.disk.flip_bit(&world.segments()[1], 700, 1).unwrap();
    let plan = world.plan(&events, "keys");
    assert_eq!(plan.events_lost, 1);
    repair_in(&world.environment(), ROOT, &plan, NOW).unwrap();
    check(&world, &events, &plan, "keys");
    let store = Store::open_in(&world.environment(), ROOT, options()).unwrap();
    assert_eq!(store.read_correlation("day", ..).count(), 59);
    for number in 0..60 {
        let is_lost = plan.lost[0].first.get() == u64::from(number) + 1;
        assert_eq!(store.commit(commit(number)).unwrap().is_repeat, !is_lost, "{number}");
    }
}

/// Goal: whoever breaks a repair off has changed nothing, and can begin it again. Method: it is broken off at its first word, at its
/// second, and so on until it is done before that.
#[test]
fn a_repair_that_is_broken_off_at_any_word_has_changed_nothing() {
    use std::ops::ControlFlow;

    let (sound, events) = World::closed();
    let first = sound.segments().remove(1);
    sound.disk.flip_bit(&first, 700, 1).unwrap();
    let plan = sound.plan(&events, "sound");
    let contents = |world: &World| -> Vec<_> {
        world.disk.files().into_iter().map(|path| (path.clone(), world.disk.read_file(&path).unwrap())).collect()
    };
    let before = contents(&sound);
    let mut phases = Vec::new();
    for last_word in 1.. {
        let (world, mut words) = (sound.copy(), 0);
        let mut progress = |now: RepairProgress| {
            assert!(now.done_bytes <= now.total_bytes, "{now:?}");
            words += 1;
            if words < last_word {
                return ControlFlow::Continue(());
            }
            phases.push(now.phase);
            ControlFlow::Break(())
        };
        match repair_in_with(&world.environment(), ROOT, &plan, NOW, &mut progress) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Aborted, "word {last_word}: {error}");
                assert!(contents(&world) == before, "word {last_word}: nothing is changed");
                repair_in(&world.environment(), ROOT, &plan, NOW).unwrap();
            }
            Ok(_) => break,
        }
        check(&world, &events, &plan, "broken off, and begun again");
    }
    for phase in [RepairPhase::Verify, RepairPhase::Salvage, RepairPhase::Rewrite] {
        assert!(
            phases.iter().filter(|seen| **seen == phase).count() > 1,
            "{phase:?} tells more than that it begins: {phases:?}"
        );
    }
}

#[test]
fn a_verification_and_a_plan_can_be_broken_off_at_any_word() {
    use std::ops::ControlFlow;

    let (world, _) = World::closed();
    let mut phases = Vec::new();
    let verified = verify_in_with(&world.environment(), ROOT, &mut |now| {
        phases.push(now.phase);
        ControlFlow::Continue(())
    });
    assert!(verified.unwrap().is_ok());
    assert!(phases.contains(&VerifyPhase::Log) && phases.contains(&VerifyPhase::Index), "{phases:?}");
    for last_word in 1..=phases.len() {
        let mut words = 0;
        let error = verify_in_with(&world.environment(), ROOT, &mut |_| {
            words += 1;
            if words == last_word { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Aborted, "word {last_word}");
    }
    let error = repair_plan_in_with(&world.environment(), ROOT, &mut |_| {}, &mut |_| ControlFlow::Break(()));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Aborted);
}
