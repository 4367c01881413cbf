//! A repair on record: an event of the stream `system-repairs`, at the end of the log that it left.
//!
//! Type `StoreRepaired`, schema version 1, codec JSON, so that anybody reads it.

use std::fmt::Write;

use super::{Quarantined, RepairPlan};
use crate::error::Result;
use crate::types::{CodecId, EventType, NewEvent, Timestamp};

/// The stream that repairs are on record in.
pub(super) const REPAIRS_STREAM: &str = "system-repairs";
const STORE_REPAIRED: &str = "StoreRepaired";

/// Ranges, streams and files that are put on record; the number of all of them is in any case.
const LISTED_MAX: usize = 1_000;

pub(super) fn event(plan: &RepairPlan, kept: &[Quarantined], now: Timestamp) -> Result<NewEvent> {
    let mut json = format!(
        "{{\"repaired_at_micros\":{},\"events_lost\":{},\"events_of_unknown_streams\":{},\"lost\":",
        now.as_micros(),
        plan.events_lost,
        plan.events_of_unknown_streams
    );
    list(&mut json, &plan.lost, |json, loss| {
        let _ = write!(json, "{{\"first\":{},\"last\":{}}}", loss.first, loss.last);
    });
    let _ = write!(json, ",\"streams_hit\":{},\"streams\":", plan.streams.len());
    list(&mut json, &plan.streams, |json, loss| {
        json.push_str("{\"stream\":");
        text(json, loss.stream.as_str());
        let _ = write!(json, ",\"whole_through\":{},\"events_lost\":{}}}", loss.whole_through, loss.events_lost);
    });
    let _ = write!(json, ",\"files_quarantined\":{},\"quarantined\":", kept.len());
    list(&mut json, kept, |json, file| {
        json.push_str("{\"file\":");
        text(json, &file.file);
        json.push_str(",\"kept_as\":");
        text(json, &file.kept_as);
        let digest = file.sha256.iter().fold(String::new(), |mut digest, byte| {
            let _ = write!(digest, "{byte:02x}");
            digest
        });
        let _ = write!(json, ",\"bytes\":{},\"sha256\":\"{digest}\"}}", file.bytes);
    });
    json.push('}');
    Ok(NewEvent::new(EventType::new(STORE_REPAIRED)?, CodecId::JSON, json.into_bytes()))
}

fn list<T>(json: &mut String, items: &[T], mut item: impl FnMut(&mut String, &T)) {
    json.push('[');
    for (number, value) in items.iter().take(LISTED_MAX).enumerate() {
        if number > 0 {
            json.push(',');
        }
        item(json, value);
    }
    json.push(']');
}

/// A text as JSON has it.
fn text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}
