//! Options for two kinds of machines. What each value costs is in [tuning](crate::docs::tuning), with figures.

use std::time::Duration;

use super::options::{Align, Options, Preallocation};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

impl Options {
    /// For a machine with 1 GB of memory and an SD card: little memory, few files, few bytes to the card, and nothing that was
    /// acknowledged shares a sector with what is written later. Durability is the default's: an append is acknowledged when it
    /// is synced.
    ///
    /// | option | value | default | consequence |
    /// |---|---|---|---|
    /// | [`align`](Self::align) | `Sector` | `Packed` | A card that spoils a sector when power fails spoils nothing acknowledged. A commit of its own takes 4,096 bytes or a multiple; those that come together share them. |
    /// | [`segment_bytes`](Self::segment_bytes) | 4 MiB | 64 MiB | An open after a kill reads two of them at most. A segment is about a thousand single commits; each costs a few syncs, a seal and a table of the index. |
    /// | [`preallocation`](Self::preallocation) | `Reserve` | `ZeroFill` | No byte is written twice, for the sake of the card's life. A sync has extents to convert in the file system's journal, and is slower for it. |
    /// | [`reserve_bytes`](Self::reserve_bytes) | 1 MiB | 1 MiB | Some 250 commits that end what is under way on a full card. |
    /// | [`tail_events_max`](Self::tail_events_max) | 50,000 | 1,000,000 | Bounds the memory for what is not in the index yet; with segments of 4 MiB it is met only by very small events. |
    /// | [`mapped_segments_max`](Self::mapped_segments_max) | 16 | 64 | 64 MiB of addresses. |
    /// | [`index_memory_bytes`](Self::index_memory_bytes) | 4 MiB | 20 MiB | Streams that were not met lately are read from the card more often. |
    /// | [`index_open_files_max`](Self::index_open_files_max) | 32 | 128 | The process stays below 64 open files with the store. |
    /// | [`idle_mark_after`](Self::idle_mark_after) | 1 s | 50 ms | A mark takes a sector of its own, so there is one after a sale and none between its steps. Until then, rot in the very last commit before a kill looks like a torn write. |
    #[must_use]
    pub fn small() -> Self {
        Self::new()
            .align(Align::Sector)
            .segment_bytes(4 * MIB)
            .preallocation(Preallocation::Reserve)
            .reserve_bytes(MIB)
            .tail_events_max(50_000)
            .mapped_segments_max(16)
            .index_memory_bytes(4 * MIB)
            .index_open_files_max(32)
            .idle_mark_after(Duration::from_secs(1))
    }

    /// For a machine with memory to spare and a fast disk, and many events. Durability is the default's.
    ///
    /// | option | value | default | consequence |
    /// |---|---|---|---|
    /// | [`segment_bytes`](Self::segment_bytes) | 256 MiB | 64 MiB | A quarter of the files and of the rolls, which commits wait for. An open after a kill reads four times as much: two segments at most. |
    /// | [`reserve_bytes`](Self::reserve_bytes) | 16 MiB | 1 MiB | More ends of what is under way on a full disk. |
    /// | [`tail_events_max`](Self::tail_events_max) | 4,000,000 | 1,000,000 | A segment of small events goes into the index as one piece. Up to some hundred bytes an event and stream, twice while it is moved. |
    /// | [`mapped_segments_max`](Self::mapped_segments_max) | 256 | 64 | 64 GiB of addresses, so not for 32 bits. Reads all over a long log map less. |
    /// | [`index_memory_bytes`](Self::index_memory_bytes) | 256 MiB | 20 MiB | The index of some ten million events is read from disk once. |
    /// | [`index_open_files_max`](Self::index_open_files_max) | 1,024 | 128 | Look-ups open no files; the process needs a limit above that (`ulimit -n`). |
    #[must_use]
    pub fn server() -> Self {
        Self::new()
            .segment_bytes(256 * MIB)
            .reserve_bytes(16 * MIB)
            .tail_events_max(4_000_000)
            .mapped_segments_max(256)
            .index_memory_bytes(256 * MIB)
            .index_open_files_max(1_024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use crate::store::Durability;

    #[test]
    fn presets_are_in_range_and_as_durable_as_the_default() {
        for options in [Options::small(), Options::server()] {
            options.check().unwrap();
            assert_eq!(options.durability, Durability::Sync);
            assert!(options.reserve() > 0);
        }
    }

    #[test]
    fn bounds_are_checked_at_the_limit_and_one_past_it() {
        let memory = limits::INDEX_MEMORY_BYTES_MIN;
        let files = (limits::INDEX_OPEN_FILES_MIN, limits::INDEX_OPEN_FILES_MAX);
        let good = [
            Options::new().index_memory_bytes(memory),
            Options::new().index_open_files_max(files.0),
            Options::new().index_open_files_max(files.1),
            Options::new().mapped_segments_max(1),
        ];
        good.iter().for_each(|options| options.check().unwrap());
        let bad = [
            Options::new().index_memory_bytes(memory - 1),
            Options::new().index_open_files_max(files.0 - 1),
            Options::new().index_open_files_max(files.1 + 1),
            Options::new().mapped_segments_max(0),
        ];
        for options in bad {
            assert_eq!(options.check().unwrap_err().kind(), crate::ErrorKind::InvalidInput);
        }
    }
}
