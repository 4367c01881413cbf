//! The calls made to a simulated disk: counted, logged, and made to fail.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

/// A call, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationKind {
    /// A folder is created.
    CreateDirectory,
    /// A file is created.
    Create,
    /// A file is opened.
    Open,
    /// A file gets another name.
    Rename,
    /// A name is removed.
    Remove,
    /// A file is made that shares the bytes of another one.
    Reflink,
    /// A file gets a second name.
    HardLink,
    /// The names of a folder are read.
    List,
    /// The kind of what stands at a path is asked.
    Kind,
    /// A folder is synced.
    SyncDirectory,
    /// The lock is taken.
    Lock,
    /// The lock is asked for.
    IsLocked,
    /// A file is read.
    Read,
    /// A file is written.
    Write,
    /// A file is synced.
    Sync,
    /// A file's length is asked.
    Length,
    /// Room is allocated in a file.
    Allocate,
    /// A file is mapped.
    Map,
    /// A word of a file is shared. Stores into it are no calls.
    ShareWord,
}

impl OperationKind {
    /// Whether it may change what a crash leaves.
    #[must_use]
    pub fn is_mutating(self) -> bool {
        match self {
            Self::CreateDirectory
            | Self::Create
            | Self::Rename
            | Self::Remove
            | Self::Reflink
            | Self::HardLink
            | Self::SyncDirectory
            | Self::Lock
            | Self::Write
            | Self::Sync
            | Self::Allocate => true,
            Self::Open
            | Self::List
            | Self::Kind
            | Self::IsLocked
            | Self::Read
            | Self::Length
            | Self::Map
            | Self::ShareWord => false,
        }
    }
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationInfo {
    /// Its number, from 1, over all calls to this disk.
    pub number: u64,
    /// What it does.
    pub kind: OperationKind,
    /// The path it was made for, or that the file was opened at.
    pub path: Arc<Path>,
    /// The new name, of a rename or a link.
    pub target: Option<Arc<Path>>,
    /// Where in the file, bytes.
    pub offset: u64,
    /// How many bytes were asked for; of an allocation the length it asks for.
    pub length: u64,
    /// How it was made to fail.
    pub failure: Option<Failure>,
}

/// How a call is made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The device fails (`EIO`).
    Io,
    /// There is no room (`ENOSPC`). Calls that only look do not notice.
    Full,
    /// A signal came (`EINTR`).
    Interrupted,
    /// A read or a write does half of what it could, at least one byte. Other calls do not notice.
    Short,
    /// A write takes nothing. Other calls do not notice.
    Zero,
}

impl Failure {
    /// The error it reports; `None` where it is none.
    pub(super) fn error(self) -> Option<io::Error> {
        match self {
            Self::Io => Some(Errno::IO.into()),
            Self::Full => Some(Errno::NOSPC.into()),
            Self::Interrupted => Some(Errno::INTR.into()),
            Self::Short | Self::Zero => None,
        }
    }
}

/// A call that will fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    failure: Failure,
    /// How many matching calls go well before.
    spared: u64,
    kind: Option<OperationKind>,
    path_end: Option<PathBuf>,
    bytes: Option<Range<u64>>,
    is_lasting: bool,
}

impl Fault {
    /// The `nth` call from now fails, counted from 1.
    #[must_use]
    pub fn at(nth: u64, failure: Failure) -> Self {
        assert!(nth > 0, "calls are counted from 1");
        Self { failure, spared: nth - 1, kind: None, path_end: None, bytes: None, is_lasting: false }
    }

    /// Only calls of this kind count and fail.
    #[must_use]
    pub fn of(self, kind: OperationKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Only calls for paths that end with these components count and fail.
    #[must_use]
    pub fn on(self, path_end: impl Into<PathBuf>) -> Self {
        Self { path_end: Some(path_end.into()), ..self }
    }

    /// Only reads and writes that touch these bytes of their file count and fail: a bad sector.
    #[must_use]
    pub fn touching(self, bytes: Range<u64>) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    /// Every matching call after it fails too.
    #[must_use]
    pub fn for_good(self) -> Self {
        Self { is_lasting: true, ..self }
    }

    fn matches(&self, info: &OperationInfo) -> bool {
        self.kind.is_none_or(|kind| kind == info.kind)
            && self.path_end.as_ref().is_none_or(|end| info.path.ends_with(end))
            && self.bytes.as_ref().is_none_or(|bytes| {
                matches!(info.kind, OperationKind::Read | OperationKind::Write)
                    && info.offset < bytes.end
                    && bytes.start < info.offset.saturating_add(info.length)
            })
    }
}

/// What is known of the calls so far, and what is planned for those to come.
#[derive(Debug, Default)]
pub(super) struct Operations {
    pub(super) log: Vec<OperationInfo>,
    pub(super) faults: Vec<Fault>,
    pub(super) failures: u64,
}

impl Operations {
    /// Takes a call down and decides whether it fails. Of several faults that fall on one call the first that was
    /// planned decides.
    pub(super) fn begin(&mut self, mut info: OperationInfo) -> OperationInfo {
        info.number = self.log.len() as u64 + 1;
        self.faults.retain_mut(|fault| {
            if !fault.matches(&info) {
                return true;
            }
            if fault.spared > 0 {
                fault.spared -= 1;
                return true;
            }
            let is_noticed = fault.failure != Failure::Full || info.kind.is_mutating();
            info.failure = info.failure.or(is_noticed.then_some(fault.failure));
            fault.is_lasting
        });
        self.failures += u64::from(info.failure.is_some());
        self.log.push(info.clone());
        info
    }
}
