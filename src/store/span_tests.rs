//! The spans that are documented come in their order and with their fields, and those of a commit only where somebody listens.

use std::fmt::{Debug, Write as _};
use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicU64 as StdAtomicU64;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata as Described, Subscriber};

use super::*;

/// Keeps the spans of the target `bitacora` up to a level, each as `name field=value ...`, in the order in which they began.
struct Spans {
    level: Level,
    ids: StdAtomicU64,
    seen: Arc<StdMutex<Vec<String>>>,
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, described: &Described<'_>) -> bool {
        described.is_span() && described.target() == "bitacora" && *described.level() <= self.level
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = span.metadata().name().to_owned();
        span.record(&mut Fields(&mut text));
        self.seen.lock().unwrap().push(text);
        Id::from_u64(self.ids.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut seen = self.seen.lock().unwrap();
        let text = &mut seen[usize::try_from(span.into_u64()).unwrap() - 1];
        values.record(&mut Fields(text));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What is seen of `work` up to a level.
fn spans_of(level: Level, work: impl FnOnce()) -> Vec<String> {
    let seen = Arc::new(StdMutex::new(Vec::new()));
    let spans = Spans { level, ids: StdAtomicU64::new(0), seen: Arc::clone(&seen) };
    tracing::subscriber::with_default(spans, work);
    Arc::try_unwrap(seen).unwrap().into_inner().unwrap()
}

/// Opens a store in memory, commits until a segment is full, and keeps house: all on this thread.
fn work() {
    let options = Options::new().segment_bytes(1024 * 1024).background(false);
    let store = Store::in_memory(options).unwrap();
    let half = "x".repeat(600 * 1024);
    for _ in 0..2 {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&half)]).unwrap();
    }
    store.housekeep().unwrap();
    let commit = Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![event("x"), event("y")]);
    let keyed = commit.idempotency_key("once");
    store.commit(keyed.clone()).unwrap();
    store.commit(keyed).unwrap();
    store.close().unwrap();
}

fn names(spans: &[String]) -> Vec<&str> {
    spans.iter().map(|span| span.split(' ').next().unwrap()).collect()
}

#[test]
fn spans_come_in_their_order_with_their_fields() {
    let spans = spans_of(Level::TRACE, work);
    assert_eq!(names(&spans), ["open", "commit", "commit", "roll", "ingest", "seal", "commit", "commit", "ingest"]);
    assert_eq!(spans[0], "open root=/store sequence=0 replayed=0 bytes_read=0 was_closed_cleanly=false");
    assert_eq!(spans[1], "commit streams=1 events=1 sequence=1 is_repeat=false");
    assert!(spans[3].starts_with("roll sequence=2 bytes="), "{}", spans[3]);
    assert_eq!(spans[4], "ingest through=2 events=2");
    assert_eq!(spans[5], "seal segment=1");
    assert_eq!(spans[6], "commit streams=1 events=2 sequence=4 is_repeat=false");
    assert_eq!(spans[7], "commit streams=1 events=2 sequence=4 is_repeat=true");
    assert_eq!(spans[8], "ingest through=4 events=2");
}

#[test]
fn a_listener_chooses_by_level_and_a_commit_is_the_finest() {
    let debug = spans_of(Level::DEBUG, work);
    assert_eq!(names(&debug), ["open", "roll", "ingest", "seal", "ingest"]);
    assert_eq!(names(&spans_of(Level::INFO, work)), ["open"]);
}
