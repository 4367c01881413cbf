//! How fast the store is: beside the raw file that is its floor, and beside other stores.
//!
//! Everything is measured on the same [`workload`] through the same face ([`subject::Subject`]), each measurement in a process
//! of its own ([`child`]), and the subjects take turns, so that what disturbs the machine disturbs all of them. The command
//! `table` fills the table of `src/docs/performance.md`; the benches of criterion look at single operations.

#[cfg(feature = "rocksdb")]
pub mod bitacora_subject;
#[cfg(feature = "rocksdb")]
pub mod cases;
#[cfg(feature = "rocksdb")]
pub mod child;
#[cfg(feature = "rocksdb")]
pub mod commands;
#[cfg(feature = "rocksdb")]
pub mod floor;
#[cfg(feature = "rocksdb")]
pub mod measure;
#[cfg(feature = "rocksdb")]
pub mod opening;
#[cfg(feature = "rocksdb")]
pub mod parts;
#[cfg(feature = "peers")]
pub mod peers;
#[cfg(feature = "rocksdb")]
pub mod place;
#[cfg(feature = "rocksdb")]
pub mod subject;
#[cfg(feature = "rocksdb")]
pub mod table;
#[cfg(feature = "rocksdb")]
pub mod wallets;
#[cfg(feature = "rocksdb")]
pub mod workload;
