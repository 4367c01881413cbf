//! T12: the power goes under a real file system.
//!
//! A piece is two stores side by side, each on a file system of its own in an image: ext4 in one of its three journal modes, or
//! XFS. A child works there as in T10; at any moment the file system is cut off from its device, without flushing its log. The
//! child is killed a moment before, so that the cut meets its system calls halfway, or goes on on what is left. Then the
//! image is mounted again, and what is there is held against what the child has said. A store lives through a few such
//! cuts. The card network has no share in them: the gateway's journal lies elsewhere.
//!
//! What a file system had written to its device is kept, whether or not it was flushed: this tries what the store asks of file
//! systems, and the simulated disk of T1 what it asks of devices. Btrfs cannot be cut off so (Linux 6.18: no such call).

use std::path::{Path, PathBuf};
use std::time::Duration;

use bitacora::disk::sim::Random;

use crate::class::{Class, Extent, Tally, Threads};
use crate::real::day::{self, From};
use crate::real::mount::{FileSystem, Mounted};
use crate::real::oracle::{self, Known};
use crate::real::plan::{Against, Plan};
use crate::real::{apart, folder, process, side_by_side};

pub const CLASS: Class = Class {
    id: "T12",
    what: "power losses",
    gate: 10,
    release: 1_000,
    extent: Extent::Endless,
    threads: Threads::One,
    piece,
};

/// XFS makes none that is smaller.
const IMAGE_BYTES: u64 = 320 << 20;
/// What the images of one piece may grow to.
const MEMORY_BYTES: u64 = 1 << 30;

fn piece(seed: u64, tally: &mut Tally) {
    apart::piece(CLASS.id, seed, tally);
}

/// The same, in the process that was started for it.
pub(super) fn piece_apart(seed: u64, tally: &mut Tally) {
    side_by_side(tally, &[2 * seed, 2 * seed + 1], one_image);
}

/// An image in memory, and where it is mounted.
struct Bench {
    system: FileSystem,
    image: PathBuf,
    point: PathBuf,
    gateway: PathBuf,
}

impl Bench {
    fn make(system: FileSystem, memory: &Path, random: &mut Random) -> Self {
        let [image, point, gateway] = ["image", "mounted", "gateway"].map(|name| memory.join(name));
        let block_bytes = if random.below(2) == 0 { 1024 } else { 4096 };
        system.make(&image, IMAGE_BYTES, block_bytes);
        std::fs::create_dir(&gateway).expect("a folder in memory");
        let bench = Self { system, image, point, gateway };
        let mounted = bench.mount();
        std::os::unix::fs::symlink(&bench.gateway, day::gateway_in(mounted.point())).expect("a link to the gateway");
        mounted.unmount();
        bench
    }

    fn mount(&self) -> Mounted {
        Mounted::image(&self.point, &self.image, self.system)
    }
}

fn one_image(seed: u64, tally: &mut Tally) {
    let system = FileSystem::ALL[usize::try_from(seed % 4).expect("small")];
    let place = folder::temporary();
    let memory = Mounted::memory(&place.path().join("memory"), MEMORY_BYTES);
    let mut random = Random::new(seed ^ 0x706f_7765);
    let bench = Bench::make(system, memory.point(), &mut random);
    let plan = Plan { seed, against: Against::Power };
    let (mut known, mut from) = (Known::default(), From::default());
    for life in 0..2 + random.below(3) {
        let after = Duration::from_micros(random.below(400_000));
        let process = [Process::Ends, Process::Ends, Process::EndsClosing, Process::GoesOn][random.index(4)];
        let label = format!("{}, power cut {life} after {after:?}, {process:?}, {:?}", system.name(), plan.options());
        known.begun = from.commits;
        let mounted = bench.mount();
        let words = day::words(mounted.point(), plan, &from);
        let lines = live_until_cut(&mounted, &words, after, process, tally, &label);
        mounted.unmount();
        let failure = known.take(&lines);
        check_failure(failure.as_deref(), process, &label);
        let mounted = bench.mount();
        let opens_to_write = !day::has_log(mounted.point()) || life % 2 == 1;
        from = oracle::check(mounted.point(), plan, &known, opens_to_write, &label);
        mounted.unmount();
        tally.one();
        tally.note(system.name(), 1);
    }
    tally.note("commits acknowledged", known.commits.len() as u64);
    tally.note("payments acknowledged", known.payments.len() as u64);
    tally.note("lost", 0);
    memory.unmount();
}

/// What becomes of the process when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    /// It ends with it, and never hears of the calls that are under way.
    Ends,
    /// The same, while it closes the store or has just done so.
    EndsClosing,
    /// It goes on, and every call that it makes from then on fails.
    GoesOn,
}

/// A child on the mounted image, until the power goes. Whatever it has said counts, also after the cut.
fn live_until_cut(
    mounted: &Mounted,
    words: &[String],
    after: Duration,
    process: Process,
    tally: &mut Tally,
    label: &str,
) -> Vec<String> {
    let mut child = process::Process::start(words);
    let mut lines = child.lines_for(after);
    let switch = mounted.switch();
    let cut = || switch.cut().unwrap_or_else(|error| panic!("{label}: cut the power: {error}"));
    match process {
        Process::Ends | Process::EndsClosing => {
            if process == Process::EndsClosing {
                child.end_input();
                lines.extend(child.lines_for(after / 2));
            }
            child.strike();
            cut();
            lines.extend(child.kill());
            tally.note("with the process", 1);
        }
        Process::GoesOn => {
            assert!(child.pause(), "{label}: the child ended by itself: {lines:?}");
            cut();
            child.resume();
            lines.extend(child.lines_for(Duration::from_millis(20)));
            lines.extend(child.kill());
            tally.note("under the process", 1);
        }
    }
    tally.note("after the close", lines.iter().any(|line| line == "closed").into());
    tally.note("before the store was open", (!lines.iter().any(|line| line.starts_with("open"))).into());
    lines
}

/// That the power is gone is told as that, and only where it is.
fn check_failure(failure: Option<&str>, process: Process, label: &str) {
    let is_expected = match (process, failure.and_then(|line| line.split(' ').nth(1))) {
        (_, None) => true,
        (Process::Ends | Process::EndsClosing, Some(_)) => false,
        (Process::GoesOn, Some(kind)) => ["Io", "CommitUnknown", "Poisoned", "ReadOnly"].contains(&kind),
    };
    assert!(is_expected, "{label}: {failure:?}");
}
