//! Bytes and what they mean: segment headers, frames, records, seals, identity and control. Pure; no I/O.
//!
//! The layouts are drawn in the book's page on the format. Every byte is under some checksum, or must be zero
//! and is checked to be. Integers are little-endian with explicit widths.

pub(crate) mod archive;
pub(crate) mod bytes;
pub(crate) mod checksum;
pub(crate) mod control;
pub(crate) mod draft;
pub(crate) mod frame;
pub(crate) mod identity;
pub(crate) mod merkle;
pub(crate) mod record;
pub(crate) mod seal;
pub(crate) mod seekable;
pub(crate) mod segment;

/// The version of all formats here. A store of a greater one is refused.
pub(crate) const FORMAT_VERSION: u16 = 1;
