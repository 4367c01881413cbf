//! A single flipped bit in a finished segment: `bitacora verify` says where, no verb shows the damaged event, the others do
//! show theirs.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::collections::BTreeSet;
use std::path::PathBuf;

use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
use command::Place;

const PLACES: usize = 200;

/// A closed store of several segments; its first segment, which is finished and sealed.
fn sealed(place: &Place) -> PathBuf {
    let store = Store::open(place.store(), Options::new().segment_bytes(64 * 1024).background(false)).unwrap();
    let kind = EventType::new("Noted").unwrap();
    for number in 0..600u64 {
        let name = StreamId::new(["a-1", "b-1", "c-1"][(number % 3) as usize]).unwrap();
        let payload = format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(40));
        let events = vec![NewEvent::new(kind.clone(), CodecId::JSON, payload.into_bytes())];
        store.append(&name, ExpectedVersion::Any, events).unwrap();
    }
    store.housekeep().unwrap();
    store.close().unwrap();
    let segment = place.store().join("log/00000000000000000001.seg");
    assert!(segment.with_extension("seal").exists(), "it is sealed");
    segment
}

/// The sequences that `events` shows of a range, and whether it ended well.
fn shown(place: &Place, from: u64, to: u64) -> (BTreeSet<u64>, i32) {
    let range = [from.to_string(), to.to_string()];
    let output = place.command("events", &["--json", "--from", &range[0], "--to", &range[1]]).output().unwrap();
    let events = command::values(&output.stdout);
    (command::numbers(&events, "sequence").into_iter().collect(), output.status.code().unwrap())
}

/// Goal: the damage is told with its segment, offset and sequence and nothing else is lost to it. Method: one bit at 200
/// places, spread over the written part of a segment and drawn within each stretch; each is flipped back afterwards.
#[test]
fn a_flipped_bit_in_a_sealed_segment_is_named_and_costs_one_commit() {
    let place = Place::new();
    let segment = sealed(&place);
    let sound = std::fs::read(&segment).unwrap();
    let written = sound.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let whole = command::numbers(&place.read("events", &[]), "sequence");
    let mut draw = 1u64;
    for number in 0..PLACES {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let stretch = written / PLACES;
        let (at, bit) = (number * stretch + (draw >> 33) as usize % stretch, draw >> 61);
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << bit;
        std::fs::write(&segment, &bytes).unwrap();
        check(&place, &whole, &format!("bit {bit} of byte {at}"), at as u64);
    }
    std::fs::write(&segment, &sound).unwrap();
    assert_eq!(place.document("verify", &[])["ok"], true);
}

fn check(place: &Place, whole: &[u64], label: &str, at: u64) {
    let assert = place.command("verify", &["--json"]).assert().code(1);
    let report = &command::values(&assert.get_output().stdout)[0];
    let finding = &report["findings"][0];
    assert!(finding["segment"].as_str().unwrap().ends_with("00000000000000000001.seg"), "{label}: {report}");
    let (offset, sequence) = (finding["offset"].as_u64().unwrap(), finding["sequence"].as_u64().unwrap());
    assert!(offset <= at, "{label}: the damage is told of {offset}");
    if offset == 0 {
        // It is the header's. Frames stand for themselves; where the header is needed, nothing is shown.
        assert!(at < 512, "{label}: {report}");
        let answer = shown(place, 1, 1);
        assert!(answer == (BTreeSet::from([1]), 0) || answer == (BTreeSet::new(), 4), "{label}: {answer:?}");
        return;
    }
    let last = *whole.last().unwrap();
    assert_eq!(shown(place, sequence, sequence), (BTreeSet::new(), 4), "{label}: the damaged event is not shown");
    let before: BTreeSet<u64> = (1..sequence).collect();
    assert_eq!(shown(place, 1, sequence - 1), (before, 0), "{label}: those before are");
    let behind: BTreeSet<u64> = (sequence + 1..=last).collect();
    assert_eq!(shown(place, sequence + 1, last), (behind, 0), "{label}: those behind are");
}
