//! Compression: the one place that names zstd. Without the feature `archive` there is none.

use std::io;

/// Levels above it take many times as long and gain a few hundredths.
#[cfg(feature = "archive")]
const LEVEL: i32 = 9;

/// Whether this program can read archives.
pub(crate) const IS_BUILT_IN: bool = cfg!(feature = "archive");

/// One zstd frame, with a checksum of its content.
///
/// # Errors
/// Those of zstd. `Unsupported`: there is none in this program.
#[cfg(feature = "archive")]
pub(crate) fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    compressor.compress(bytes)
}

/// The content of one frame, which has this length.
///
/// # Errors
/// `InvalidData`: it is no frame, its checksum fails, or it has another length. `Unsupported`: see [`compress`].
#[cfg(feature = "archive")]
pub(crate) fn decompress(frame: &[u8], length: usize) -> io::Result<Vec<u8>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let bytes = zstd::bulk::decompress(frame, length).map_err(|error| invalid(error.to_string()))?;
    if bytes.len() == length { Ok(bytes) } else { Err(invalid(format!("{} bytes and not {length}", bytes.len()))) }
}

/// As with the feature, but that it always fails.
///
/// # Errors
/// `Unsupported`.
#[cfg(not(feature = "archive"))]
pub(crate) fn compress(_: &[u8]) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// As with the feature, but that it always fails.
///
/// # Errors
/// `Unsupported`.
#[cfg(not(feature = "archive"))]
pub(crate) fn decompress(_: &[u8], _: usize) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}
