//! Opening what is no store, or a store that cannot be opened: each has its own error, and nothing is changed on disk.

#![cfg(feature = "rocksdb")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use bitacora::{CodecId, ErrorKind, EventType, ExpectedVersion, NewEvent, Options, Sequence, Store, StreamId};

fn options() -> Options {
    Options::new().segment_bytes(1024 * 1024)
}

fn append(store: &Store, count: u64, bytes: usize) {
    let stream = StreamId::new("a-1").unwrap();
    for _ in 0..count {
        let event = NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, vec![7; bytes]);
        store.append(&stream, ExpectedVersion::Any, vec![event]).unwrap();
    }
}

/// Every file below a folder with its bytes; the lock's text is not part of a store.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("LOCK") {
                found.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn refused(folder: &Path) -> (ErrorKind, String) {
    let before = contents(folder);
    let error = Store::open(folder, options()).unwrap_err();
    assert!(contents(folder) == before, "{error}: something was changed");
    (error.kind(), error.to_string())
}

#[test]
fn a_file_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    fs::write(&path, "mine").unwrap();
    let error = Store::open(&path, options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAStore, "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_folder_of_something_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("photo.jpg"), "mine").unwrap();
    let (kind, text) = refused(folder.path());
    assert_eq!(kind, ErrorKind::NotAStore);
    assert!(text.contains("photo.jpg"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "not even a lock file was made");
}

#[test]
fn a_folder_whose_parent_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::open(folder.path().join("a/b"), options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = Store::open_read_only(folder.path().join("a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_store_where_there_must_be_none() {
    let folder = tempfile::tempdir().unwrap();
    Store::create_new(folder.path().join("s"), options()).unwrap().close().unwrap();
    let error = Store::create_new(folder.path().join("s"), options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
}

#[test]
fn a_store_that_another_writes_to_names_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), options()).unwrap();
    let error = Store::open(folder.path(), options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    store.close().unwrap();
    Store::open(folder.path(), options()).unwrap();
}

#[test]
fn a_newer_format() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path(), options()).unwrap().close().unwrap();
    let path = folder.path().join("identity");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 200;
    let checksum = crc32fast::hash(&bytes[..40]);
    bytes[40..44].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let (kind, text) = refused(folder.path());
    assert_eq!(kind, ErrorKind::UnsupportedFormat);
    assert!(text.contains("format 200"), "{text}");
}

#[test]
fn a_damaged_identity() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path(), options()).unwrap().close().unwrap();
    let path = folder.path().join("identity");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(refused(folder.path()).0, ErrorKind::Corrupt);
    fs::remove_file(&path).unwrap();
    assert_ne!(refused(folder.path()).0, ErrorKind::Io);
}

#[test]
fn a_missing_segment_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), options()).unwrap();
    append(&store, 40, 100_000);
    store.close().unwrap();
    let mut segments: Vec<PathBuf> =
        fs::read_dir(folder.path().join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    segments.sort();
    assert!(segments.len() >= 4);
    for (number, segment) in segments.iter().enumerate() {
        let kept = folder.path().join("kept");
        fs::rename(segment, &kept).unwrap();
        let (kind, text) = refused(folder.path());
        assert_eq!(kind, ErrorKind::Corrupt, "segment {number}");
        assert!(text.contains("log/"), "{text}");
        fs::rename(&kept, segment).unwrap();
    }
    let store = Store::open(folder.path(), options()).unwrap();
    assert_eq!(store.last_sequence(), Sequence::new(40));
}

#[test]
fn a_log_that_is_gone_while_the_index_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), options()).unwrap();
    append(&store, 3, 10);
    store.close().unwrap();
    for entry in fs::read_dir(folder.path().join("log")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let (kind, text) = refused(folder.path());
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(text.contains("through sequence 3"), "{text}");
}
