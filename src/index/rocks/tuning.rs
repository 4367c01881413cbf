//! How RocksDB is set up: for a small machine, bounded in memory, files and background work.
//!
//! - Memory: one block cache for both families, with filters and indices of the files in it, in partitions, so that it
//!   bounds them too however long the history is; two small write buffers for the state; the family `index` has nothing
//!   in write buffers, it is only ingested. [`IndexBounds`] says how much that is together. A compaction takes its own,
//!   a read-ahead for each of the tables that it merges, which becomes smaller with the rest.
//! - Files: open ones are bounded for the writer. A secondary keeps all its files open, because the writer may remove
//!   any of them under it.
//! - Each ingested file spans from the first stream to the watermark, so it overlaps every other and comes to rest in
//!   level 0; ordinary level compaction takes it from there. Slowing down is left to the store, which lets only so many
//!   segments wait: RocksDB would slow down the state's writes with it.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DEFAULT_COLUMN_FAMILY_NAME, LogLevel, Options,
};

use crate::index::IndexBounds;

pub(super) const INDEX_FAMILY: &str = "index";
pub(super) const STATE_FAMILY: &str = "state";

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A hundredth of the keys that are not there cost a read.
const BLOOM_BITS_PER_KEY: f64 = 10.0;
/// The write-ahead log of the state grows as long as a write buffer is not full, so this bounds what an open replays.
const STATE_BUFFER_BYTES_MAX: u64 = 2 * 1024 * 1024;
const STATE_BUFFERS: u64 = 2;
/// The least that RocksDB takes; nothing is written to it.
const UNUSED_BUFFER_BYTES: usize = 64 * KIB;
const TABLE_FILE_BYTES: u64 = 8 * 1024 * 1024;
const LEVEL_BASE_BYTES: u64 = 32 * 1024 * 1024;
const WAL_BYTES_MAX: u64 = 8 * 1024 * 1024;
const MANIFEST_BYTES_MAX: usize = 4 * MIB;
const INFO_LOG_BYTES_MAX: usize = MIB;

/// Who opens a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The one that writes.
    Writer,
    /// One that reads while another process may write.
    Secondary,
    /// One that looks once and changes nothing.
    Witness,
}

/// A write buffer of the state.
fn state_buffer_bytes(bounds: IndexBounds) -> u64 {
    (bounds.memory_bytes / 10).min(STATE_BUFFER_BYTES_MAX)
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

pub(super) fn database(role: Role, bounds: IndexBounds) -> Options {
    let open_files_max = i32::try_from(bounds.open_files_max).unwrap_or(i32::MAX);
    let mut options = Options::default();
    options.create_if_missing(role == Role::Writer);
    options.create_missing_column_families(role == Role::Writer);
    // RocksDB starts that many threads for each family, and ends them again, to open its files; a few are opened sooner by one.
    options.set_max_file_opening_threads(1);
    options.set_max_open_files(if role == Role::Secondary { -1 } else { open_files_max });
    options.set_max_background_jobs(2);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_manifest_file_size(MANIFEST_BYTES_MAX);
    options.set_manifest_preallocation_size(64 * KIB);
    // Compaction writes in small steps, so that a commit's sync does not wait for a large one.
    options.set_bytes_per_sync(MIB as u64);
    options.set_compaction_readahead_size(size(bounds.memory_bytes / 8).min(2 * MIB));
    options.set_writable_file_max_buffer_size((bounds.memory_bytes / 16).min(MIB as u64));
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(INFO_LOG_BYTES_MAX);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options
}

/// The options of the family `index`, also of the files that are built to be ingested into it.
pub(super) fn index_family(cache: &Cache) -> Options {
    let mut options = family(cache);
    options.set_write_buffer_size(UNUSED_BUFFER_BYTES);
    options.set_level_zero_slowdown_writes_trigger(64);
    options.set_level_zero_stop_writes_trigger(128);
    options
}

fn state_family(cache: &Cache, bounds: IndexBounds) -> Options {
    let mut options = family(cache);
    options.set_write_buffer_size(size(state_buffer_bytes(bounds)));
    options.set_max_write_buffer_number(i32::try_from(STATE_BUFFERS).unwrap_or(2));
    options
}

fn unused_family(cache: &Cache) -> Options {
    let mut options = family(cache);
    options.set_write_buffer_size(UNUSED_BUFFER_BYTES);
    options
}

fn family(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(4 * KIB);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_top_level_index_and_filter(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    options.set_target_file_size_base(TABLE_FILE_BYTES);
    options.set_max_bytes_for_level_base(LEVEL_BASE_BYTES);
    options
}

pub(super) fn cache(bounds: IndexBounds) -> Cache {
    Cache::new_lru_cache(size(bounds.memory_bytes.saturating_sub(STATE_BUFFERS * state_buffer_bytes(bounds))))
}

pub(super) fn families(cache: &Cache, bounds: IndexBounds) -> Vec<ColumnFamilyDescriptor> {
    vec![
        ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, unused_family(cache)),
        ColumnFamilyDescriptor::new(INDEX_FAMILY, index_family(cache)),
        ColumnFamilyDescriptor::new(STATE_FAMILY, state_family(cache, bounds)),
    ]
}
