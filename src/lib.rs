//! Bitácora: an embedded event store for tills and edge machines.
//!
//! A program links it in and writes every business event into one append-only log; wallets, payments and all other state
//! are rebuilt from that log. Power fails, the process is killed, the disk fills up: after the next open every
//! acknowledged event is there.
//!
//! Open, append, read, reopen:
//!
//! ```
//! use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
//!
//! # fn main() -> bitacora::Result<()> {
//! # let folder = tempfile::tempdir().expect("a temporary folder");
//! # let path = folder.path().join("till-data");
//! let store = Store::open(&path, Options::new())?;
//! let order = StreamId::new("order-1")?;
//! let placed = NewEvent::new(EventType::new("OrderPlaced")?, CodecId::JSON, br#"{"items":3}"#.to_vec());
//! let receipt = store.append(&order, ExpectedVersion::NoStream, vec![placed])?; // Durable when this returns.
//! assert_eq!(receipt.sequence_first.get(), 1);
//! store.close()?;
//!
//! let store = Store::open(&path, Options::new())?; // Opening is recovering.
//! assert!(store.recovery_report().was_closed_cleanly);
//! for event in store.read_stream(&order, ..) {
//!     let event = event?;
//!     assert_eq!((event.event_type.as_str(), event.payload.as_slice()), ("OrderPlaced", &br#"{"items":3}"#[..]));
//! }
//! store.close()
//! # }
//! ```
//!
//! A deposit, and a payment that is paid half from the wallet and half by card:
//!
//! ```
//! use std::sync::Arc;
//!
//! use bitacora::aggregate::{ExecuteOptions, Repository};
//! use bitacora::money::{Currency, Money};
//! use bitacora::payment::{FileGateway, GatewayProfile, Orchestrator, OrchestratorOptions, OutcomeKind, PaymentRequest};
//! use bitacora::snapshot::SnapshotPolicy;
//! use bitacora::wallet::{Wallet, WalletCommand, WalletLimits};
//! use bitacora::{Options, Store};
//!
//! # fn main() -> bitacora::Result<()> {
//! # let folder = tempfile::tempdir().expect("a temporary folder");
//! # let (path, gateway_path) = (folder.path().join("till-data"), folder.path().join("till-data-gateway"));
//! let store = Store::open(&path, Options::new())?;
//! let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::default());
//! // A gateway of your own implements `PaymentGateway`; this one is for demonstrations.
//! let gateway = Arc::new(FileGateway::open_with(&gateway_path, GatewayProfile::always_approve())?);
//! let payments = Orchestrator::new(wallets.clone(), gateway, OrchestratorOptions::default())?;
//!
//! let euro = Currency::from_code("EUR").expect("a currency of ISO 4217");
//! let open = WalletCommand::Open { currency: euro, overdraft_limit: 0, limits: WalletLimits::default() };
//! wallets.execute("ana", &ExecuteOptions::default(), &open)?;
//! // The command id makes the deposit safe to repeat.
//! let once = ExecuteOptions { command_id: Some("deposit-1"), ..ExecuteOptions::default() };
//! wallets.execute("ana", &once, &WalletCommand::Deposit { amount: Money::new(5_000, euro) })?;
//!
//! let request = PaymentRequest::new("sale-1", "ana", euro).by_wallet(1_200).by_card(1_300);
//! let outcome = payments.run(request)?;
//! assert_eq!(outcome.kind, OutcomeKind::Completed);
//! assert_eq!(wallets.load("ana")?.state.balance(), 3_800); // Minor units: 38.00 EUR.
//! store.close()
//! # }
//! ```
//!
//! # Where to read on
//!
//! [`docs`] is the book: [concepts](docs::concepts), [getting started](docs::getting_started), what is promised and what
//! proves it ([durability](docs::durability)), how an open decides ([recovery](docs::recovery)), the [wallet](docs::wallet),
//! [payments](docs::payments) and [sagas](docs::sagas) of one's own, how to follow the log ([subscriptions](docs::subscriptions)),
//! what to watch in a running store ([observing](docs::observing)), what a wrong clock does ([time](docs::time)), how payloads
//! change their shapes ([evolution](docs::evolution)), what a newer version of this crate does to a store
//! ([migration](docs::migration)), every byte on disk ([format](docs::format)), how fast it is
//! ([performance](docs::performance)), what to choose for a machine ([tuning](docs::tuning)), and how all of it is tried
//! ([testing](docs::testing)). [`Store`] is where programs start,
//! [`Options`] says what can be chosen, [`ErrorKind`] says what to do about an error.
//!
//! # Features
//!
//! | feature | default | consequence |
//! |---|---|---|
//! | `rocksdb` | yes | The index is kept on disk. RocksDB is compiled (a C++20 compiler and libclang at build time; about a quarter of an hour on two cores) and linked statically; the program needs the C++ runtime. Without it the crate is pure Rust, the index lives in memory, and every open reads the whole log. |
//! | `archive` | no | [`Store::archive`] and [`unarchive`], and reads that go through archives: without it they are answered `UnsupportedFormat`. Adds `zstd`, the binding to the C library, which is compiled (a C compiler at build time). |
//! | `cli` | no | The command `bitacora`. Turns on `rocksdb`, `archive` and `transfer`. |
//! | `transfer` | no | `export` and `import`: a store as JSON lines, and back. Adds `serde_json` and `base64`. |
//! | `futures` | no | `Subscription::into_stream`, which gives an `EventStream`: a `futures` stream for async code. Needs no runtime; adds `futures-core`. |
//! | `simulation` | no | The module `disk::sim`, a disk that crashes, tears, fails and fills up, and what simulations need beside it. Segments may be as small as 4 KiB. For tests; costs a program nothing that does not use it. |
//! | `metrics` | no | What a store counts is told to the recorder of the crate `metrics` that the program has set, once a second and by `Store::publish_metrics`; see [observing](docs::observing). A commit pays nothing for it; adds `metrics` and `rapidhash`. |
//! | `internals` | no | The decoders, for fuzzing. Hidden from this documentation, and not covered by any promise. |

pub mod aggregate;
mod check_disk;
pub mod clock;
pub mod codec;
pub mod disk;
pub mod docs;
mod error;
mod format;
pub mod index;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
pub mod limits;
mod log;
mod measure;
pub mod money;
pub mod payment;
mod recovery;
#[cfg(not(feature = "sabotage"))]
mod sabotage;
#[cfg(feature = "sabotage")]
#[doc(hidden)]
pub mod sabotage;
pub mod saga;
pub mod service;
pub mod snapshot;
mod store;
mod sync;
mod types;
pub mod wallet;

pub use check_disk::{
    CheckDiskProgress, DiskAdvice, DiskMeasurements, DiskMedium, DiskMediumKind, DiskReport, DiskWarning,
    DiskWarningKind, SyncCost, SyncWay, check_disk,
};
pub use clock::{ClockState, ClockStep};
pub use error::{Conflict, Corruption, Error, ErrorKind, Result};
pub use index::{Checkpoint, StreamHead};
pub use measure::Distribution;
pub use recovery::{CutReport, IndexUse, PhaseReport, RecoveryReport};
#[cfg(feature = "futures")]
pub use store::EventStream;
pub use store::{
    Align, AllEvents, ArchiveBackup, ArchiveBefore, ArchiveOptions, ArchivePlan, ArchiveProgress, ArchiveReport,
    BackupOptions, BackupPhase, BackupProgress, BackupReport, CheckpointLag, ClockAccepted, Commit, CompactReport,
    Consumer, ConsumerOptions, CorrelationEvents, DeadlinesAfterStep, DiskLevel, DiskSpace, Durability, EVENT_LOST,
    Environment, EventRef, Finding, FindingKind, IdempotencyKey, IndexProgress, IndexReport, KeptBecause, KeyUse, Loss,
    MovedSegment, Options, PlannedSegment, Preallocation, Quarantined, RepairOutcome, RepairPhase, RepairPlan,
    RepairProgress, RestoreOptions, RestoreReport, ScrubOptions, ScrubProgress, ScrubReport, Scrubber, SegmentFate,
    SequenceRange, StatsRecord, Store, StoreInfo, StoreStats, StoreUsage, StreamAppend, StreamEvents, StreamLoss,
    Streams, SubscribeOptions, Subscription, Ticket, TornTail, UnarchiveReport, UpgradeReport, VerifyPhase,
    VerifyProgress, VerifyReport, VersionRange, backup, backup_in, backup_with, compact_index, compact_index_in,
    rebuild_index, rebuild_index_in, repair, repair_in, repair_in_with, repair_plan, repair_plan_in,
    repair_plan_in_with, repair_with, restore, restore_in, restore_with, scrub, scrub_in, scrub_status, unarchive,
    unarchive_in, upgrade, upgrade_in, verify, verify_in, verify_in_with, verify_with,
};
#[cfg(feature = "transfer")]
pub use store::{
    ExportReport, ImportReport, TransferPhase, TransferProgress, export, export_file, export_file_in, export_in,
    import, import_in,
};
pub use types::{
    CodecId, Event, EventId, EventType, ExpectedVersion, Metadata, NewEvent, NewEventRef, Receipt, Sequence, StoreId,
    StreamId, StreamReceipt, Timestamp, Version,
};

/// The snippets of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
