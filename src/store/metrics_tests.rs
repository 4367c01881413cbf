//! What a recorder of metrics is told.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{
    CounterFn, GaugeFn, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
};

use crate::store::{Options, Store};
use crate::types::{CodecId, EventType, ExpectedVersion, NewEvent, StreamId};

#[derive(Debug, Default)]
struct Cell {
    count: AtomicU64,
    values: Mutex<Vec<f64>>,
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.count.fetch_add(value, Ordering::SeqCst);
    }

    fn absolute(&self, value: u64) {
        self.count.fetch_max(value, Ordering::SeqCst);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _value: f64) {
        unreachable!("gauges are set");
    }

    fn decrement(&self, _value: f64) {
        unreachable!("gauges are set");
    }

    fn set(&self, value: f64) {
        *self.values.lock().unwrap() = vec![value];
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.values.lock().unwrap().push(value);
    }
}

/// Keeps what it is told by name, and the names that were described.
#[derive(Debug, Default)]
struct Notes {
    cells: Mutex<BTreeMap<String, Arc<Cell>>>,
    described: Mutex<Vec<String>>,
}

impl Notes {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        assert_eq!(key.labels().map(metrics::Label::key).collect::<Vec<_>>(), ["store"]);
        Arc::clone(self.cells.lock().unwrap().entry(key.name().to_owned()).or_default())
    }

    fn count(&self, name: &str) -> u64 {
        self.cells.lock().unwrap()[name].count.load(Ordering::SeqCst)
    }

    fn values(&self, name: &str) -> Vec<f64> {
        self.cells.lock().unwrap()[name].values.lock().unwrap().clone()
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(key.as_str().to_owned());
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(key.as_str().to_owned());
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(key.as_str().to_owned());
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::from_arc(self.cell(key))
    }
}

fn event() -> NewEvent {
    NewEvent::new(EventType::new("Noted").unwrap(), CodecId::JSON, b"1234567".to_vec())
}

#[test]
fn a_recorder_is_told_what_has_come_since_the_last_time() {
    let store = Store::in_memory(Options::new().background(false)).unwrap();
    let stream = StreamId::new("notes").unwrap();
    let notes = Notes::default();
    let publish = || with_local_recorder(&notes, || store.publish_metrics());
    for _ in 0..3 {
        store.append(&stream, ExpectedVersion::Any, vec![event(), event()]).unwrap();
    }
    assert!(store.append(&stream, ExpectedVersion::NoStream, vec![event()]).is_err());
    publish();
    assert_eq!(notes.count("bitacora_commits_total"), 3);
    assert_eq!(notes.count("bitacora_events_total"), 6);
    assert_eq!(notes.count("bitacora_payload_bytes_total"), 42);
    assert_eq!(notes.count("bitacora_conflicts_total"), 1);
    assert_eq!(notes.values("bitacora_last_sequence"), [6.0]);
    assert_eq!(notes.values("bitacora_sync_commits"), [1.0, 1.0, 1.0]);
    assert_eq!(notes.values("bitacora_commit_seconds").len(), 3);
    assert!(notes.values("bitacora_sync_seconds").iter().all(|seconds| (0.0..60.0).contains(seconds)));
    store.append(&stream, ExpectedVersion::Any, vec![event()]).unwrap();
    publish();
    assert_eq!(notes.count("bitacora_commits_total"), 4);
    assert_eq!(notes.values("bitacora_sync_events"), [2.0, 2.0, 2.0, 1.0]);
    publish();
    assert_eq!(notes.values("bitacora_sync_events").len(), 4, "nothing is told twice");
}

#[test]
fn every_metric_is_described_once_and_stands_in_the_book() {
    let store = Store::in_memory(Options::new().background(false)).unwrap();
    let notes = Notes::default();
    with_local_recorder(&notes, || {
        store.publish_metrics();
        store.publish_metrics();
    });
    let described = notes.described.lock().unwrap().clone();
    let told: Vec<String> = notes.cells.lock().unwrap().keys().cloned().collect();
    let mut sorted = described.clone();
    sorted.sort();
    assert_eq!(sorted, told);
    let page = include_str!("../docs/observing.md");
    for name in described {
        assert!(page.contains(&format!("`{name}`")), "the book does not name {name}");
    }
}
