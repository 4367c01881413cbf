//! Generated operations on a store, against a plain model of one.
//!
//! A [`Plan`] is a store's shape and what is done with it, and is read from bytes: drawn ones in the class T16, a fuzzer's in
//! the target `store_operations`. [`run`] does it to a store on the simulated disk and to the [`Model`](plain::Model), a vector of events
//! and a few maps, and panics at the first answer that differs. [`shrink`](shrink::shrink) makes a plan that fails as small as it
//! can.

pub mod operation;
pub mod plain;
pub mod run;
pub mod shrink;

pub use operation::Plan;
pub use run::run;
