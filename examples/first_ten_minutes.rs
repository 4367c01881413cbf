//! The first ten minutes: open, append, read both ways, meet a conflict, repeat safely, reopen.
//!
//! `cargo run --example first_ten_minutes [FOLDER]`; without a folder a temporary one is used and removed.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::{Path, PathBuf};

use bitacora::{
    CodecId, Commit, ErrorKind, EventType, ExpectedVersion, NewEvent, Options, Result, Sequence, Store, StreamId,
};

fn main() -> Result<()> {
    let temporary = tempfile::tempdir().map_err(|error| bitacora::Error::from_io("make a temporary folder", error))?;
    let folder = std::env::args_os().nth(1).map_or_else(|| temporary.path().join("till-data"), PathBuf::from);
    write(&folder)?;
    read(&folder)
}

fn event(event_type: &str, json: &str) -> Result<NewEvent> {
    Ok(NewEvent::new(EventType::new(event_type)?, CodecId::JSON, json.as_bytes().to_vec()))
}

fn write(folder: &Path) -> Result<()> {
    let store = Store::open(folder, Options::new())?;
    let order = StreamId::new("order-1")?;

    // The plain call is the durable one: when it returns, the event survives a power cut.
    let placed = vec![event("OrderPlaced", r#"{"items":3}"#)?];
    match store.append(&order, ExpectedVersion::NoStream, placed) {
        Ok(receipt) => println!("placed: sequence {}", receipt.sequence_first),
        // The second run on the same folder meets its own order.
        Err(error) if error.kind() == ErrorKind::Conflict => println!("not placed again: {error}"),
        Err(error) => return Err(error),
    }

    // Two streams, one commit: both events are there, or neither. The key makes it safe to send twice.
    let pay = || -> Result<Commit> {
        Ok(Commit::new()
            .append(&order, ExpectedVersion::StreamExists, vec![event("OrderPaid", r#"{"cents":1990}"#)?])
            .append(&StreamId::new("drawer-1")?, ExpectedVersion::Any, vec![event("CashIn", r#"{"cents":1990}"#)?])
            .idempotency_key("order-1/pay"))
    };
    let first = store.commit(pay()?)?;
    let again = store.commit(pay()?)?;
    println!("paid: sequences {} and {}", first.sequence_first, first.sequence_last);
    println!("paid again: is_repeat {}, sequence {}", again.is_repeat, again.sequence_first);
    store.close()
}

fn read(folder: &Path) -> Result<()> {
    let store = Store::open(folder, Options::new())?; // Opening is recovering.
    let report = store.recovery_report();
    println!(
        "reopened: closed cleanly {}, {} bytes of the log read, {} events replayed",
        report.was_closed_cleanly, report.bytes_read, report.events_replayed
    );
    println!("all, forwards:");
    for event in store.read_all(Sequence::FIRST..) {
        let event = event?;
        println!("  {} {} v{} {}", event.sequence, event.stream, event.version, event.event_type);
    }
    println!("order-1, backwards:");
    for event in store.read_stream(&StreamId::new("order-1")?, ..).rev() {
        let event = event?;
        println!("  v{} {} {}", event.version, event.event_type, String::from_utf8_lossy(&event.payload));
    }
    store.close()
}

/// The second run on the same folder meets its own order.
#[test]
fn it_works_twice_on_one_folder() -> Result<()> {
    let temporary = tempfile::tempdir().map_err(|error| bitacora::Error::from_io("make a temporary folder", error))?;
    let folder = temporary.path().join("till-data");
    for _ in 0..2 {
        write(&folder)?;
        read(&folder)?;
    }
    Ok(())
}
