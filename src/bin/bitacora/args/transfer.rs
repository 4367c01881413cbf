//! The arguments of the verbs that carry a store elsewhere: as lines, and into a newer format.

use std::path::PathBuf;

use clap::Args;

/// Write the log as JSON lines, gapless: all that is needed to make the same store again, and to read it with other tools.
///
/// The first line says whose log it is and from where to where, then there is a line a commit, and the last line has the counts and
/// the Merkle root, so that a file that was cut is noticed. Works beside a writer, as far as that has synced; locks and writes
/// nothing in the store. Exported are whole commits: those that hold an event of the range. --from the sequence behind the last
/// export gives what is new, which may be nothing (exit 0); from further on is exit 2. Not in it: snapshots, which are made again.
///
/// With --output: {"store_id","first_sequence","last_sequence","commits","events","bytes","merkle_root"}, and the file, which must
/// not exist (exit 1), is written beside and named when it is whole. Otherwise the lines go to standard output and nothing else does.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bitacora export till-data --output till-data.jsonl
  bitacora export till-data --from 1001 | gzip > till-data-1001.jsonl.gz")]
pub(crate) struct ExportArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// The first sequence.
    #[arg(long, value_name = "SEQ")]
    pub(crate) from: Option<u64>,
    /// The last sequence.
    #[arg(long, value_name = "SEQ")]
    pub(crate) to: Option<u64>,
    /// The file to write; its folder must exist.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Make the store that was exported again: the same sequences, versions, ids, times, keys, commits and store id.
///
/// Where nothing is in DIR, or an empty folder, a store is made in DIR.partial-... and named DIR when it is whole; an attempt that is
/// killed leaves that folder, which can be deleted, and no DIR. A store that is there must be the one that was exported, or an earlier
/// import of it: commits that it has are compared, the others are added, each durable in its turn. What was cut short is begun again
/// and goes on where it stopped. At the end everything is read back, and must have the export's Merkle root.
///
/// A line that is not what was exported ends the verb with exit 2 and an error that names it; a commit that the store has otherwise,
/// another store, or a gap between its end and the export, with exit 1.
///
/// {"store_id","new","first_sequence","last_sequence","commits_written","events_written","events_present","merkle_root"}
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bitacora import till-copy --input till-data.jsonl
  gunzip -c till-data-1001.jsonl.gz | bitacora import till-copy")]
pub(crate) struct ImportArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// The file to read; standard input where it is left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
}

/// Bring the store to the newest format, and its index too.
///
/// Version 1 is the only one so far: a store that opens is of the newest format, and nothing is changed. An index that is of an older
/// format, or cannot be read, is made anew. Of a newer format: exit 3. Back the store up before an upgrade that has something to do:
/// there is no way back but the backup.
///
/// {"store_id","format_before","format_after","changed","index"}; `index` as that of rebuild-index, or null
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora upgrade till-data")]
pub(crate) struct UpgradeArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
}
