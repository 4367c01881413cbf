//! The segmented log: files of frames, written by one writer at a time and read by anyone.
//!
//! It knows frames and sequences; it knows nothing of the index, of aggregates, or of what an event means.

pub(crate) mod archived;
pub(crate) mod cursor;
pub(crate) mod files;
pub(crate) mod names;
pub(crate) mod queue;
pub(crate) mod recent;
pub(crate) mod reserve;
pub(crate) mod roll;
pub(crate) mod scan;
pub(crate) mod sealing;
pub(crate) mod ticket;
pub(crate) mod window;
pub(crate) mod writer;
pub(crate) mod zstd;
