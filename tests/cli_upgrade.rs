//! `bitacora upgrade`: nothing to do for a store of the newest format, no way for one of a newer, and an older index is made anew.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;
use std::io::Write;

use command::{Place, Silent, content, line, order_of, values};
use serde_json::Value;

fn filled() -> Place {
    let place = Place::new();
    place.append(&(0..10).map(|number| line("s-1", number)).collect::<String>());
    place
}

#[test]
fn a_store_of_the_newest_format_stays_as_it_is() {
    let place = filled();
    let before = content(&place.store());
    let assert = place.command("upgrade", &["--json"]).assert().success().says_nothing();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert_eq!(order_of(text.trim_end()), ["store_id", "format_before", "format_after", "changed", "index"]);
    let document = values(text.as_bytes()).remove(0);
    assert_eq!((&document["format_before"], &document["format_after"]), (&1.into(), &1.into()));
    assert_eq!((&document["changed"], &document["index"]), (&false.into(), &Value::Null));
    let assert = place.command("upgrade", &[]).assert().success().says_nothing();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert!(text.contains("format_after\t1\nchanged\tfalse\nindex\tas it was\n"), "{text}");
    assert!(content(&place.store()) == before, "nothing was changed");
}

#[test]
fn a_store_of_a_newer_format_is_3_and_stays() {
    let place = filled();
    let path = place.store().join("identity");
    let mut identity = fs::read(&path).unwrap();
    identity[8] = 2;
    let checksum = crc32(&identity[..40]);
    identity[40..44].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, &identity).unwrap();
    let before = content(&place.store());
    let assert = place.command("upgrade", &[]).assert().code(3).stdout("");
    let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(error.contains("has format 2, this program knows up to 1: use a newer one"), "{error}");
    assert!(content(&place.store()) == before, "nothing was changed");
}

/// CRC-32, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn an_index_that_cannot_be_read_is_made_anew() {
    let place = filled();
    let index = place.store().join("index");
    let manifest = fs::read_to_string(index.join("CURRENT")).unwrap();
    fs::write(index.join(manifest.trim()), "garbage").unwrap();
    let document = place.document("upgrade", &[]);
    assert_eq!((&document["changed"], &document["index"]["events"]), (&true.into(), &10.into()));
    assert!(document["index"]["state_lost"].is_string(), "{document}");
    place.command("verify", &[]).assert().success();
    assert_eq!(place.document("upgrade", &[])["changed"], false);
    // One that is not there is made by the next open.
    fs::remove_dir_all(&index).unwrap();
    assert_eq!(place.document("upgrade", &[])["changed"], false);
}

#[test]
fn a_damaged_identity_is_4_a_missing_store_3_and_wrong_usage_2() {
    let place = filled();
    place.command("upgrade", &["surprise"]).assert().code(2);
    let path = place.store().join("identity");
    let mut identity = fs::read(&path).unwrap();
    identity[20] ^= 1;
    fs::write(&path, &identity).unwrap();
    place.command("upgrade", &[]).assert().code(4).stdout("");
    let missing = Place::new();
    missing.command("upgrade", &[]).assert().code(3).stdout("");
    assert!(!missing.store().exists());
}

#[test]
fn beside_a_writer_there_is_nothing_to_do() {
    let place = filled();
    let mut writer = place.process("append", &[]).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    input.write_all(line("s-1", 1).as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(writer.stdout.as_mut().unwrap()), &mut answer).unwrap();
    assert_eq!(place.document("upgrade", &[])["changed"], false);
    drop(input);
    assert!(writer.wait().unwrap().success());
}
