//! Every limit, with its reason. Each is tested at the limit and one past it.

use std::time::Duration;

/// A stream's name, bytes: it is part of an index key, and RocksDB compares keys whole.
pub const STREAM_NAME_BYTES_MAX: usize = 255;

/// An event type's name, bytes: its length is one byte in a record.
pub const EVENT_TYPE_BYTES_MAX: usize = 255;

/// An idempotency key, bytes: its length is one byte in a frame, and it is part of an index key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// One payload, bytes: a reader must be able to hold an event twice on a machine with 1 GB.
pub const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// All metadata of one event, bytes, encoded: it is for finding and auditing, not for content.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;

/// Free pairs in one event's metadata.
pub const METADATA_PAIRS_MAX: usize = 64;

/// Tags of one event, and the bytes of each: each will be an index entry.
pub const TAGS_MAX: usize = 16;
/// See [`TAGS_MAX`].
pub const TAG_BYTES_MAX: usize = 255;

/// Events in one commit: a commit is checked, written and recovered as one piece.
pub const COMMIT_EVENTS_MAX: usize = 65_536;

/// One commit, bytes, with headers: it bounds what can be in flight and so what an open may cut.
pub const COMMIT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A group of commits written together, bytes. The next group is taken when this one is synced, so this
/// (or one commit, if that is larger) is all that can be lost unacknowledged under `Durability::Sync`.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Segment size: below 1 MiB the header, seal and sorted file per segment outweigh the events.
#[cfg(not(feature = "simulation"))]
pub const SEGMENT_BYTES_MIN: u64 = 1024 * 1024;
/// Segment size under `simulation`: small enough to roll within a handful of events.
#[cfg(feature = "simulation")]
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024;

/// Segment size: offsets within a segment are 32 bits in the index.
pub const SEGMENT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// The default segment size: what an open may have to read twice over, and about a second of an SD card.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// The reserve for a full disk: below this it holds too few commits to end what is under way, some sixty at a sector each.
#[cfg(not(feature = "simulation"))]
pub const RESERVE_BYTES_MIN: u64 = 256 * 1024;
/// The reserve under `simulation`: a segment's header and a commit, each in a sector of its own.
#[cfg(feature = "simulation")]
pub const RESERVE_BYTES_MIN: u64 = 8 * 1024;

/// The reserve: it becomes a segment.
pub const RESERVE_BYTES_MAX: u64 = SEGMENT_BYTES_MAX;

/// The default reserve, or a segment's size where that is smaller: about a thousand ends of payments, and little enough to
/// lie idle on a small card.
pub const RESERVE_BYTES_DEFAULT: u64 = 1024 * 1024;

/// Events in the tail index before it is ingested though its segment is not finished: bounds its memory.
pub const TAIL_EVENTS_MAX: usize = 1_000_000;

/// Segments that may be finished and not yet ingested: beyond it, rolling waits for the index. With the active one they are
/// what an open after a kill reads: two.
pub const SEGMENTS_PENDING_MAX: usize = 1;

/// Places in one posting: bounds what a point read decodes.
pub const POSTING_EVENTS_MAX: usize = 1_024;

/// A snapshot's state, bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Finished segments that are kept mapped, by default.
pub const MAPS_MAX: usize = 64;

/// What the index on disk may take in memory, bytes, by default: the index of about a million events in a cache, so that reading
/// streams of so many reads no block twice, and two write buffers.
pub const INDEX_MEMORY_BYTES_DEFAULT: u64 = 20 * 1024 * 1024;

/// The same at least: below it a look-up reads the index's filters from disk each time.
pub const INDEX_MEMORY_BYTES_MIN: u64 = 2 * 1024 * 1024;

/// Files that the index on disk keeps open, by default: tables of a gigabyte.
pub const INDEX_OPEN_FILES_DEFAULT: u32 = 128;

/// The same at least: RocksDB takes some for itself, and a compaction has several tables open at once.
pub const INDEX_OPEN_FILES_MIN: u32 = 32;

/// The same at most: more than any system lets a program open.
pub const INDEX_OPEN_FILES_MAX: u32 = 1_048_576;

/// Bytes of a segment in one zstd frame of an archive: a read of one event decompresses so many, and larger frames gain little.
pub const ARCHIVE_FRAME_BYTES: usize = 256 * 1024;

/// Decompressed frames of archives that are kept: 8 MiB.
pub const ARCHIVE_FRAMES_MAX: usize = 32;

/// Archives that are kept open: a file handle each, and 8 bytes a frame.
pub const ARCHIVES_OPEN_MAX: usize = 16;

/// How far a clock may be set ahead while a store is open: time servers and quartzes are never off by so much, wrong time zones
/// and dates by more.
pub const CLOCK_STEP_DEFAULT: Duration = Duration::from_secs(300);

/// The least such bound: a time server's usual corrections must pass.
pub const CLOCK_STEP_MIN: Duration = Duration::from_secs(1);
