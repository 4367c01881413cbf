//! A gateway for demonstrations and tests, with a durable journal in a folder of its own.
//!
//! What it does depends on the key and on how many calls its journal holds for that key, so a run is repeatable, also
//! across restarts. It declines some authorisations, and some keys time out (at once, without sleeping) after having acted or
//! before; every key answers by its third call.
//!
//! Invariants: whatever an answer rests on was synced before; after a failed write or sync nothing more is answered but
//! `Unknown`; one process at a time owns the folder. Callers share syncs: one of them syncs for all that have written by then.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::gateway::{GatewayAnswer, GatewayCommand, GatewayOutcome, PaymentGateway};
use super::gateway_journal::{self, JOURNAL_FILE, Journal, Scan};
use super::gateway_ledger::{Call, Entry, GatewayProfile, Ledger};
use crate::error::{Error, ErrorKind, Result};
use crate::money::Money;
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering};

const LOCK_FILE: &str = "LOCK";

/// A card gateway in a folder. Clones share it.
#[derive(Clone)]
pub struct FileGateway {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    profile: GatewayProfile,
    /// Appended to under the lock of `state`, synced without it.
    file: File,
    /// Held for as long as this lives.
    _lock: File,
    state: Mutex<State>,
    synced: Condvar,
    is_online: AtomicBool,
}

/// `synced_lines <= written_lines`. Only what was synced is answered on.
struct State {
    ledger: Ledger,
    written_lines: u64,
    synced_lines: u64,
    is_syncing: bool,
    /// A write or a sync failed: what is in `ledger` may not be on disk.
    has_failed: bool,
}

impl fmt::Debug for FileGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileGateway").field("folder", &self.inner.folder).finish_non_exhaustive()
    }
}

impl FileGateway {
    /// Opens the gateway in `folder`, which is made if it is not there, with the default [`GatewayProfile`].
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(folder, GatewayProfile::default())
    }

    /// Opens the gateway in `folder`, which is made if it is not there. A torn last line is cut.
    ///
    /// # Errors
    /// `Locked`: another process has it open. `Corrupt`: an invalid line before a valid one. `UnsupportedFormat`: a newer
    /// journal. `StorageFull`, `ReadOnly`, `Io`.
    pub fn open_with(folder: impl AsRef<Path>, profile: GatewayProfile) -> Result<Self> {
        let folder = folder.as_ref().to_owned();
        let during = |what: &str| {
            let text = format!("{what} of the gateway in {}", folder.display());
            move |source: std::io::Error| Error::from_io(text, source)
        };
        std::fs::create_dir_all(&folder).map_err(during("make the folder"))?;
        let lock = lock(&folder)?;
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(folder.join(JOURNAL_FILE))
            .map_err(during("open the journal"))?;
        // What is read below is answered on, so it has to be durable first.
        file.sync_all().map_err(during("sync the journal"))?;
        let bytes = std::fs::read(folder.join(JOURNAL_FILE)).map_err(during("read the journal"))?;
        let scan = Scan::of(&bytes)?;
        if scan.torn_bytes > 0 {
            file.set_len(scan.valid_bytes).map_err(during("cut the journal's torn end"))?;
        }
        if !scan.has_header {
            file.write_all(gateway_journal::header_line().as_bytes()).map_err(during("begin the journal"))?;
        }
        file.sync_all().map_err(during("sync the journal"))?;
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(during("sync the folder"))?;
        let mut ledger = Ledger::default();
        scan.entries.iter().for_each(|entry| ledger.apply(entry));
        let lines = scan.next_number().max(1);
        let state = State { ledger, written_lines: lines, synced_lines: lines, is_syncing: false, has_failed: false };
        let inner = Inner {
            folder,
            profile,
            file,
            _lock: lock,
            state: Mutex::new(state),
            synced: Condvar::new(),
            is_online: AtomicBool::new(true),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The money in the journal of the gateway in `folder`, which may be running.
    ///
    /// # Errors
    /// As [`Journal::read`].
    pub fn read_journal(folder: impl AsRef<Path>) -> Result<Journal> {
        Journal::read(folder)
    }

    /// Takes its network away, or gives it back: without one nothing arrives and nothing is kept.
    pub fn set_online(&self, is_online: bool) {
        self.inner.is_online.store(is_online, Ordering::SeqCst);
    }

    fn call(&self, call: &Call<'_>) -> GatewayAnswer {
        if !self.is_online() {
            return GatewayAnswer::Offline;
        }
        let state = self.inner.state.lock();
        let (entry, answer) = state.ledger.decide(&self.inner.profile, call);
        if self.inner.settle(state, entry.as_ref()) { answer } else { GatewayAnswer::Unknown }
    }
}

impl Inner {
    /// Writes the entry, and waits until it and all before it are synced; without an entry, until all that is written is, since
    /// the answer rests on it. False: that cannot be said.
    fn settle(&self, mut state: MutexGuard<'_, State>, entry: Option<&Entry>) -> bool {
        if state.has_failed {
            return false;
        }
        if let Some(entry) = entry {
            let line = gateway_journal::entry_line(state.written_lines, entry);
            if let Err(error) = (&self.file).write_all(line.as_bytes()) {
                tracing::error!(%error, folder = %self.folder.display(), "the gateway cannot write its journal");
                state.has_failed = true;
                self.synced.notify_all();
                return false;
            }
            state.ledger.apply(entry);
            state.written_lines += 1;
        }
        let mine = state.written_lines;
        while !state.has_failed && state.synced_lines < mine {
            if state.is_syncing {
                self.synced.wait(&mut state);
                continue;
            }
            state.is_syncing = true;
            let upto = state.written_lines;
            let synced = MutexGuard::unlocked(&mut state, || self.file.sync_data());
            state.is_syncing = false;
            match synced {
                Ok(()) => state.synced_lines = state.synced_lines.max(upto),
                Err(error) => {
                    tracing::error!(%error, folder = %self.folder.display(), "the gateway cannot sync its journal");
                    state.has_failed = true;
                }
            }
            self.synced.notify_all();
        }
        state.synced_lines >= mine
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| Error::from_io(format!("open {}", path.display()), source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(ErrorKind::Locked, format!("the gateway in {} is in use", folder.display())))
        }
        Err(TryLockError::Error(source)) => Err(Error::from_io(format!("lock {}", path.display()), source)),
    }
}

impl PaymentGateway for FileGateway {
    fn authorise(&self, key: &str, amount: Money, _reference: &str) -> GatewayAnswer {
        self.call(&Call { command: GatewayCommand::Authorise, key, target: "", amount: Some(amount) })
    }

    fn capture(&self, key: &str, authorise_key: &str, amount: Money) -> GatewayAnswer {
        self.call(&Call { command: GatewayCommand::Capture, key, target: authorise_key, amount: Some(amount) })
    }

    fn void(&self, key: &str, authorise_key: &str) -> GatewayAnswer {
        self.call(&Call { command: GatewayCommand::Void, key, target: authorise_key, amount: None })
    }

    fn refund(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        self.call(&Call { command: GatewayCommand::Refund, key, target: capture_key, amount: Some(amount) })
    }

    fn query(&self, key: &str) -> GatewayOutcome {
        if !self.is_online() {
            return GatewayOutcome::Offline;
        }
        let state = self.inner.state.lock();
        let (entry, outcome) = state.ledger.decide_query(&self.inner.profile, key);
        if self.inner.settle(state, entry.as_ref()) { outcome } else { GatewayOutcome::Unknown }
    }

    fn settles(&self) -> bool {
        self.inner.profile.settles
    }

    fn settle(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        self.call(&Call { command: GatewayCommand::Settle, key, target: capture_key, amount: Some(amount) })
    }

    fn is_online(&self) -> bool {
        self.inner.is_online.load(Ordering::SeqCst)
    }
}
