//! Running the command in tests, and reading what it prints.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

pub(crate) mod parked;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_bitacora");

/// A folder that is removed with this, and a store's place in it.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command with a verb on this store.
    pub(crate) fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg(verb).arg(self.store()).args(arguments);
        command
    }

    /// The same without a harness, to talk to while it runs.
    pub(crate) fn process(&self, verb: &str, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(PROGRAM);
        command.arg(verb).arg(self.store()).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Appends lines, which must all be taken; their acknowledgements.
    pub(crate) fn append(&self, lines: &str) -> Vec<Value> {
        let assert = self.command("append", &[]).write_stdin(lines).assert().success().says_nothing();
        values(&assert.get_output().stdout)
    }

    /// The JSON lines that a verb prints when all is well.
    pub(crate) fn read(&self, verb: &str, arguments: &[&str]) -> Vec<Value> {
        let assert = self.command(verb, &["--json"]).args(arguments).assert().success().says_nothing();
        values(&assert.get_output().stdout)
    }

    /// The one JSON document that a verb prints when all is well.
    pub(crate) fn document(&self, verb: &str, arguments: &[&str]) -> Value {
        let mut documents = self.read(verb, arguments);
        assert_eq!(documents.len(), 1, "one document");
        documents.remove(0)
    }
}

/// The command without a store.
pub(crate) fn bitacora(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    command
}

/// JSON, a document a line.
pub(crate) fn values(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// One field of each document, as integers.
pub(crate) fn numbers(documents: &[Value], field: &str) -> Vec<u64> {
    documents.iter().map(|document| document[field].as_u64().unwrap()).collect()
}

/// A plain line for a stream.
pub(crate) fn line(stream: &str, data: u64) -> String {
    format!("{{\"stream\":\"{stream}\",\"type\":\"Noted\",\"data\":{data}}}\n")
}

/// Every file below a folder with its bytes, by path.
pub(crate) fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
            found.insert(path, Vec::new());
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

/// Changes the first occurrence of `text` in the log, in a byte that is not its last.
pub(crate) fn damage(store: &Path, text: &str) {
    for entry in std::fs::read_dir(store.join("log")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            bytes[at] ^= 0x20;
            std::fs::write(&path, bytes).unwrap();
            return;
        }
    }
    panic!("{text} is not in the log");
}

impl Place {
    /// Carries out commands, a JSON object each; the exit code and the outcomes.
    pub(crate) fn carry_out(&self, commands: &[Value], arguments: &[&str]) -> (i32, Vec<Value>) {
        let lines: String = commands.iter().map(|command| format!("{command}\n")).collect();
        let output = self.command("command", arguments).arg("--json").write_stdin(lines).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), values(&output.stdout))
    }

    /// Carries out commands that must all be done; their outcomes.
    pub(crate) fn done(&self, commands: &[Value]) -> Vec<Value> {
        let (code, outcomes) = self.carry_out(commands, &[]);
        assert_eq!(code, 0, "{outcomes:#?}");
        outcomes
    }

    /// A verb's exit code and the JSON lines that it printed; nothing may be wrong with the command itself.
    pub(crate) fn answer(&self, verb: &str, arguments: &[&str]) -> (i32, Vec<Value>) {
        let output = self.command(verb, &["--json"]).args(arguments).output().unwrap();
        assert_silent(&output.stderr);
        (output.status.code().unwrap(), values(&output.stdout))
    }
}

/// The same document with every time and every UUID masked, so that the rest can be compared exactly.
pub(crate) fn masked(document: &Value) -> Value {
    match document {
        Value::String(text) if is_time(text) => Value::String("TIME".to_owned()),
        Value::String(text) if is_uuid(text) => Value::String("UUID".to_owned()),
        Value::Array(items) => Value::Array(items.iter().map(masked).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), masked(value))).collect())
        }
        other => other.clone(),
    }
}

fn is_time(text: &str) -> bool {
    text.len() == "2026-01-01T00:00:00.000000Z".len() && text.starts_with("20") && text.ends_with('Z')
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// The fields of a JSON object in the order in which they stand on the line.
pub(crate) fn order_of(line: &str) -> Vec<String> {
    let fields: Vec<(String, usize)> = serde_json::from_str::<serde_json::Map<String, Value>>(line)
        .unwrap()
        .keys()
        .map(|name| (name.clone(), line.find(&format!("\"{name}\":")).unwrap()))
        .collect();
    let mut fields = fields;
    fields.sort_by_key(|(_, place)| *place);
    fields.into_iter().map(|(name, _)| name).collect()
}

/// A text whose ids, digests and times are masked.
pub(crate) fn masked_text(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-:.".contains(character);
    let mask = |word: &str| {
        let end = word.trim_end_matches([':', '.']);
        let (word, behind) = word.split_at(end.len());
        let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let shown = match word.len() {
            36 if is_hex && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]) => "UUID".to_owned(),
            64 if is_hex => "DIGEST".to_owned(),
            27 if word.starts_with("20") && word.ends_with('Z') => "TIME".to_owned(),
            _ => word.to_owned(),
        };
        shown + behind
    };
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let word = rest[start..].split(|character| !is_part(character)).next().unwrap();
        shown.push_str(&rest[..start]);
        shown.push_str(&mask(word));
        rest = &rest[start + word.len()..];
    }
    shown + rest
}

/// One line says what went wrong, and at most one more what to do next; the first one.
#[track_caller]
pub(crate) fn error_line(told: &str) -> &str {
    let lines: Vec<&str> = told.lines().filter(|line| !is_progress(line)).collect();
    assert!(lines.len() <= 2 && lines[0].starts_with("error: "), "{told}");
    assert!(lines.len() == 1 || lines[1].starts_with("hint: "), "{told}");
    lines[0]
}

/// Whether a line on standard error tells how far a verb is: from the second on, so on any machine that is busy.
pub(crate) fn is_progress(line: &str) -> bool {
    line.contains("/s, ") || line.ends_with("/s")
}

fn assert_silent(stderr: &[u8]) {
    let told = String::from_utf8_lossy(stderr);
    assert!(told.lines().all(is_progress), "{told}");
}

/// What goes well says nothing.
pub(crate) trait Silent: Sized {
    /// Nothing stands on standard error, but how far the verb was.
    fn says_nothing(self) -> Self;
}

impl Silent for Assert {
    fn says_nothing(self) -> Self {
        assert_silent(&self.get_output().stderr);
        self
    }
}

/// The verbs that the command's help lists.
pub(crate) fn verbs() -> Vec<String> {
    let assert = bitacora(["--help"]).assert().success();
    let help = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    // What a verb is for may go on in lines that are indented further.
    let named = listed.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    named.filter(|verb| *verb != "help").map(str::to_owned).collect()
}
