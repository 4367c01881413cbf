//! What a function answers: a code, and words for it.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bitacora::{Error, ErrorKind};

/// What a function answers. The kinds of errors say what the caller must do.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// There is no next event. Not an error.
    End = 1,
    /// The arguments break a rule or a limit, or a pointer is null. Mend the call; nothing was written.
    InvalidInput = 2,
    /// A stream is not where the caller expected it. Read it again and decide anew; nothing was written.
    Conflict = 3,
    /// The idempotency key was used before with other content. Use another key; nothing was written.
    IdempotencyConflict = 4,
    /// A rule of the business said no.
    Refused = 5,
    /// What was asked for does not exist.
    NotFound = 6,
    /// What was to be created exists.
    AlreadyExists = 7,
    /// Another process writes to this store. Wait for it, or open to read.
    Locked = 8,
    /// The folder is no store, or something else stands in its place. Nothing was changed.
    NotAStore = 9,
    /// The store was written by a newer version. Use that version; nothing was changed.
    UnsupportedFormat = 10,
    /// The store may not be written: it was opened to read, or its folder is read-only.
    ReadOnly = 11,
    /// Bytes that had been durable are damaged or missing. Nothing was changed; see `bitacora verify`.
    Corrupt = 12,
    /// There is no room. Nothing was written; the same call succeeds when there is.
    StorageFull = 13,
    /// The storage failed. If a write or a sync did, the store takes no more writes until it is opened again.
    Io = 14,
    /// The write or the sync of this commit failed: it may be there after the next open, or not. Open again and repeat it with
    /// the same idempotency key.
    CommitUnknown = 15,
    /// An earlier failure stopped this store, and nothing of this commit was written. Open it again.
    Poisoned = 16,
    /// The store was closed by this process.
    Closed = 17,
    /// The services are still recovering, or have quarantined what the command is for.
    NotReady = 18,
    /// A payload is of a type, schema or codec this library does not know.
    UnknownPayload = 19,
    /// A kind of error that this interface has no code for yet.
    Other = 20,
    /// A defect of this library: it panicked. Close the store and open it again; what was acknowledged is there.
    Panic = 21,
}

impl From<ErrorKind> for Code {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidInput => Self::InvalidInput,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::IdempotencyConflict => Self::IdempotencyConflict,
            ErrorKind::Refused => Self::Refused,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::AlreadyExists => Self::AlreadyExists,
            ErrorKind::Locked => Self::Locked,
            ErrorKind::NotAStore => Self::NotAStore,
            ErrorKind::UnsupportedFormat => Self::UnsupportedFormat,
            ErrorKind::ReadOnly => Self::ReadOnly,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::StorageFull => Self::StorageFull,
            ErrorKind::Io => Self::Io,
            ErrorKind::CommitUnknown => Self::CommitUnknown,
            ErrorKind::Poisoned => Self::Poisoned,
            ErrorKind::Closed => Self::Closed,
            ErrorKind::NotReady => Self::NotReady,
            ErrorKind::UnknownPayload => Self::UnknownPayload,
            _ => Self::Other,
        }
    }
}

thread_local! {
    static TEXT: RefCell<CString> = RefCell::default();
}

/// Keeps what this thread is to be told. A byte of zero would end the text early, and becomes a space.
fn tell(text: &str) {
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    TEXT.with_borrow_mut(|told| *told = text);
}

/// Why a function does not answer `Ok`.
#[derive(Debug)]
pub(crate) struct Stop {
    code: Code,
    text: String,
}

impl Stop {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// There is no next event.
    pub(crate) fn end() -> Self {
        Self::new(Code::End, "")
    }

    /// A pointer that must not be.
    pub(crate) fn null(name: &str) -> Self {
        Self::new(Code::InvalidInput, format!("{name} is null"))
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::new(error.kind().into(), error.to_string())
    }
}

/// Runs what a function does; neither an error nor a panic gets further than this.
pub(crate) fn guarded(body: impl FnOnce() -> Result<(), Stop>) -> Code {
    // What a panic leaves half done in the library is guarded there: the store stops taking writes.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Code::Ok,
        Ok(Err(stop)) => {
            tell(&stop.text);
            stop.code
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
            tell(&format!("a defect of the library: it panicked: {text}"));
            Code::Panic
        }
    }
}

/// What the last function that did not answer `BITACORA_CODE_OK` on this thread has to say, in UTF-8; an empty text where there was
/// none. Valid until the next call of this library on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn bitacora_error_text() -> *const c_char {
    TEXT.try_with(|told| told.try_borrow().map_or(c"".as_ptr(), |told| told.as_ptr())).unwrap_or(c"".as_ptr())
}

/// Whether the same call, decided anew or made later, can succeed on this open store.
#[unsafe(no_mangle)]
pub extern "C" fn bitacora_is_retryable(code: i32) -> bool {
    [Code::Conflict, Code::Locked, Code::StorageFull, Code::NotReady].iter().any(|retryable| *retryable as i32 == code)
}

/// The version of this library, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn bitacora_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn told() -> String {
        // SAFETY: a text that ends with a zero and lives until the next call on this thread.
        unsafe { CStr::from_ptr(bitacora_error_text()) }.to_str().map(str::to_owned).unwrap_or_default()
    }

    #[test]
    fn a_panic_is_a_code_and_a_text_and_goes_no_further() {
        std::panic::set_hook(Box::new(|_| ()));
        assert_eq!(guarded(|| panic!("it broke")), Code::Panic);
        assert!(told().ends_with("it panicked: it broke"), "{}", told());
        assert_eq!(guarded(|| std::panic::panic_any(7)), Code::Panic);
        assert!(told().ends_with("no text"), "{}", told());
        let _ = std::panic::take_hook();
    }

    #[test]
    fn an_errors_text_stays_until_the_next_error_of_its_thread() {
        assert_eq!(guarded(|| Err(Stop::new(Code::Refused, "no\0way"))), Code::Refused);
        assert_eq!(guarded(|| Ok(())), Code::Ok);
        assert_eq!(told(), "no way");
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(told(), ""));
        });
    }

    #[test]
    fn what_can_be_retried_is_what_the_library_says() {
        let kinds = [
            ErrorKind::InvalidInput,
            ErrorKind::Conflict,
            ErrorKind::IdempotencyConflict,
            ErrorKind::Refused,
            ErrorKind::NotFound,
            ErrorKind::AlreadyExists,
            ErrorKind::Locked,
            ErrorKind::NotAStore,
            ErrorKind::UnsupportedFormat,
            ErrorKind::ReadOnly,
            ErrorKind::Corrupt,
            ErrorKind::StorageFull,
            ErrorKind::Io,
            ErrorKind::CommitUnknown,
            ErrorKind::Poisoned,
            ErrorKind::Closed,
            ErrorKind::NotReady,
            ErrorKind::UnknownPayload,
        ];
        for kind in kinds {
            let code = Code::from(kind);
            assert_eq!(format!("{code:?}"), format!("{kind:?}"));
            assert_eq!(bitacora_is_retryable(code as i32), Error::new(kind, "").is_retryable(), "{kind:?}");
        }
    }
}
