//! Bitácora: an embedded event store for tills and edge machines.

pub mod aggregate;
pub mod clock;
pub mod codec;
pub mod disk;
mod error;
mod format;
pub mod index;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
pub mod limits;
mod log;
pub mod money;
pub mod payment;
mod recovery;
pub mod service;
pub mod snapshot;
mod store;
mod sync;
mod types;
pub mod wallet;

pub use error::{Conflict, Corruption, Error, ErrorKind, Result};
pub use index::{Checkpoint, StreamHead};
pub use recovery::{CutReport, IndexUse, PhaseReport, RecoveryReport};
pub use store::{
    Align, AllEvents, Commit, Durability, Environment, EventRef, Finding, FindingKind, IdempotencyKey, KeyUse, Options,
    Preallocation, Store, StoreInfo, StreamAppend, StreamEvents, Streams, Ticket, VerifyReport, verify, verify_in,
};
pub use types::{
    CodecId, Event, EventId, EventType, ExpectedVersion, Metadata, NewEvent, Receipt, Sequence, StoreId, StreamId,
    StreamReceipt, Timestamp, Version,
};
