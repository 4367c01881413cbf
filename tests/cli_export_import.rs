//! `bitacora export` writes a store as lines, and `bitacora import` makes the same store of them, or says which line is wrong.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
use command::{PROGRAM, Place, Silent, bitacora, content, damage, line, order_of, values};
use serde_json::{Value, json};

/// The store as lines.
fn exported(place: &Place, arguments: &[&str]) -> Vec<u8> {
    place.command("export", arguments).assert().success().says_nothing().get_output().stdout.clone()
}

/// Imports lines into the folder beside the store; the exit code, what was printed, and the error.
fn import(place: &Place, name: &str, lines: &[u8]) -> (i32, Vec<u8>, String) {
    let to = place.join(name);
    let output = bitacora(["import", to.to_str().unwrap(), "--json"]).write_stdin(lines).output().unwrap();
    (output.status.code().unwrap(), output.stdout, String::from_utf8(output.stderr).unwrap())
}

/// An import that must be fine; its document.
fn imported(place: &Place, name: &str, lines: &[u8]) -> Value {
    let (code, printed, error) = import(place, name, lines);
    assert_eq!((code, error.as_str()), (0, ""));
    values(&printed).remove(0)
}

/// What a verb printed, without the way a wallet was loaded: snapshots are not exported.
fn without_way(printed: &[u8]) -> Vec<Value> {
    let mut documents = values(printed);
    for fields in documents.iter_mut().filter_map(Value::as_object_mut) {
        fields.remove("loaded_from");
        fields.remove("events_replayed");
    }
    documents
}

/// The names beside the store.
fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.join("")).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A day with wallets, a payment, a key, and JSON that has white space in it.
fn filled() -> Place {
    let place = Place::new();
    place.done(&[
        json!({"command": "open", "command_id": "c1", "user_id": "ana", "currency": "EUR"}),
        json!({"command": "deposit", "command_id": "c2", "user_id": "ana", "amount": 5000, "currency": "EUR"}),
        json!({"command": "pay", "command_id": "c3", "payment_id": "p1", "user_id": "ana", "currency": "EUR",
               "wallet_amount": 700}),
    ]);
    place.append("{\"stream\":\"order-1\",\"type\":\"Placed\",\"data\":{\"items\": [1, 2.50]},\"key\":\"k1\",\"metadata\":{\"till\":\"4\"}}\n");
    place.append(&(0..20).map(|number| line(&format!("s-{}", number % 3), number)).collect::<String>());
    place
}

#[test]
fn an_import_is_the_same_store_and_its_export_the_same_bytes() {
    let place = filled();
    let before = content(&place.store().join("log"));
    let lines = exported(&place, &[]);
    assert!(content(&place.store().join("log")) == before, "the log is as it was");
    let file = place.join("store.jsonl");
    let report = place.document("export", &["--output", file.to_str().unwrap()]);
    assert!(fs::read(&file).unwrap() == lines);
    assert_eq!(report["bytes"], lines.len());
    let copy = place.join("copy");
    let (copy_name, file_name) = (copy.to_str().unwrap(), file.to_str().unwrap());
    let assert = bitacora(["import", copy_name, "--input", file_name, "--json"]).assert().success().says_nothing();
    let document = values(&assert.get_output().stdout).remove(0);
    assert_eq!(document["new"], true);
    for field in ["store_id", "first_sequence", "last_sequence", "merkle_root"] {
        assert_eq!(document[field], report[field], "{field}");
    }
    assert_eq!((&document["events_written"], &document["events_present"]), (&report["events"], &json!(0)));
    let again = bitacora(["export", copy_name]).assert().success().says_nothing();
    assert!(again.get_output().stdout == lines, "byte for byte");
    for (verb, arguments) in [("events", vec![]), ("wallet", vec!["ana"]), ("payment", vec!["p1"]), ("streams", vec![])]
    {
        let mut of_copy = vec![verb, copy_name];
        of_copy.extend(&arguments);
        let shown = bitacora(of_copy).arg("--json").assert().success().says_nothing().get_output().stdout.clone();
        let source = place.command(verb, &arguments).arg("--json").assert().success().get_output().stdout.clone();
        assert_eq!(without_way(&shown), without_way(&source), "{verb}");
    }
    bitacora(["verify", copy_name]).assert().success();
    // A command that was done is a repeat in the copy too.
    let repeat = json!({"command": "deposit", "command_id": "c2", "user_id": "ana", "amount": 5000, "currency": "EUR"});
    let assert = bitacora(["command", copy_name, "--json"]).write_stdin(format!("{repeat}\n")).assert().success();
    assert_eq!(values(&assert.get_output().stdout)[0]["repeat"], true);
    // With the backup's root.
    let (backup, to) = (place.join("backup"), place.store());
    let assert = bitacora(["backup", to.to_str().unwrap(), backup.to_str().unwrap(), "--json"]).assert().success();
    assert_eq!(values(&assert.get_output().stdout)[0]["merkle_root"], report["merkle_root"]);
    assert_eq!(names(&place), ["backup", "copy", "store", "store.jsonl"], "nothing else is left");
}

#[test]
fn the_lines_say_what_they_are() {
    let place = filled();
    let text = String::from_utf8(exported(&place, &[])).unwrap();
    let lines = values(text.as_bytes());
    assert_eq!(lines[0]["export"]["version"], 1);
    assert_eq!(lines[0]["export"]["first_sequence"], 1);
    let last = lines.last().unwrap();
    assert_eq!(last["end"]["commits"].as_u64().unwrap() + 2, lines.len() as u64);
    assert_eq!(last["end"]["merkle_root"].as_str().unwrap().len(), 64);
    let placed = text.lines().find(|line| line.contains("order-1")).unwrap();
    assert!(placed.contains(r#""data":{"items":[1,2.50]}"#), "as it was appended: {placed}");
    let commit = &serde_json::from_str::<Value>(placed).unwrap()["commit"];
    assert_eq!(
        order_of(&placed["{\"commit\":".len()..placed.len() - 1]),
        ["sequence", "time_micros", "key", "key_hash", "events", "crc32"]
    );
    assert_eq!(commit["key"], "k1");
    assert_eq!(commit["events"][0]["metadata"], json!({"pairs": [["till", "4"]]}));
    assert_eq!(commit["events"][0]["codec"], 2);
    // Bytes are base64.
    let wallet = text.lines().find(|line| line.contains("wallet-ana")).unwrap();
    assert!(wallet.contains("\"base64\":"), "{wallet}");
    // The text form of the documents.
    let file = place.join("file");
    let assert = place.command("export", &["--output", file.to_str().unwrap()]).assert().success();
    let printed = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let fields: Vec<&str> = printed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(fields, ["store_id", "first_sequence", "last_sequence", "commits", "events", "bytes", "merkle_root"]);
    let (to, file) = (place.join("copy"), file.to_str().unwrap().to_owned());
    let assert = bitacora(["import", to.to_str().unwrap(), "--input", &file]).assert().success();
    let printed = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let fields: Vec<&str> = printed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    let expected = ["store_id", "new", "first_sequence", "last_sequence", "commits_written", "events_written"];
    assert_eq!(fields, [expected.as_slice(), &["events_present", "merkle_root"]].concat());
}

#[test]
fn one_export_after_another_makes_the_whole() {
    let place = filled();
    let first = exported(&place, &[]);
    let document = imported(&place, "copy", &first);
    let last = document["last_sequence"].as_u64().unwrap();
    let from = (last + 1).to_string();
    let nothing = exported(&place, &["--from", &from]);
    assert_eq!(values(&nothing).len(), 2, "the first line and the last");
    assert_eq!(imported(&place, "copy", &nothing)["events_written"], 0);
    place.append(&(0..5).map(|number| line("later", number)).collect::<String>());
    let second = exported(&place, &["--from", &from]);
    assert_eq!(imported(&place, "copy", &second)["events_written"], 5);
    let again = imported(&place, "copy", &exported(&place, &[]));
    assert_eq!((&again["events_written"], &again["new"]), (&json!(0), &json!(false)));
    assert_eq!(again["events_present"].as_u64(), Some(last + 5));
    let part = exported(&place, &["--from", "2", "--to", "2"]);
    assert_eq!(values(&part).last().unwrap()["end"]["events"], 1);
    place.command("export", &["--from", &(last + 9).to_string()]).assert().code(2);
    place.command("export", &["--from", "5", "--to", "3"]).assert().code(2);
    // Without what is before, a part has no place.
    let (code, _, error) = import(&place, "elsewhere", &second);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("there is no store in") && !place.join("elsewhere").exists(), "{error}");
}

#[test]
fn beside_a_writer_everything_acknowledged_is_in_it() {
    let place = Place::new();
    let mut writer = place.process("append", &[]).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    let mut answers = BufReader::new(writer.stdout.take().unwrap()).lines();
    for number in 0..10 {
        input.write_all(line("s-1", number).as_bytes()).unwrap();
        answers.next().unwrap().unwrap();
        let lines = values(&exported(&place, &[]));
        assert_eq!(lines.last().unwrap()["end"]["last_sequence"].as_u64(), Some(number + 1));
    }
    // Nothing is imported into a store that is being written to.
    let (code, _, error) = import(&place, "store", &exported(&place, &[]));
    assert_eq!(code, 3, "{error}");
    drop(input);
    assert!(writer.wait().unwrap().success());
}

#[test]
fn a_line_that_is_wrong_is_named_and_no_store_is_made() {
    let place = filled();
    let lines = exported(&place, &[]);
    let text = String::from_utf8(lines.clone()).unwrap();
    let cut: usize = text.lines().take(4).map(|line| line.len() + 1).sum();
    let changed = text.replacen("\"items\":[1,", "\"items\":[7,", 1);
    let number = text.lines().position(|line| line.contains("order-1")).unwrap() + 1;
    for (input, place_of) in [
        (&text[..cut], "line 5: ".to_owned()),
        (&text[..cut + 9], "line 5: ".to_owned()),
        (changed.as_str(), format!("line {number}: ")),
        ("{}\n", "line 1: ".to_owned()),
        ("", "there is no line".to_owned()),
        (format!("{text}more\n").as_str(), format!("line {}: ", text.lines().count() + 1)),
    ] {
        let (code, printed, error) = import(&place, "copy", input.as_bytes());
        assert_eq!((code, printed.len()), (2, 0), "{error}");
        assert!(command::error_line(&error).starts_with(&format!("error: {place_of}")), "{error}");
        assert_eq!(names(&place), ["store"]);
    }
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    let (code, _, error) = import(&place, "copy", newer.as_bytes());
    assert_eq!(code, 3, "{error}");
    bitacora(["import", place.join("copy").to_str().unwrap(), "--input", "/no/such/file"]).assert().code(2);
    // In a store that is there, what stands before the line stays, and the import goes on.
    imported(&place, "copy", &exported(&place, &["--to", "2"]));
    let (code, _, error) = import(&place, "copy", changed.as_bytes());
    assert_eq!(code, 2, "{error}");
    let document = imported(&place, "copy", &lines);
    assert!(document["events_present"].as_u64().unwrap() > 2, "{document}");
    assert!(bitacora(["export", place.join("copy").to_str().unwrap()]).output().unwrap().stdout == lines);
}

#[test]
fn what_is_in_the_way_is_refused_and_left_alone() {
    let place = filled();
    let lines = exported(&place, &[]);
    let file = place.join("taken");
    fs::write(&file, "mine").unwrap();
    place.command("export", &["--output", file.to_str().unwrap()]).assert().code(1).stdout("");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    place.command("export", &["--output", place.join("none/file").to_str().unwrap()]).assert().code(3);
    let missing = Place::new();
    missing.command("export", &[]).assert().code(3).stdout("");
    assert!(!missing.store().exists());
    fs::create_dir(place.join("letters")).unwrap();
    fs::write(place.join("letters/letter"), "dear").unwrap();
    assert_eq!(import(&place, "letters", &lines).0, 3);
    assert_eq!(import(&place, "none/copy", &lines).0, 3);
    // Another store, and one that went another way.
    missing.append(&line("a", 1));
    let (code, _, error) = import(&missing, "store", &lines);
    assert_eq!(code, 1, "{error}");
    let first = exported(&place, &["--to", "2"]);
    let last = imported(&place, "copy", &first)["last_sequence"].as_u64().unwrap();
    let copy = place.join("copy");
    bitacora(["append", copy.to_str().unwrap()]).write_stdin(line("own", 1)).assert().success();
    let (code, _, error) = import(&place, "copy", &lines);
    assert_eq!(code, 1, "{error}");
    let place_of = format!("error: line {}: ", values(&first).len());
    let told = format!("another commit at sequence {}", last + 1);
    assert!(error.starts_with(&place_of) && error.contains(&told), "{error}");
    assert_eq!(names(&place), ["copy", "letters", "store", "taken"]);
}

#[test]
fn a_damaged_store_is_4_and_there_is_no_file() {
    let place = Place::new();
    place.append(
        "{\"stream\":\"a\",\"type\":\"b\",\"data\":\"first\"}\n{\"stream\":\"a\",\"type\":\"b\",\"data\":\"second\"}\n",
    );
    damage(&place.store(), "first");
    let file = place.join("file");
    let assert = place.command("export", &["--output", file.to_str().unwrap()]).assert().code(4).stdout("");
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("00000000000000000001.seg at offset"));
    assert_eq!(names(&place), ["store"]);
}

/// So many events that both take a while.
fn large(path: &Path) {
    let store = Store::open(path, Options::new()).unwrap();
    for number in 0..300u32 {
        let stream = StreamId::new(format!("s-{number}")).unwrap();
        let event = || NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, vec![7; 100]);
        store.append(&stream, ExpectedVersion::Any, (0..1000).map(|_| event()).collect()).unwrap();
    }
    store.close().unwrap();
}

/// Goal: Ctrl-C leaves nothing half done. Method: the signal is sent once something is there beside the place.
#[test]
fn an_interrupt_leaves_no_file_and_no_store() {
    let place = Place::new();
    large(&place.store());
    let interrupt = |arguments: &[&str]| {
        let mut child = std::process::Command::new(PROGRAM)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while !names(&place).iter().any(|name| name.contains(".partial-")) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{arguments:?} begins nothing");
            std::thread::yield_now();
        }
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}");
    };
    let (store, file, copy) = (place.store(), place.join("file"), place.join("copy"));
    let [store, file, copy] = [&store, &file, &copy].map(|path| path.to_str().unwrap());
    interrupt(&["export", store, "--output", file]);
    assert_eq!(names(&place), ["store"]);
    bitacora(["export", store, "--output", file]).assert().success();
    interrupt(&["import", copy, "--input", file]);
    assert_eq!(names(&place), ["file", "store"]);
}
