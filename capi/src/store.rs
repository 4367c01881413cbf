//! Opening, appending, and what the store says of itself.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bitacora::aggregate::Repository;
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::Wallet;
use bitacora::{
    Align, CodecId, Commit, Durability, EventType, ExpectedVersion, Metadata, NewEvent, Options, Preallocation, Store,
    StreamId, Version,
};

use crate::code::{Code, Stop, guarded};
use crate::values::{Buffer, Slice, give, needed, shared};
use crate::verbs::money::Desk;
use crate::verbs::store_report::StoreReport;

/// An expected version: anything.
pub const ANY_VERSION: u64 = 18_446_744_073_709_551_615;
/// An expected version: the stream has at least one event.
pub const STREAM_EXISTS: u64 = 18_446_744_073_709_551_614;
/// An expected version: the stream has no event yet. Every other number is the version that the stream must be at.
pub const NO_STREAM: u64 = 0;

/// A codec: bytes as they are.
pub const CODEC_RAW: u8 = 0;
/// A codec: bincode, which the library's own events are in.
pub const CODEC_BINCODE: u8 = 1;
/// A codec: JSON in UTF-8.
pub const CODEC_JSON: u8 = 2;

/// When an append is acknowledged: when it is synced, so that it survives a power cut. The default.
pub const DURABILITY_SYNC: u32 = 0;
/// When an append is acknowledged: when the operating system has it; synced `sync_interval_millis` later at most.
pub const DURABILITY_INTERVAL: u32 = 1;
/// When an append is acknowledged: when the operating system has it; survives a kill, not a power cut.
pub const DURABILITY_BUFFERED: u32 = 2;

/// How a segment's room is taken: zeros are written ahead. The default.
pub const PREALLOCATION_ZERO_FILL: u32 = 0;
/// How a segment's room is taken: reserved at once.
pub const PREALLOCATION_RESERVE: u32 = 1;
/// How a segment's room is taken: with each write.
pub const PREALLOCATION_GROW: u32 = 2;

/// Where groups of commits start: right after the one before. The default.
pub const ALIGN_PACKED: u32 = 0;
/// Where groups of commits start: on a fresh sector, for cards that damage neighbouring bytes when power fails.
pub const ALIGN_SECTOR: u32 = 1;

/// How a store is opened. Zero everywhere is the defaults, which are the safe ones.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// One of `BITACORA_DURABILITY_...`.
    pub durability: u32,
    /// With `BITACORA_DURABILITY_INTERVAL`, and never zero then.
    pub sync_interval_millis: u32,
    /// One of `BITACORA_PREALLOCATION_...`.
    pub preallocation: u32,
    /// One of `BITACORA_ALIGN_...`.
    pub align: u32,
    /// The size of a segment file, from 1 MiB to 2 GiB; zero for 64 MiB.
    pub segment_bytes: u64,
    /// Events in memory before they are moved into the index; zero for 1,000,000.
    pub tail_events_max: u64,
    /// The folder of the demonstration's card gateway; empty for none. Without one payments have no part by card.
    pub gateway_folder: Slice,
}

/// An open store. Any thread may use it, several at once too; only closing it must be the last thing that is done with it.
pub struct OpenStore {
    pub(crate) store: Store,
    /// For looking at wallets, which needs no recovery.
    pub(crate) wallets: Repository<Wallet>,
    gateway: Option<PathBuf>,
    /// The services, made and recovered by the first command.
    desk: Mutex<Option<Arc<Desk>>>,
}

impl fmt::Debug for OpenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStore").field("store", &self.store).finish_non_exhaustive()
    }
}

impl OpenStore {
    fn new(store: Store, gateway: Option<PathBuf>) -> *mut Self {
        let wallets = Repository::new(store.clone(), SnapshotPolicy::default());
        Box::into_raw(Box::new(Self { store, wallets, gateway, desk: Mutex::new(None) }))
    }

    /// The services. The first call recovers them to ready, and goes on with payments that were under way.
    pub(crate) fn desk(&self) -> Result<Arc<Desk>, Stop> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(desk) = &*desk {
            return Ok(Arc::clone(desk));
        }
        let made = Arc::new(Desk::over(self.store.clone(), self.gateway.as_deref())?);
        *desk = Some(Arc::clone(&made));
        Ok(made)
    }

    fn close(self) -> Result<(), Stop> {
        let desk = self.desk.into_inner().unwrap_or_else(PoisonError::into_inner);
        match desk.and_then(Arc::into_inner) {
            Some(desk) => Ok(desk.till.close()?),
            None => Ok(self.store.close()?),
        }
    }
}

fn unknown(name: &str, value: u32) -> Stop {
    Stop::new(Code::InvalidInput, format!("{name}: there is no {value}"))
}

impl OpenOptions {
    fn read(&self) -> Result<Options, Stop> {
        let mut options = Options::new()
            .durability(match self.durability {
                DURABILITY_SYNC => Durability::Sync,
                DURABILITY_INTERVAL => Durability::Interval(Duration::from_millis(self.sync_interval_millis.into())),
                DURABILITY_BUFFERED => Durability::Buffered,
                other => return Err(unknown("durability", other)),
            })
            .preallocation(match self.preallocation {
                PREALLOCATION_ZERO_FILL => Preallocation::ZeroFill,
                PREALLOCATION_RESERVE => Preallocation::Reserve,
                PREALLOCATION_GROW => Preallocation::Grow,
                other => return Err(unknown("preallocation", other)),
            })
            .align(match self.align {
                ALIGN_PACKED => Align::Packed,
                ALIGN_SECTOR => Align::Sector,
                other => return Err(unknown("align", other)),
            });
        if self.segment_bytes > 0 {
            options = options.segment_bytes(self.segment_bytes);
        }
        if self.tail_events_max > 0 {
            options = options.tail_events_max(usize::try_from(self.tail_events_max).unwrap_or(usize::MAX));
        }
        Ok(options)
    }
}

/// Opens the store in a folder, making it where there is none, and recovers it. `options` may be null for the defaults.
///
/// `path` is UTF-8. Ends with `bitacora_close`.
///
/// # Safety
/// Every pointer is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_open(path: Slice, options: *const OpenOptions, store: *mut *mut OpenStore) -> Code {
    guarded(|| {
        needed(store, "store")?;
        // SAFETY: the caller's promise.
        let path = unsafe { path.text("path")? };
        // SAFETY: the caller's promise.
        let options = unsafe { options.as_ref() };
        let gateway = match options {
            // SAFETY: the caller's promise.
            Some(options) => unsafe { options.gateway_folder.text_if_any("gateway_folder")? },
            None => None,
        };
        let opened = Store::open(path, options.map_or_else(|| Ok(Options::new()), OpenOptions::read)?)?;
        // SAFETY: the caller's promise.
        unsafe { give(store, OpenStore::new(opened, gateway.map(PathBuf::from)), "store") }
    })
}

/// Opens a store to read, whether another process writes to it or not; shows it as it is now. Nothing on disk is changed.
///
/// # Safety
/// Every pointer is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_open_read_only(path: Slice, store: *mut *mut OpenStore) -> Code {
    guarded(|| {
        needed(store, "store")?;
        // SAFETY: the caller's promise.
        let path = unsafe { path.text("path")? };
        let opened = Store::open_read_only(path)?;
        // SAFETY: the caller's promise.
        unsafe { give(store, OpenStore::new(opened, None), "store") }
    })
}

/// Makes everything durable and closes the store. Its handle is freed, whatever is answered; null is no harm. Handles of events
/// stay valid, and answer `BITACORA_CODE_CLOSED` or what they had read before.
///
/// # Safety
/// `store` is null or was opened by this library, was not closed yet, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_close(store: *mut OpenStore) -> Code {
    guarded(|| {
        if store.is_null() {
            return Ok(());
        }
        // SAFETY: made by `OpenStore::new` and not freed yet, by the caller's promise.
        let store = unsafe { Box::from_raw(store) };
        store.close()
    })
}

/// An event to append.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Draft {
    /// Its type, such as "OrderPlaced".
    pub event_type: Slice,
    /// Which shape of that type the payload has; from 1, and zero counts as 1.
    pub schema_version: u16,
    /// What the payload is in: one of `BITACORA_CODEC_...`, or a number of one's own from 128 on.
    pub codec: u8,
    /// The payload.
    pub payload: Slice,
    /// What it belongs to; empty for nothing.
    pub correlation_id: Slice,
    /// What caused it; empty for nothing.
    pub causation_id: Slice,
    /// Who did it; empty for nobody.
    pub actor: Slice,
}

impl Draft {
    /// # Safety
    /// Every slice is valid.
    unsafe fn read(&self) -> Result<NewEvent, Stop> {
        // SAFETY: the caller's promise.
        let event_type = EventType::new(unsafe { self.event_type.text("event_type")? })?;
        // SAFETY: the caller's promise.
        let payload = unsafe { self.payload.bytes("payload")? };
        let metadata = Metadata {
            // SAFETY: the caller's promise.
            correlation_id: unsafe { self.correlation_id.text_if_any("correlation_id")? },
            // SAFETY: the caller's promise.
            causation_id: unsafe { self.causation_id.text_if_any("causation_id")? },
            // SAFETY: the caller's promise.
            actor: unsafe { self.actor.text_if_any("actor")? },
            pairs: Vec::new(),
        };
        Ok(NewEvent::new(event_type, CodecId(self.codec), payload.to_vec())
            .with_schema_version(self.schema_version.max(1))
            .with_metadata(metadata))
    }
}

/// What became of an append.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AppendReceipt {
    /// The first event's sequence.
    pub sequence_first: u64,
    /// The last event's sequence.
    pub sequence_last: u64,
    /// The last event's version, which the stream is at now.
    pub version_last: u64,
    /// When, in microseconds since 1970.
    pub timestamp_micros: i64,
    /// Whether this is the receipt of an earlier call with the same key.
    pub is_repeat: bool,
}

/// Appends events to a stream, all or none, and waits until that is acknowledged.
///
/// `expected_version` is `BITACORA_ANY_VERSION`, `BITACORA_NO_STREAM`, `BITACORA_STREAM_EXISTS` or the version that the stream
/// is at. A `key` makes the call safe to repeat: the same key with the same content is answered with the first receipt; empty
/// for none. `receipt` may be null.
///
/// # Safety
/// Every pointer is null or valid; `events` has `event_count` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_append(
    store: *const OpenStore,
    stream: Slice,
    expected_version: u64,
    events: *const Draft,
    event_count: usize,
    key: Slice,
    receipt: *mut AppendReceipt,
) -> Code {
    guarded(|| {
        // SAFETY: the caller's promise.
        let store = unsafe { shared(store, "store")? };
        // SAFETY: the caller's promise.
        let stream = StreamId::new(unsafe { stream.text("stream")? })?;
        // SAFETY: the caller's promise.
        let key = unsafe { key.text_if_any("key")? };
        needed(events, "events")?;
        let expected = match expected_version {
            ANY_VERSION => ExpectedVersion::Any,
            STREAM_EXISTS => ExpectedVersion::StreamExists,
            NO_STREAM => ExpectedVersion::NoStream,
            version => ExpectedVersion::Exact(Version::new(version)),
        };
        let mut drafts = Vec::new();
        for index in 0..event_count {
            // SAFETY: within the array, by the caller's promise.
            let draft = unsafe { events.add(index) };
            // SAFETY: the caller's promise.
            let draft = unsafe { shared(draft, "events")? };
            // SAFETY: the caller's promise.
            drafts.push(unsafe { draft.read()? });
        }
        let mut commit = Commit::new().append(&stream, expected, drafts);
        if let Some(key) = key {
            commit = commit.idempotency_key(key);
        }
        let done = store.store.commit(commit)?;
        if receipt.is_null() {
            return Ok(());
        }
        let answer = AppendReceipt {
            sequence_first: done.sequence_first.get(),
            sequence_last: done.sequence_last.get(),
            version_last: done.streams.first().map_or(0, |part| part.version_last.get()),
            timestamp_micros: done.timestamp.as_micros(),
            is_repeat: done.is_repeat,
        };
        // SAFETY: the caller's promise.
        unsafe { give(receipt, answer, "receipt") }
    })
}

/// Makes everything that was acknowledged durable. `sequence` gets the last sequence that is, and may be null.
///
/// # Safety
/// Every pointer is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_sync(store: *const OpenStore, sequence: *mut u64) -> Code {
    guarded(|| {
        // SAFETY: the caller's promise.
        let synced = unsafe { shared(store, "store")? }.store.sync()?;
        if sequence.is_null() {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { give(sequence, synced.get(), "sequence") }
    })
}

/// The last sequence that reads show; zero where there is none.
///
/// # Safety
/// Every pointer is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_last_sequence(store: *const OpenStore, sequence: *mut u64) -> Code {
    guarded(|| {
        // SAFETY: the caller's promise.
        let last = unsafe { shared(store, "store")? }.store.last_sequence();
        // SAFETY: the caller's promise.
        unsafe { give(sequence, last.get(), "sequence") }
    })
}

/// What opening found and did, as the JSON object that `bitacora recover --json` prints as "store".
///
/// # Safety
/// Every pointer is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_recovery_report(store: *const OpenStore, report: *mut Buffer) -> Code {
    guarded(|| {
        needed(report, "report")?;
        // SAFETY: the caller's promise.
        let store = unsafe { shared(store, "store")? };
        let text = serde_json::to_string(&StoreReport::new(store.store.recovery_report()))
            .map_err(|error| Stop::new(Code::Other, error.to_string()))?;
        // SAFETY: the caller's promise.
        unsafe { give(report, Buffer::of(text), "report") }
    })
}
