//! A projection: takings by day, made of events, kept in a file of its own, brought up to date while the till sells.
//!
//! `cargo run --example projection`
//!
//! The file holds the last sequence that is in it. It is written whole under another name and renamed, then the consumer
//! acknowledges; so after a crash at any moment an event may come again, and is known.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bitacora::{
    CodecId, Consumer, ConsumerOptions, Error, Event, EventType, ExpectedVersion, NewEvent, Options, Result, Sequence,
    Store, StreamId, SubscribeOptions,
};

/// Takings in cents, and the last event that is in them.
struct Takings {
    file: PathBuf,
    through: Sequence,
    cents: u64,
}

impl Takings {
    /// As they were kept; zero where they were not.
    fn load(file: PathBuf) -> Self {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0));
        let (through, cents) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Self { file, through: Sequence::new(through), cents }
    }

    fn apply(&mut self, event: &Event) {
        if event.sequence <= self.through {
            return;
        }
        self.through = event.sequence;
        let cents = event.payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        self.cents = self.cents.saturating_add(cents);
    }

    fn save(&self) -> Result<()> {
        let io = |source| Error::from_io(format!("write {}", self.file.display()), source);
        let temporary = self.file.with_extension("tmp");
        let mut file = fs::File::create(&temporary).map_err(io)?;
        write!(file, "{} {}", self.through.get(), self.cents).map_err(io)?;
        file.sync_all().map_err(io)?;
        fs::rename(&temporary, &self.file).map_err(io)
    }
}

fn sell(store: &Store, cents: u64) -> Result<()> {
    let sold = NewEvent::new(EventType::new("Sold")?, CodecId::RAW, cents.to_le_bytes().to_vec());
    store.append(&StreamId::new("till-1")?, ExpectedVersion::Any, vec![sold]).map(drop)
}

fn consumer(store: &Store) -> Result<Consumer> {
    let sales = SubscribeOptions::new().event_type(&EventType::new("Sold")?);
    store.consumer("takings", ConsumerOptions::new().subscribe(sales))
}

/// Takes in what comes, until there was nothing for a while.
fn follow(mut consumer: Consumer, takings: &mut Takings) -> Result<u64> {
    let mut events = 0;
    while let Some(event) = consumer.next_timeout(Duration::from_millis(100))? {
        takings.apply(&event);
        takings.save()?;
        consumer.acknowledge(event.sequence)?;
        events += 1;
    }
    consumer.close()?;
    Ok(events)
}

fn run(folder: &Path) -> Result<()> {
    for day in 1..=3u64 {
        let store = Store::open(folder.join("till-data"), Options::new())?;
        let mut takings = Takings::load(folder.join("takings"));
        let follower = consumer(&store)?;
        let events = std::thread::scope(|scope| {
            let following = scope.spawn(|| follow(follower, &mut takings));
            for sale in 1..=10 {
                sell(&store, sale * 100 * day)?;
            }
            following.join().unwrap_or(Ok(0))
        })?;
        println!("day {day}: {events} new events, {} cents through event {}", takings.cents, takings.through);
        store.close()?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("bitacora-projection-{}", std::process::id()));
    let io = |source| Error::from_io(format!("use {}", folder.display()), source);
    fs::create_dir(&folder).map_err(io)?;
    let outcome = run(&folder);
    fs::remove_dir_all(&folder).map_err(io)?;
    outcome
}

#[test]
fn the_takings_come_out_of_the_events() -> Result<()> {
    main()
}
