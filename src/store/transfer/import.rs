//! Making a store's log again from the lines of its export.

use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::Path;

use super::content::Content;
use super::export::each_commit;
use super::line::{self, Header, Trailer};
use super::lines::{Lines, Next};
use super::publish::Target;
use super::taken::Taker;
use super::{ImportReport, Progress, TransferPhase, TransferProgress, count, tell};
use crate::error::{Error, ErrorKind, Result};
use crate::format::merkle::MerkleTree;
use crate::store::environment::Environment;
use crate::store::options::{Durability, Options};
use crate::store::{Store, resolved};

/// Makes the log that an [`export`](crate::export) holds again in the store in the folder `path`. Sequences, versions, ids, times,
/// keys and the bounds of commits are what they were, and so is the store's id.
///
/// Where nothing is in `path`, or an empty folder, a store is made: beside it, under another name, and it is named when it is whole.
/// A store that is there must be the one that was exported, or an earlier import of it: commits that it has are compared, and the
/// others are added; so exports of one part after another make the whole. What is added is durable, commit by commit, in order: cut
/// short, the same import is begun again and goes on where it stopped.
///
/// At the end what was written is read back, and must have the export's Merkle root. Consumers' checkpoints are set as the log has
/// them. The imported store may be written to like any; but then it is another one under the same id, and no later export of the
/// first fits it.
///
/// # Errors
/// With the number of the line where it is one: `InvalidInput`: it is not what was exported, or the last line is not there.
/// `Conflict`: the store has another commit in that place, or ends before the export begins, or is another one. `UnsupportedFormat`:
/// a newer version wrote the export, or the store. `Aborted`: `progress` broke it off. `AlreadyExists`, `Locked`, `NotFound`,
/// `NotAStore`, `ReadOnly`, `Corrupt`, `StorageFull`, `CommitUnknown`, `Io`. After each of them a new store is not there; in one that
/// was there, the commits before the line are.
pub fn import(
    path: impl AsRef<Path>,
    from: &mut dyn BufRead,
    progress: &mut dyn FnMut(TransferProgress) -> ControlFlow<()>,
) -> Result<ImportReport> {
    import_in(&Environment::default(), resolved(path.as_ref()), Options::new(), from, progress)
}

/// As [`import`], into a store that stands on something else than the operating system's files and is opened with `options`. Whatever
/// they say, each commit is synced, and a new store gets the id of the one that was exported.
///
/// # Errors
/// As [`import`].
pub fn import_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    options: Options,
    from: &mut dyn BufRead,
    progress: &mut dyn FnMut(TransferProgress) -> ControlFlow<()>,
) -> Result<ImportReport> {
    let mut lines = Lines::new(from);
    let header = lines.header()?;
    let target = Target::look(environment.disk.as_ref(), path.as_ref(), &header)?;
    let options = Options { store_id: Some(header.store_id), ..options.durability(Durability::Sync) };
    let taken = take_in(environment, &target, options, &header, &mut lines, progress);
    let outcome = taken.and_then(|report| target.publish(environment).map(|()| report));
    outcome.inspect_err(|_| target.discard(environment))
}

/// Takes the lines into the store at the target, reads them back and closes it.
fn take_in(
    environment: &Environment,
    target: &Target<'_>,
    options: Options,
    header: &Header,
    lines: &mut Lines<'_>,
    progress: &mut Progress<'_>,
) -> Result<ImportReport> {
    let store = Store::open_in(environment, target.folder(), options)?;
    let outcome = take_lines(&store, target, header, lines, progress);
    let closed = store.close();
    outcome.and_then(|report| closed.map(|()| report))
}

fn take_lines(
    store: &Store,
    target: &Target<'_>,
    header: &Header,
    lines: &mut Lines<'_>,
    progress: &mut Progress<'_>,
) -> Result<ImportReport> {
    let mut taker = Taker::new(store, header.first_sequence)?;
    let total = count(header.first_sequence, header.last_sequence);
    let read = read_lines(&mut taker, header, lines, progress);
    // Also behind a line that cannot be taken: what stands before it stays.
    let settled = taker.settle().map_err(|error| error.context(format!("the commits before line {}", lines.number())));
    let trailer = read?;
    settled?;
    let merkle_root = check_trailer(&taker, header, &trailer).map_err(|error| lines.at(error))?;
    lines.end()?;
    taker.restore_checkpoints()?;
    let mut tree = MerkleTree::default();
    each_commit(&store.shared().files, header.first_sequence, header.last_sequence, &mut |frame| {
        Content::of_frame(frame)?.add_leaves(&mut tree);
        let done = count(header.first_sequence, frame.header.last_sequence());
        tell(progress, TransferPhase::Verify, done, total)
    })?;
    if tree.root() != merkle_root {
        return Err(Error::new(ErrorKind::Io, "what was written cannot be read back: its Merkle root is another one"));
    }
    Ok(ImportReport {
        store_id: header.store_id,
        is_new: target.is_new(),
        first_sequence: header.first_sequence,
        last_sequence: header.last_sequence,
        commits_written: taker.commits_written,
        events_written: taker.events_written,
        events_present: taker.events_present,
        merkle_root,
    })
}

/// Takes the commits in, up to the last line.
fn read_lines(
    taker: &mut Taker<'_>,
    header: &Header,
    lines: &mut Lines<'_>,
    progress: &mut Progress<'_>,
) -> Result<Trailer> {
    let total = count(header.first_sequence, header.last_sequence);
    loop {
        match lines.next()? {
            Next::End(trailer) => return Ok(trailer),
            Next::Commit(taken) => taker.take(taken).map_err(|error| lines.at(error))?,
        }
        let done = count(header.first_sequence, taker.next().previous());
        tell(progress, TransferPhase::Import, done.min(total), total)?;
    }
}

/// That the last line says what was read; the Merkle root.
fn check_trailer(taker: &Taker<'_>, header: &Header, trailer: &Trailer) -> Result<[u8; 32]> {
    let root = taker.tree.root();
    let last = taker.next().previous();
    let found = Trailer {
        commits: taker.commits,
        events: count(header.first_sequence, last),
        last_sequence: last,
        merkle_root: line::hex(&root),
    };
    if *trailer != found || last != header.last_sequence {
        let text = format!("the export is not whole: it says {trailer:?} and holds {found:?}");
        return Err(line::invalid(&text));
    }
    Ok(root)
}
