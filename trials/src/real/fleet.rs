//! A child that tries to open stores when it is told to, with several threads at once.
//!
//! It is told `try NUMBER` and says `THREAD won SEQUENCE`, `THREAD locked` or `THREAD failed WHAT` for each of its threads; what was
//! won stays open until it is told `release`, which it answers with `released`. Who wins appends one event.

use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};

use bitacora::disk::OsDisk;
use bitacora::index::MemoryIndexProvider;
use bitacora::{
    CodecId, Environment, ErrorKind, EventType, ExpectedVersion, NewEvent, Options, Preallocation, Store, StreamId,
};

use super::day::say;

/// Threads of each child that try at once.
pub const THREADS: usize = 2;

/// The words that start such a child.
#[must_use]
pub fn words(folder: &Path) -> Vec<String> {
    vec!["fleet".to_owned(), folder.display().to_string()]
}

/// Runs such a child.
///
/// # Errors
/// The words are not those of one.
pub(super) fn child(words: &[String]) -> Result<ExitCode, String> {
    let [folder] = words else { return Err("fleet FOLDER".to_owned()) };
    let mut held: Vec<Store> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        match line.split_once(' ') {
            Some(("try", number)) => held.extend(attempt(&Path::new(folder).join(number))),
            _ => {
                for store in held.drain(..) {
                    store.close().map_err(|error| error.to_string())?;
                }
                say("released");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn attempt(path: &Path) -> Vec<Store> {
    let together = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    open(path, thread)
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("no panic in it")).collect()
    })
}

/// The lock is the store's own, on the real disk; the index is in memory, for it has no part in this.
fn open(path: &Path, thread: usize) -> Option<Store> {
    let environment = Environment::new(Arc::new(OsDisk), Arc::new(MemoryIndexProvider::default()));
    let options = Options::new().segment_bytes(4096).preallocation(Preallocation::Grow).background(false);
    let event = || NewEvent::new(EventType::new("Won").expect("a type's name"), CodecId::RAW, Vec::new());
    let stream = StreamId::new("races-1").expect("a stream's name");
    let opened = Store::open_in(&environment, path, options);
    let won = opened.and_then(|store| {
        let receipt = store.append(&stream, ExpectedVersion::Any, vec![event()])?;
        Ok((store, receipt.sequence_last))
    });
    match won {
        Ok((store, sequence)) => {
            say(&format!("{thread} won {sequence}"));
            Some(store)
        }
        Err(error) if error.kind() == ErrorKind::Locked => {
            say(&format!("{thread} locked"));
            None
        }
        Err(error) => {
            say(&format!("{thread} failed {error}"));
            None
        }
    }
}
