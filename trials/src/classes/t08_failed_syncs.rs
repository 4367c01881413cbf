//! T8: a sync that fails, and what the page cache makes of it.
//!
//! Every sync of a life fails once, of files and of folders, those of opening, rolling and closing among them, under each of four
//! models of what a failed sync leaves. Several commits are in flight: none of a failing group may be told that it went
//! through, and none behind it. Then the process is started again on the machine that runs on; what the store serves then is
//! durable, whatever the page cache took for clean, and several power cuts must not take any of it away. A power cut instead of the new
//! start must not take what was acknowledged, except where the system reports the failure one sync late: a sync went through then,
//! as far as anybody could know.

use bitacora::ErrorKind;
use bitacora::disk::sim::{AfterFailedSync, Failure, Fault, OperationKind, SimulationOptions};

use crate::calls::{Act, Caller, Course, SECTIONS, Section, go_on};
use crate::class::{Class, Extent, Tally, Threads};
use crate::oracle;
use crate::workload::{Book, World};

pub const CLASS: Class = Class {
    id: "T8",
    what: "failed syncs",
    gate: 7_500,
    release: 560_000,
    extent: Extent::Pieces { gate: LIVES * SECTIONS, all: 75 * LIVES * SECTIONS },
    threads: Threads::Every,
    piece,
};

const LIVES: u64 = 4;
const CUTS: u64 = 3;
const MODELS: [AfterFailedSync; 4] =
    [AfterFailedSync::Dirty, AfterFailedSync::CleanNew, AfterFailedSync::CleanOld, AfterFailedSync::ReportedLate];

fn piece(seed: u64, tally: &mut Tally) {
    // Other lives than those of T7.
    let course = Course::new(1_000_000 + seed / SECTIONS);
    let section = &course.sections[(seed % SECTIONS) as usize];
    for (nth, call) in (1u64..).zip(&section.calls) {
        if !matches!(call.kind, OperationKind::Sync | OperationKind::SyncDirectory) {
            continue;
        }
        for model in MODELS {
            for failure in [Failure::Io, Failure::Interrupted] {
                for for_good in [false, true] {
                    let fault = Fault::at(nth, failure);
                    // For good: of this kind alone, for the store must be able to do all the harm it would.
                    let faults =
                        if for_good { vec![fault, lasting_behind(section, nth, failure)] } else { vec![fault] };
                    let label = format!(
                        "{model:?}, {:?} {nth} of {}, {failure:?}, for good {for_good}",
                        call.kind,
                        call.path.display()
                    );
                    run(section, &course.book, model, &faults, &label, tally);
                    tally.one();
                }
            }
        }
    }
}

/// All later syncs of files fail too.
fn lasting_behind(section: &Section, nth: u64, failure: Failure) -> Fault {
    let before = section.calls.iter().take(nth as usize).filter(|call| call.kind == OperationKind::Sync).count();
    Fault::at(before as u64 + 1, failure).of(OperationKind::Sync).for_good()
}

fn run(section: &Section, book: &Book, model: AfterFailedSync, faults: &[Fault], label: &str, tally: &mut Tally) {
    let label = || format!("{label}, {:?}", section.shape);
    let mut caller = Caller::start(section, book, faults);
    let options = SimulationOptions { after_failed_sync: model, ..caller.world.disk.options() };
    caller.world.disk.set_options(options);
    let mut outcome = caller.open();
    for act in &section.acts {
        if outcome.is_err() {
            break;
        }
        outcome = caller.act(*act);
    }
    assert!(caller.world.disk.failures() > 0, "{}: the sync was not made", label());
    if model != AfterFailedSync::ReportedLate {
        let cut = caller.world.crash(caller.world.disk.operations(), section.shape.crash);
        let (store, _) = oracle::check(&cut, &section.shape, book, book.known(), &|| format!("{}, power cut", label()));
        cut.abandon(store);
    }
    tally.note("commits unknown", caller.told.unknown);
    tally.note("commits that went through before", caller.told.done);
    // Who comes after the failure hears that the store has stopped.
    if caller.is_stopped {
        let after = caller.act(Act::Submit(2)).map_err(|error| error.kind());
        assert_eq!(after, Err(ErrorKind::Poisoned), "{}", label());
    }
    tally.note("commits poisoned", caller.told.poisoned);
    let mut world = caller.world.kill();
    let known = book.known();
    // In one of four the index is lost with the process, and made again from what the page cache shows.
    if caller.world.disk.operations().is_multiple_of(4) {
        world = World { disk: world.disk, index: Default::default() };
    }
    caller.abandon();
    let started_again = || format!("{}, started again", label());
    let (store, served) = go_on(&world, &section.shape, book, known, &started_again);
    for seed in 0..CUTS {
        let cut = world.crash(seed, section.shape.crash);
        let label = || format!("{}, started again, power cut {seed}", label());
        let (store, _) = oracle::check(&cut, &section.shape, book, served, &label);
        cut.abandon(store);
        tally.note("power cuts", 1);
    }
    world.abandon(store);
}
