//! What is measured: the cases, their sizes, and what the store has to reach in each.

use serde::{Deserialize, Serialize};

use crate::subject::Durability;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// So little that it only shows that everything works.
    Tiny,
    /// All cases but those of ten million events, within ten minutes.
    Short,
    /// Everything.
    Full,
}

/// One kind of work; each subject does the same of it.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Commits, one after another, of one or many writers.
    Append(Appends),
    /// So many events in commits of 1,000, and a clean close: memory, bytes, and the store that is read later.
    Load(usize),
    /// Reading all of so many events, in order, after one such read that warms up.
    Scan(usize),
    /// Reading one stream after another, of so many events loaded; the events of each lie scattered over all of them.
    Streams(usize),
    /// From opening a store of so many events, whose process was killed, to its first durable append.
    Open(usize),
    /// One wallet after another, from its snapshot or from all of its events.
    Wallet {
        /// Of all wallets together.
        events: usize,
        /// Whether snapshots are used.
        from_snapshot: bool,
    },
    /// All wallets from all of their events.
    Wallets(usize),
}

/// What has to be there before a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prepared {
    /// So many events, in commits of 1,000, closed cleanly.
    Loaded(usize),
    /// So many events, and a process that was killed.
    Killed(usize),
    /// So many events of 10,000 wallets, and a snapshot of each.
    Wallets(usize),
}

impl Prepared {
    /// The end of its folder's name.
    #[must_use]
    pub fn suffix(&self) -> String {
        match self {
            Self::Loaded(events) => format!("-loaded-{events}"),
            Self::Killed(events) => format!("-killed-{events}"),
            Self::Wallets(events) => format!("-wallets-{events}"),
        }
    }
}

/// A shape of appends.
#[derive(Clone, Copy, Debug)]
pub struct Appends {
    /// When a commit returns.
    pub durability: Durability,
    /// Threads.
    pub writers: usize,
    /// Commits of each writer: full, short.
    pub commits: (usize, usize),
    /// Events in a commit.
    pub events: usize,
    /// Whether all events of a commit go to one stream; else each goes to the next one.
    pub is_one_stream: bool,
}

/// What is read off a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Events a second.
    Rate,
    /// The median of single operations, microseconds.
    MedianMicros,
    /// The whole, milliseconds.
    Millis,
    /// Bytes an event in the log; of others than the store, bytes handed to the disk.
    LogBytes,
    /// The most anonymous memory, MiB.
    Memory,
    /// Processor time an event, microseconds.
    Cpu,
}

/// What the store has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// At least so much of the floor.
    RatioMin(f64),
    /// At most so many times the floor.
    RatioMax(f64),
    /// At least this.
    Min(f64),
    /// At most this.
    Max(f64),
    /// The 99th percentile of a commit, against the floor's.
    P99RatioMax(f64),
    /// The 99th percentile of a commit, microseconds.
    P99Max(f64),
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As the page has it.
    pub title: &'static str,
    /// What is shown.
    pub metric: Metric,
    /// What has to be reached; all of it.
    pub targets: &'static [Target],
}

/// Work, and the lines that come from it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// How it is chosen on the command line.
    pub name: &'static str,
    /// What is done.
    pub work: Work,
    /// Whether it is left out of the short form.
    pub is_full_only: bool,
    /// Whether other stores do it too.
    pub is_for_peers: bool,
    /// Further subjects, for the table below: their names and what they are.
    pub further: &'static [(&'static str, &'static str)],
    /// The lines.
    pub rows: &'static [Row],
}

const fn appends(durability: Durability, writers: usize, commits: (usize, usize), events: usize) -> Appends {
    Appends { durability, writers, commits, events, is_one_stream: false }
}

const fn case(
    name: &'static str,
    work: Work,
    further: &'static [(&'static str, &'static str)],
    rows: &'static [Row],
) -> Case {
    Case { name, work, is_full_only: false, is_for_peers: true, further, rows }
}

const fn row(title: &'static str, metric: Metric, targets: &'static [Target]) -> Row {
    Row { title, metric, targets }
}

use Durability::{Buffered, Sync};
use Metric::{Cpu, LogBytes, MedianMicros, Memory, Millis, Rate};
use Target::{Max, Min, P99Max, P99RatioMax, RatioMax, RatioMin};

const ONE_STREAM: (&str, &str) = ("bitacora-one-stream", "Bitacora, all events of a commit to one stream");

/// Every case, in the order of the table.
pub const CASES: &[Case] = &[
    case(
        "durable-1-writer",
        Work::Append(appends(Sync, 1, (20_000, 8_000), 1)),
        &[
            ("floor-o-dsync", "floor: zero-filled, `O_DSYNC` in place of `fdatasync`"),
            ("floor-fallocate", "floor: `fallocate` + `fdatasync`"),
            ("floor-growing", "floor: a growing file + `fdatasync`"),
        ],
        &[row("durable, 1 writer, 1 event a commit", Rate, &[RatioMin(0.97), P99RatioMax(1.3)])],
    ),
    case(
        "durable-16-writers",
        Work::Append(appends(Sync, 16, (5_000, 2_000), 1)),
        &[],
        &[row("durable, 16 writers", Rate, &[RatioMin(0.8)])],
    ),
    case(
        "durable-64-writers",
        Work::Append(appends(Sync, 64, (2_500, 1_000), 1)),
        &[],
        &[row("durable, 64 writers", Rate, &[RatioMin(0.8), P99Max(1_000.0)])],
    ),
    case(
        "durable-100-events",
        Work::Append(appends(Sync, 1, (4_000, 2_000), 100)),
        &[ONE_STREAM, ("floor-fallocate", "floor: `fallocate` + `fdatasync`")],
        &[
            row("durable, 100 events a commit", Rate, &[RatioMin(0.85)]),
            row("processor time an event, durable commits of 100", Cpu, &[Max(1.0)]),
        ],
    ),
    case(
        "durable-1000-events",
        Work::Append(appends(Sync, 1, (1_000, 500), 1_000)),
        &[ONE_STREAM, ("floor-zero-filled", "floor: files filled with zeros before, not counted")],
        &[row("durable, 1,000 events a commit", Rate, &[RatioMin(0.75)])],
    ),
    case(
        "buffered-1-event",
        Work::Append(appends(Buffered, 1, (1_000_000, 300_000), 1)),
        &[("floor-overwritten", "floor: one warm file, written round and round")],
        &[row("buffered, 1 event a call", Rate, &[RatioMin(0.75)])],
    ),
    case(
        "buffered-100-events",
        Work::Append(appends(Buffered, 1, (10_000, 5_000), 100)),
        &[ONE_STREAM, ("floor-overwritten", "floor: one warm file, written round and round")],
        &[row("buffered, 100 events a call", Rate, &[Min(2_000_000.0)])],
    ),
    case(
        "scan-1m",
        Work::Scan(1_000_000),
        &[
            ("bitacora-read-all", "Bitacora, each event copied (`read_all`)"),
            ("floor-map", "floor: mapped anew within what is measured"),
            ("floor-read", "floor: `read` and one checksum of all bytes"),
        ],
        &[row("scan of 1 M events, each checksum verified", Rate, &[RatioMin(0.8)])],
    ),
    Case {
        is_full_only: true,
        ..case(
            "scan-10m",
            Work::Scan(10_000_000),
            &[("bitacora-read-all", "Bitacora, each event copied (`read_all`)")],
            &[row("scan of 10 M events", Rate, &[Min(10_000_000.0)])],
        )
    },
    case(
        "stream-100-of-1m",
        Work::Streams(1_000_000),
        &[],
        &[row("one stream of 100 events, scattered over 1 M, p50", MedianMicros, &[Max(30.0)])],
    ),
    Case {
        is_full_only: true,
        ..case(
            "stream-1000-of-10m",
            Work::Streams(10_000_000),
            &[],
            &[row("one stream of 1,000 events, scattered over 10 M, p50", MedianMicros, &[Max(400.0)])],
        )
    },
    case(
        "open-1m",
        Work::Open(1_000_000),
        &[],
        &[row("open after kill -9 to the first durable append, 1 M events", Millis, &[Max(30.0)])],
    ),
    Case {
        is_full_only: true,
        ..case(
            "open-10m",
            Work::Open(10_000_000),
            &[],
            &[row("open after kill -9 to the first durable append, 10 M events", Millis, &[Max(30.0)])],
        )
    },
    case(
        "load-1m",
        Work::Load(1_000_000),
        &[("bitacora-reserve", "Bitacora, `Preallocation::Reserve`: without the zeros")],
        &[
            row("bytes an event, commits of 1,000: log against records", LogBytes, &[RatioMax(1.1)]),
            row("peak memory, 1 M events loaded, MiB", Memory, &[Max(48.0)]),
        ],
    ),
    Case {
        is_for_peers: false,
        ..case(
            "wallet-snapshot",
            Work::Wallet { events: 1_000_000, from_snapshot: true },
            &[],
            &[row("wallet from its latest snapshot, p50", MedianMicros, &[Max(15.0)])],
        )
    },
    Case {
        is_for_peers: false,
        ..case(
            "wallet-100-events",
            Work::Wallet { events: 1_000_000, from_snapshot: false },
            &[],
            &[row("wallet from 100 events, p50", MedianMicros, &[Max(60.0)])],
        )
    },
    Case {
        is_for_peers: false,
        ..case(
            "wallets-all",
            Work::Wallets(1_000_000),
            &[("bitacora-1-thread", "Bitacora, one thread")],
            &[row("all of 10,000 wallets from 1 M events (floor: the store's own scan)", Rate, &[RatioMin(0.5)])],
        )
    },
];

impl Appends {
    /// Commits of each writer.
    #[must_use]
    pub fn commits(&self, scale: Scale) -> usize {
        match scale {
            Scale::Tiny => (self.commits.1 / 50).max(4),
            Scale::Short => self.commits.1,
            Scale::Full => self.commits.0,
        }
    }
}

impl Work {
    /// What has to be there first.
    #[must_use]
    pub fn prepared(&self) -> Option<Prepared> {
        match *self {
            Self::Append(_) | Self::Load(_) => None,
            Self::Scan(events) | Self::Streams(events) => Some(Prepared::Loaded(events)),
            Self::Open(events) => Some(Prepared::Killed(events)),
            Self::Wallet { events, .. } | Self::Wallets(events) => Some(Prepared::Wallets(events)),
        }
    }
}

/// The case of a name.
///
/// # Panics
/// There is none.
#[must_use]
pub fn find(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).unwrap()
}
