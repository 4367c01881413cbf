//! T7: an error at every call.
//!
//! Six lives of four openings make more than two thousand calls to their disks. In each run one call fails, once or for good,
//! with each error that it may have. Then one of three things happens: the life goes on, the power is cut, or the process is
//! started again on the machine that runs on, may go on with a commit, and then the power is cut. What was acknowledged is there each time.
//!
//! The first pieces are the openings of those lives, with every call. Those after them are openings of other lives, with two
//! faults that are drawn.

use bitacora::disk::sim::{Failure, Fault, OperationKind, Random};

use crate::calls::{Caller, Course, SECTIONS, Section, go_on};
use crate::class::{Class, Extent, Tally, Threads};
use crate::oracle;
use crate::workload::{Book, Known, Shape, World};

pub const CLASS: Class = Class {
    id: "T7",
    what: "runs with a failing call",
    gate: 40_000,
    release: 5_000_000,
    extent: Extent::Pieces { gate: LIVES * SECTIONS, all: LIVES * SECTIONS + 4_000 },
    threads: Threads::Every,
    piece,
};

const LIVES: u64 = 6;
/// How many pairs of faults a piece of the release draws.
const PAIRS: usize = 420;

fn piece(seed: u64, tally: &mut Tally) {
    if seed >= LIVES * SECTIONS {
        return two_faults(seed, tally);
    }
    let course = Course::new(seed / SECTIONS);
    let section = &course.sections[(seed % SECTIONS) as usize];
    tally.note("calls", section.calls.len() as u64);
    for (nth, call) in (1u64..).zip(&section.calls) {
        for failure in failures(call.kind) {
            for for_good in [false, true] {
                // Signals do not come for good: a call that is made again after each would never end.
                if for_good && failure == Failure::Interrupted {
                    continue;
                }
                let fault = Fault::at(nth, failure);
                let fault = if for_good { fault.for_good() } else { fault };
                let label = format!("call {nth} {:?} {:?}, for good {for_good}", call.kind, failure);
                let leaves_no_doubt = !for_good && leaves_no_doubt(call.kind, failure);
                run(section, &course.book, &[fault], leaves_no_doubt, &label, tally);
            }
        }
    }
}

fn two_faults(seed: u64, tally: &mut Tally) {
    let course = Course::new(seed);
    let mut random = Random::new(seed);
    let section = &course.sections[random.index(course.sections.len())];
    for _ in 0..PAIRS {
        let mut fault = || {
            let nth = 1 + random.index(section.calls.len());
            let kinds = failures(section.calls[nth - 1].kind);
            let failure = kinds[random.index(kinds.len())];
            let fault = Fault::at(nth as u64, failure);
            if failure != Failure::Interrupted && random.below(3) == 0 { fault.for_good() } else { fault }
        };
        let faults = [fault(), fault()];
        run(section, &course.book, &faults, false, &format!("seed {seed}, {faults:?}"), tally);
    }
}

/// How a call may fail. One that takes no room does not find the disk full.
fn failures(kind: OperationKind) -> Vec<Failure> {
    let mut failures = vec![Failure::Io, Failure::Interrupted];
    if kind.is_mutating() {
        failures.push(Failure::Full);
    }
    if matches!(kind, OperationKind::Read | OperationKind::Write) {
        failures.push(Failure::Short);
    }
    if kind == OperationKind::Write {
        failures.push(Failure::Zero);
    }
    failures
}

/// Whether the store goes on after this: nothing of the log is in doubt.
fn leaves_no_doubt(kind: OperationKind, failure: Failure) -> bool {
    match kind {
        OperationKind::Allocate
        | OperationKind::Read
        | OperationKind::Open
        | OperationKind::Length
        | OperationKind::Map
        | OperationKind::List
        | OperationKind::Kind => true,
        OperationKind::Write => matches!(failure, Failure::Interrupted | Failure::Short),
        _ => false,
    }
}

fn run(section: &Section, book: &Book, faults: &[Fault], leaves_no_doubt: bool, label: &str, tally: &mut Tally) {
    let mut caller = Caller::start(section, book, faults);
    let mut moment = None;
    let mut opened = caller.open();
    note_moment(&caller, book, &mut moment);
    if opened.is_err() {
        tally.note("opens refused", 1);
        opened = caller.open();
    }
    if opened.is_ok() {
        for act in &section.acts {
            let outcome = caller.act(*act);
            note_moment(&caller, book, &mut moment);
            // What was refused is asked for once more.
            if outcome.is_err() && !caller.is_stopped {
                let again = caller.act(*act);
                assert!(!leaves_no_doubt || again.is_ok(), "{label}: {act:?} again: {again:?}");
            }
        }
        assert!(!(leaves_no_doubt && caller.is_stopped), "{label}: the store stopped where nothing was in doubt");
    }
    let told = caller.told;
    tally.note("commits unknown", told.unknown);
    tally.note("commits poisoned", told.poisoned);
    tally.note("commits refused", told.refused);
    // The life went on; the next process finds its store.
    drop(restart(&caller.world.kill(), &section.shape, book, book.known(), &|| format!("{label}, gone on")));
    caller.abandon();
    tally.one();
    let Some(moment) = moment else { panic!("{label}: the call was not made") };
    check_cut(&moment.cut, &section.shape, book, moment.known, &|| format!("{label}, power cut"));
    tally.one();
    let label_again = || format!("{label}, started again");
    let (served, cut) = restart(&moment.killed, &section.shape, book, moment.known, &label_again);
    check_cut(&cut, &section.shape, book, served, &|| format!("{label}, started again, power cut"));
    tally.one();
}

fn check_cut(cut: &World, shape: &Shape, book: &Book, known: Known, label: &dyn Fn() -> String) {
    let (store, _) = oracle::check(cut, shape, book, known, &|| format!("{}, {shape:?}", label()));
    cut.abandon(store);
}

/// What the first failure left.
struct Moment {
    cut: World,
    killed: World,
    known: Known,
}

fn note_moment(caller: &Caller<'_>, book: &Book, moment: &mut Option<Moment>) {
    if moment.is_none() && caller.world.disk.failures() > 0 {
        let world = &caller.world;
        let seed = world.disk.operations();
        *moment =
            Some(Moment { cut: world.crash(seed, Shape::plain().crash), killed: world.kill(), known: book.known() });
    }
}

/// Opens what a process left on a machine that runs on, and goes on. Returns what it has served, and what a power cut leaves then.
fn restart(world: &World, shape: &Shape, book: &Book, known: Known, label: &dyn Fn() -> String) -> (Known, World) {
    let (store, served) = go_on(world, shape, book, known, &|| format!("{}, {shape:?}", label()));
    let cut = world.crash(world.disk.operations(), shape.crash);
    world.abandon(store);
    (served, cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lives_of_the_gate_make_enough_calls_of_every_kind() {
        let courses: Vec<Course> = (0..LIVES).map(Course::new).collect();
        assert!(courses.iter().map(Course::calls).sum::<usize>() >= 2_000);
        let calls = || courses.iter().flat_map(|course| &course.sections).flat_map(|section| &section.calls);
        for kind in [
            OperationKind::CreateDirectory,
            OperationKind::Create,
            OperationKind::Open,
            OperationKind::Rename,
            OperationKind::Remove,
            OperationKind::List,
            OperationKind::Kind,
            OperationKind::SyncDirectory,
            OperationKind::Lock,
            OperationKind::Read,
            OperationKind::Write,
            OperationKind::Sync,
            OperationKind::Length,
            OperationKind::Allocate,
            OperationKind::Map,
            OperationKind::ShareWord,
        ] {
            assert!(calls().any(|call| call.kind == kind), "{kind:?}");
        }
    }
}
