//! The one error of this crate.
//!
//! Its [`ErrorKind`] says what the caller must do; its text says what happened and where. The kinds
//! are coarse on purpose and part of the interface, the texts are not.

use std::fmt;
use std::sync::Arc;

use crate::types::{ExpectedVersion, Sequence, StreamId, Version};

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller must do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The arguments break a rule or a limit. Mend the call; nothing was written.
    InvalidInput,
    /// A stream is not where the caller expected it. Read it again and decide anew; nothing was written.
    Conflict,
    /// The idempotency key was used before with other content. Use another key; nothing was written.
    IdempotencyConflict,
    /// A rule of the business said no. Nothing was written.
    Refused,
    /// What was asked for does not exist.
    NotFound,
    /// What was to be created exists.
    AlreadyExists,
    /// Another process writes to this store. Wait for it, or open read-only.
    Locked,
    /// The folder is no store, or something else stands in its place. Nothing was changed.
    NotAStore,
    /// The store was written by a newer version. Use that version; nothing was changed.
    UnsupportedFormat,
    /// The store may not be written: it was opened read-only, or its folder is read-only.
    ReadOnly,
    /// Bytes that had been durable are damaged or missing. Nothing was changed; see `bitacora verify`.
    Corrupt,
    /// There is no room. Nothing was written; the same call succeeds when there is.
    StorageFull,
    /// The storage failed. If a write or a sync did, the store takes no more writes until it is opened again.
    Io,
    /// The write or the sync of this commit failed: it may be there after the next open, or not. Open
    /// again and repeat it with the same idempotency key.
    CommitUnknown,
    /// An earlier failure stopped this store, and nothing of this commit was written. Open it again.
    Poisoned,
    /// The store was closed by this process.
    Closed,
    /// What a store that is open to read has shown is not in the log any more: another writer opened it meanwhile and its end was
    /// cut, or another store is in its place. Open it again.
    Stale,
    /// The caller broke it off. What it was making is removed, and nothing else was changed; it can be begun again.
    Aborted,
    /// The service is still recovering, or has quarantined what the command is for.
    NotReady,
    /// A payload is of a type, schema or codec this program does not know. Use one that does.
    UnknownPayload,
}

/// Where damage was found, and what it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The file, relative to the store's folder.
    pub file: String,
    /// The byte offset in that file, where one can be told.
    pub offset: Option<u64>,
    /// The sequence that stands, or should stand, there.
    pub sequence: Option<Sequence>,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset}")?;
        }
        if let Some(sequence) = self.sequence {
            write!(f, ", sequence {sequence}")?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}

/// A stream that is not where the caller expected it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The stream.
    pub stream: StreamId,
    /// What the caller expected of it.
    pub expected: ExpectedVersion,
    /// Its version; `None` where it has no event.
    pub actual: Option<Version>,
}

#[derive(Debug)]
enum Detail {
    None,
    Corruption(Corruption),
    Conflict(Conflict),
}

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    detail: Detail,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What went wrong, where, and what to do. Cheap to clone: one failed sync answers many callers.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

impl Error {
    /// An error of `kind`, with a text for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::build(kind, message.into(), Detail::None, None)
    }

    /// The same, with the error that caused it.
    pub fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::build(kind, message.into(), Detail::None, Some(Arc::new(source)))
    }

    /// An operating system's error met while doing `what`; a full disk gets its own kind. Where it carries an error of this crate,
    /// that one keeps its kind.
    pub fn from_io(what: impl Into<String>, source: std::io::Error) -> Self {
        if let Some(carried) = source.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return carried.clone().context(what.into());
        }
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
            std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
            _ => ErrorKind::Io,
        };
        Self::with_source(kind, what, source)
    }

    /// A write or a sync that failed while doing `what`. Why it did is no matter to the caller: something may have been written, and
    /// the same call does not succeed later, so not even a full disk has its own kind.
    pub(crate) fn from_failed_write(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::with_source(ErrorKind::Io, what, source)
    }

    /// Damage, with its place.
    pub fn corrupt(corruption: Corruption) -> Self {
        Self::build(ErrorKind::Corrupt, "the store is damaged".into(), Detail::Corruption(corruption), None)
    }

    /// A version conflict.
    pub fn conflict(conflict: Conflict) -> Self {
        let message = format!(
            "stream {}: expected {}, but it {}",
            conflict.stream,
            conflict.expected,
            match conflict.actual {
                Some(version) => format!("is at version {version}"),
                None => "does not exist".to_owned(),
            }
        );
        Self::build(ErrorKind::Conflict, message, Detail::Conflict(conflict), None)
    }

    fn build(
        kind: ErrorKind,
        message: String,
        detail: Detail,
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self(Arc::new(Inner { kind, message, detail, source }))
    }

    /// This error as the cause of a new one of `kind`.
    #[must_use]
    pub fn wrap(self, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::with_source(kind, message, self)
    }

    /// This error, its text preceded by what was being done. Kind and detail stay.
    #[must_use]
    pub fn context(self, what: impl fmt::Display) -> Self {
        let detail = match &self.0.detail {
            Detail::None => Detail::None,
            Detail::Corruption(corruption) => Detail::Corruption(corruption.clone()),
            Detail::Conflict(conflict) => Detail::Conflict(conflict.clone()),
        };
        let message = format!("{what}: {}", self.0.message);
        Self::build(self.0.kind, message, detail, self.0.source.clone())
    }

    /// What the caller must do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where the damage is, of a [`ErrorKind::Corrupt`] that was found in a file.
    #[must_use]
    pub fn corruption(&self) -> Option<&Corruption> {
        match &self.0.detail {
            Detail::Corruption(corruption) => Some(corruption),
            _ => None,
        }
    }

    /// What was expected and what is there, of a [`ErrorKind::Conflict`] on a stream.
    #[must_use]
    pub fn as_conflict(&self) -> Option<&Conflict> {
        match &self.0.detail {
            Detail::Conflict(conflict) => Some(conflict),
            _ => None,
        }
    }

    /// Whether the same call, decided anew or made later, can succeed on this open store: of a `Conflict` after the stream is read
    /// again, of `Locked` once the other process has closed, of `StorageFull` once there is room, of `NotReady` once the recovery is
    /// over. Not of `CommitUnknown` and `Poisoned`: there the store must be opened again first.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Conflict | ErrorKind::Locked | ErrorKind::StorageFull | ErrorKind::NotReady)
    }

    /// Whether stored bytes are damaged: repeating the call does not help, `bitacora verify` and `bitacora repair` do.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        self.kind() == ErrorKind::Corrupt
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Detail::Corruption(corruption) = &self.0.detail {
            write!(f, ": {corruption}")?;
        }
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.kind())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn damage_is_told_with_as_much_of_its_place_as_is_known() {
        let mut corruption = Corruption {
            file: "log/1.seg".into(),
            offset: Some(512),
            sequence: Some(Sequence::new(7)),
            expected: "a frame".into(),
            found: "zeros".into(),
        };
        let whole = Error::corrupt(corruption.clone());
        let text = "the store is damaged: log/1.seg at offset 512, sequence 7: expected a frame, found zeros";
        assert_eq!(whole.to_string(), text);
        (corruption.offset, corruption.sequence) = (None, None);
        assert_eq!(corruption.to_string(), "log/1.seg: expected a frame, found zeros");
        assert!(whole.is_corruption() && !whole.is_retryable());
        assert_eq!(whole.context("read").corruption().and_then(|place| place.offset), Some(512));
    }

    #[test]
    fn only_what_can_succeed_on_this_open_store_is_retryable() {
        let is_retryable = |kind| Error::new(kind, "x").is_retryable();
        for kind in [ErrorKind::Conflict, ErrorKind::Locked, ErrorKind::StorageFull, ErrorKind::NotReady] {
            assert!(is_retryable(kind), "{kind:?}");
        }
        for kind in
            [ErrorKind::CommitUnknown, ErrorKind::Poisoned, ErrorKind::Corrupt, ErrorKind::Io, ErrorKind::Aborted]
        {
            assert!(!is_retryable(kind), "{kind:?}");
        }
    }

    #[test]
    fn the_cause_is_kept_as_source() {
        let error = Error::from_io("write", std::io::Error::other("gone")).wrap(ErrorKind::CommitUnknown, "commit");
        let cause = error.source().and_then(|source| source.source());
        assert_eq!(cause.map(ToString::to_string), Some("gone".to_owned()));
        assert_eq!(error.to_string(), "commit: write: gone");
    }

    #[test]
    fn a_full_disk_is_told_from_a_failing_one_by_kind_and_not_by_text() {
        let full = Error::from_io("write", std::io::Error::from(std::io::ErrorKind::StorageFull));
        let text = Error::from_io("write", std::io::Error::other("no space left on device"));
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert_eq!(text.kind(), ErrorKind::Io);
    }

    #[test]
    fn context_keeps_kind_detail_and_source() {
        let conflict = Conflict {
            stream: StreamId::new("a-1").unwrap(),
            expected: ExpectedVersion::NoStream,
            actual: Some(Version::new(3)),
        };
        let error = Error::conflict(conflict.clone()).context("line 7");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(error.as_conflict(), Some(&conflict));
        assert!(error.to_string().starts_with("line 7: stream a-1"));
    }
}
