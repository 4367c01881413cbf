//! The book: what the store is, what it promises and how that is proven.
//!
//! Read [`concepts`] for the words, [`getting_started`] to begin, [`durability`] before trusting it with money. The map of
//! the source is `ARCHITECTURE.md`.

#[doc = include_str!("concepts.md")]
pub mod concepts {}

#[doc = include_str!("getting_started.md")]
pub mod getting_started {}

#[doc = include_str!("durability.md")]
pub mod durability {}

#[doc = include_str!("recovery.md")]
pub mod recovery {}

#[doc = include_str!("wallet.md")]
pub mod wallet {}

#[doc = include_str!("payments.md")]
pub mod payments {}

#[doc = include_str!("sagas.md")]
pub mod sagas {}

#[doc = include_str!("subscriptions.md")]
pub mod subscriptions {}

#[doc = include_str!("observing.md")]
pub mod observing {}

#[doc = include_str!("time.md")]
pub mod time {}

#[doc = include_str!("evolution.md")]
pub mod evolution {}

#[doc = include_str!("migration.md")]
pub mod migration {}

#[doc = include_str!("command_line.md")]
pub mod command_line {}

#[doc = include_str!("c_interface.md")]
pub mod c_interface {}

#[doc = include_str!("format.md")]
pub mod format {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("tuning.md")]
pub mod tuning {}

#[doc = include_str!("testing.md")]
pub mod testing {}
