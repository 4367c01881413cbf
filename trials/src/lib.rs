//! What Bitacora is tried against.
//!
//! Each class of faults is one file under `classes`, and one row of [`classes::ALL`]: what is counted, how much of it the
//! gate asks for (every run of the checks) and how much a release does, and a function that tries one *piece* of it, named
//! by a seed. The same seed tries the same piece again, everywhere; only those on real processes meet another moment each
//! time. `tests/gate.rs` runs the gate; the command `trials` runs the soak, which goes on where it stopped, and repeats a
//! single piece.
//!
//! Everything here stands on the library's public face and its feature `simulation`; nothing of the store is copied.

pub mod calls;
pub mod class;
pub mod classes;
#[cfg(bitacora_shuttle)]
pub mod crowd;
pub mod damage;
pub mod images;
pub mod model;
pub mod money;
pub mod oracle;
#[cfg(feature = "rocksdb")]
pub mod real;
pub mod runner;
pub mod soak;
pub mod workload;
