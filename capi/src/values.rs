//! Bytes that cross the border: borrowed ones either way, and owned ones that go back to be freed.

use std::ptr;
use std::str;

use crate::code::{Code, Stop};

/// Bytes that somebody else owns. Texts are UTF-8 and need no zero at their end. Nothing is `{NULL, 0}`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// The first byte; may be null where `length` is zero.
    pub data: *const u8,
    /// Bytes.
    pub length: usize,
}

impl Slice {
    /// A view of bytes, for as long as they are there.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), length: bytes.len() }
    }

    /// Nothing.
    pub(crate) const EMPTY: Self = Self { data: ptr::null(), length: 0 };

    /// The bytes.
    ///
    /// # Safety
    /// `data` is null, or points to `length` bytes that stay as they are while what is returned is used.
    pub(crate) unsafe fn bytes<'a>(self, name: &str) -> Result<&'a [u8], Stop> {
        if self.length == 0 {
            return Ok(&[]);
        }
        if self.data.is_null() {
            return Err(Stop::null(name));
        }
        if isize::try_from(self.length).is_err() {
            let text = format!("{name} has {} bytes, which no memory has", self.length);
            return Err(Stop::new(Code::InvalidInput, text));
        }
        // SAFETY: not null and not longer than a slice may be; the rest is the caller's promise.
        Ok(unsafe { std::slice::from_raw_parts(self.data, self.length) })
    }

    /// The text.
    ///
    /// # Safety
    /// As [`bytes`](Self::bytes).
    pub(crate) unsafe fn text<'a>(self, name: &str) -> Result<&'a str, Stop> {
        // SAFETY: the caller's promise is the same.
        let bytes = unsafe { self.bytes(name)? };
        str::from_utf8(bytes).map_err(|_| Stop::new(Code::InvalidInput, format!("{name} is not UTF-8")))
    }

    /// The text, if there is one.
    ///
    /// # Safety
    /// As [`bytes`](Self::bytes).
    pub(crate) unsafe fn text_if_any(self, name: &str) -> Result<Option<String>, Stop> {
        // SAFETY: the caller's promise is the same.
        let text = unsafe { self.text(name)? };
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}

/// Bytes that the library made and the caller owns: given back with `bitacora_buffer_free`. A zero stands behind the last byte
/// and is not counted, so a text can be used as a C string.
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    /// The first byte; null where there is nothing.
    pub data: *mut u8,
    /// Bytes.
    pub length: usize,
}

impl Buffer {
    /// A text to give away.
    pub(crate) fn of(text: String) -> Self {
        let length = text.len();
        let mut bytes = text.into_bytes();
        bytes.push(0);
        Self { data: Box::into_raw(bytes.into_boxed_slice()).cast(), length }
    }
}

/// Frees a buffer and makes it empty. Null and an empty buffer are no harm.
///
/// # Safety
/// `buffer` is null, or points to a buffer that this library filled, or that is all zeros.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_buffer_free(buffer: *mut Buffer) {
    // SAFETY: null, or a buffer, by the caller's promise.
    let Some(buffer) = (unsafe { buffer.as_mut() }) else { return };
    if !buffer.data.is_null() {
        let whole = ptr::slice_from_raw_parts_mut(buffer.data, buffer.length + 1);
        // SAFETY: made by `Buffer::of` out of a box of `length + 1` bytes, and not freed since: then it would be null.
        drop(unsafe { Box::from_raw(whole) });
    }
    *buffer = Buffer { data: ptr::null_mut(), length: 0 };
}

/// A reference out of a pointer.
///
/// # Safety
/// `pointer` is null, or points to a `T` that lives and is not changed while what is returned is used.
pub(crate) unsafe fn shared<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Stop> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| Stop::null(name))
}

/// Writes what a function gives back.
///
/// # Safety
/// `place` is null, or may be written.
pub(crate) unsafe fn give<T>(place: *mut T, value: T, name: &str) -> Result<(), Stop> {
    if place.is_null() {
        return Err(Stop::null(name));
    }
    // SAFETY: not null, and the caller's promise. What stood there is not read: it may never have been set.
    unsafe { place.write(value) };
    Ok(())
}

/// Refuses a place that is null before anything is done.
pub(crate) fn needed<T>(place: *const T, name: &str) -> Result<(), Stop> {
    if place.is_null() { Err(Stop::null(name)) } else { Ok(()) }
}
