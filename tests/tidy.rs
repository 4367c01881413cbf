//! Style rules that no lint can express, as tests over the source tree.
//!
//! Each rule is a pure function from a file to what is wrong with it. One test walks the tree and shows all that
//! every rule finds; a second per rule shows that the rule can fail. The rules see a file through a small scanner
//! that knows comments, strings and code apart, so that a word in a text is no use of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

#[path = "tidy/scan.rs"]
mod scan;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use scan::{Kind, Token, code, scan, test_lines};

/// The layers, from the ground up: a module uses only those that stand above it in this list.
const LAYERS: &[&str] = &[
    "sabotage",
    "error",
    "limits",
    "types",
    "sync",
    "measure",
    "clock",
    "codec",
    "money",
    "disk",
    "format",
    "log",
    "index",
    "snapshot",
    "recovery",
    "store",
    "check_disk",
    "aggregate",
    "saga",
    "wallet",
    "payment",
    "service",
    "internals",
];

/// An error names the places it speaks of, and a place that is refused is an error: the one loop that is allowed.
const LAYERS_MUTUAL: &[(&str, &str)] = &[("error", "types")];

/// Code lines of a file under `src`, without its tests: more than that is two subjects.
const FILE_LINES_MAX: usize = 600;

/// Where `unsafe` may stand: the module that maps memory, the border to C, and programs of the benches.
const UNSAFE_FILES: &[&str] = &[
    "src/disk/map.rs",
    "benches/src/bin/allocations.rs",
    "benches/src/peers/lmdb.rs",
    "capi/src/code.rs",
    "capi/src/events.rs",
    "capi/src/store.rs",
    "capi/src/values.rs",
    "capi/src/wallets.rs",
];

/// Where bincode may be named: the codec, so that it can be replaced in one place.
const BINCODE_FILES: &[&str] = &["src/codec.rs"];

/// The product's name, the one word that is not ASCII, and only where it is introduced.
const NAME: &str = "Bit\u{e1}cora";
const NAME_FILES: &[&str] = &["src/lib.rs"];

struct Source {
    /// Relative to the root, with forward slashes.
    path: String,
    text: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

type Rule = fn(&Source) -> Vec<Finding>;

const RULES: &[Rule] = &[
    layers_in_order,
    files_are_short,
    ascii_only,
    unsafe_in_its_place,
    bincode_in_its_place,
    no_leftovers,
    no_sleep,
    headed,
    errors_have_kinds,
];

#[test]
fn the_tree_is_tidy() {
    let sources = sources();
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the walk must find the crate's root");
    let findings: Vec<String> = sources
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)))
        .map(|finding| finding.to_string())
        .collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn every_module_of_the_crate_has_a_layer() {
    let root = sources().into_iter().find(|source| source.path == "src/lib.rs").unwrap();
    for name in modules(&root.text) {
        assert!(name == "docs" || LAYERS.contains(&name.as_str()), "the module `{name}` has no place in LAYERS");
    }
    assert_eq!(modules("mod a;\npub mod b;\npub(crate) mod c;\nmod d { }\n// mod e;\n"), ["a", "b", "c"]);
}

/// An example that nobody runs rots.
#[test]
fn every_example_is_run_as_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let sections: Vec<&str> = manifest.split("\n[").collect();
    let is_run = |name: &str| {
        let named = |section: &&&str| section.contains(&format!("name = \"{name}\"\n"));
        sections
            .iter()
            .filter(|section| section.starts_with("[example]]"))
            .any(|section| named(&section) && section.contains("\ntest = true"))
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("examples")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().join("main.rs").exists() || name.ends_with(".rs") {
            names.push(name.trim_end_matches(".rs").to_owned());
        }
    }
    assert!(names.len() >= 8, "{names:?}");
    let not_run: Vec<_> = names.iter().filter(|name| !is_run(name)).collect();
    assert!(not_run.is_empty(), "in Cargo.toml an example has `test = true`, and a test: {not_run:?}");
    let has_test = |source: &&Source| source.path.starts_with("examples/") && source.text.contains("#[test]");
    assert_eq!(sources().iter().filter(has_test).count(), names.len());
}

/// A name in a table of tests is a promise; a test that was renamed breaks it.
#[test]
fn every_test_that_the_book_names_on_recovery_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("src/docs/recovery.md")).unwrap();
    let sources = sources();
    let named = test_names(&page);
    assert!(named.len() > 40, "{named:?}");
    let is_there = |name: &str| sources.iter().any(|source| source.text.contains(&format!("fn {name}()")));
    let missing: Vec<_> = named.into_iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "the page names tests that there are not: {missing:?}");
    assert_eq!(test_names("`a_b_c_d` `a_b_c` `a::b_c_d_e()` `A_B_C_D`"), ["a_b_c_d"]);
}

/// What is set as code and can only be a test's name: small letters, and at least three underscores.
fn test_names(page: &str) -> Vec<&str> {
    let is_name = |text: &&str| {
        let is_word =
            |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
        text.chars().all(is_word) && text.matches('_').count() >= 3
    };
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_name).collect()
}

fn sources() -> Vec<Source> {
    fn walk(root: &Path, directory: &Path, found: &mut Vec<Source>) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                // Build folders of fuzz targets and the like.
                if path.file_name().is_some_and(|name| name != "target") {
                    walk(root, &path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source { path: relative, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for part in ["src", "tests", "benches", "capi", "examples", "fuzz"] {
        walk(root, &root.join(part), &mut found);
    }
    found
}

fn is_test_file(path: &str) -> bool {
    !path.starts_with("src/") || path.ends_with("tests.rs") || path.contains("/tests/")
}

fn modules(text: &str) -> Vec<String> {
    let tokens = code(text);
    let declares = |window: &&[Token<'_>]| window[0].is("mod") && window[1].kind == Kind::Word && window[2].is(";");
    tokens.windows(3).filter(declares).map(|window| window[1].text.to_owned()).collect()
}

fn finding(source: &Source, line: usize, what: impl Into<String>) -> Finding {
    Finding { path: source.path.clone(), line, what: what.into() }
}

// The rules.

/// The module path of a file under `src`: `src/store/commit.rs` is `store`, `commit`.
fn module_path(path: &str) -> Option<Vec<&str>> {
    let inner = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    if inner == "lib" || inner.starts_with("bin/") || inner.starts_with("docs/") || inner == "docs" {
        return None;
    }
    let mut parts: Vec<&str> = inner.split('/').collect();
    if parts.last() == Some(&"mod") {
        parts.pop();
    }
    Some(parts)
}

fn layers_in_order(source: &Source) -> Vec<Finding> {
    let Some(path) = module_path(&source.path) else { return Vec::new() };
    let tokens = code(&source.text);
    let own = path[0];
    let mut findings = Vec::new();
    // Inline modules deepen what `super` climbs from; other braces do not.
    let mut braces: Vec<bool> = Vec::new();
    for at in 0..tokens.len() {
        let token = tokens[at];
        let before = |back: usize| at.checked_sub(back).map_or("", |index| tokens[index].text);
        if token.is("{") {
            braces.push(before(2) == "mod");
        } else if token.is("}") {
            braces.pop();
        } else if token.is("crate") && tokens.get(at + 1).is_some_and(|next| next.is("::")) {
            for (name, line) in first_names(&tokens[at + 2..]) {
                findings.extend(check_use(source, own, name, line));
            }
        } else if token.is("super") && before(1) != "::" {
            let depth = path.len() + braces.iter().filter(|is_module| **is_module).count();
            let mut climbed = 0;
            let mut next = at;
            while tokens.get(next).is_some_and(|token| token.is("super")) {
                climbed += 1;
                next += if tokens.get(next + 1).is_some_and(|token| token.is("::")) { 2 } else { 1 };
            }
            if climbed >= depth {
                for (name, line) in first_names(&tokens[next..]) {
                    findings.extend(check_use(source, own, name, line));
                }
            }
        }
    }
    findings
}

/// The names right behind `crate::`: one, or those of a group in braces.
fn first_names<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, usize)> {
    let Some(first) = tokens.first() else { return Vec::new() };
    if !first.is("{") {
        return vec![(first.text, first.line)];
    }
    let (mut names, mut depth, mut starts) = (Vec::new(), 0usize, false);
    for token in tokens {
        if token.is("{") {
            depth += 1;
            starts = depth == 1;
        } else if token.is("}") {
            depth -= 1;
            if depth == 0 {
                break;
            }
        } else if token.is(",") {
            starts = depth == 1;
        } else if starts {
            names.push((token.text, token.line));
            starts = false;
        }
    }
    names
}

/// What the crate's root re-exports: each name with the module that it comes from.
static FACADE: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    exports(&fs::read_to_string(root).unwrap())
});

fn exports(text: &str) -> BTreeMap<String, String> {
    let tokens = code(text);
    let mut exports = BTreeMap::new();
    for (at, window) in tokens.windows(4).enumerate() {
        if !(window[0].is("pub") && window[1].is("use") && window[3].is("::")) {
            continue;
        }
        let names = tokens[at + 4..].iter().take_while(|token| !token.is(";"));
        let words = names.filter(|token| token.kind == Kind::Word);
        exports.extend(words.map(|name| (name.text.to_owned(), window[2].text.to_owned())));
    }
    exports
}

fn check_use(source: &Source, own: &str, used: &str, line: usize) -> Option<Finding> {
    let rank = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let mutual = |(a, b): &(&str, &str)| (*a == own && *b == used) || (*b == own && *a == used);
    if own == used || used == "self" || LAYERS_MUTUAL.iter().any(mutual) {
        return None;
    }
    // A name that the crate's root re-exports belongs to the module that defines it.
    let layer = FACADE.get(used).map_or(used, String::as_str);
    match (rank(own), rank(layer)) {
        (None, _) => Some(finding(source, line, format!("the module `{own}` has no place in LAYERS"))),
        (_, None) => Some(finding(source, line, format!("`crate::{used}` is no layer, nor re-exported from one"))),
        (Some(from), Some(to)) if to > from => {
            Some(finding(source, line, format!("`{own}` uses `{layer}`, which stands below it")))
        }
        _ => None,
    }
}

fn files_are_short(source: &Source) -> Vec<Finding> {
    if is_test_file(&source.path) {
        return Vec::new();
    }
    let lines = source.text.lines().count();
    let in_tests: usize = test_lines(&source.text).iter().map(|(first, last)| last - first + 1).sum();
    if lines - in_tests <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![finding(source, lines, format!("{} lines without tests, at most {FILE_LINES_MAX}", lines - in_tests))]
}

fn ascii_only(source: &Source) -> Vec<Finding> {
    let ranges = test_lines(&source.text);
    let mut findings = Vec::new();
    for token in scan(&source.text) {
        // What tests feed in may be anything, so long as it is data.
        let in_test =
            is_test_file(&source.path) || ranges.iter().any(|(first, last)| (*first..=*last).contains(&token.line));
        if token.kind == Kind::Text && in_test {
            continue;
        }
        let named = token.kind == Kind::Comment && NAME_FILES.contains(&source.path.as_str());
        let rest = if named { token.text.replace(NAME, "") } else { token.text.to_owned() };
        if !rest.is_ascii() {
            findings.push(finding(source, token.line, "not ASCII"));
        }
    }
    findings
}

fn unsafe_in_its_place(source: &Source) -> Vec<Finding> {
    word_in_its_place(source, "unsafe", UNSAFE_FILES)
}

fn bincode_in_its_place(source: &Source) -> Vec<Finding> {
    word_in_its_place(source, "bincode", BINCODE_FILES)
}

fn word_in_its_place(source: &Source, word: &str, files: &[&str]) -> Vec<Finding> {
    if files.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let tokens = code(&source.text);
    let misplaced = tokens.iter().filter(|token| token.is(word));
    misplaced.map(|token| finding(source, token.line, format!("`{word}` belongs in {}", files.join(", ")))).collect()
}

fn no_leftovers(source: &Source) -> Vec<Finding> {
    const MACROS: &[&str] = &["dbg", "todo", "unimplemented"];
    // In halves, so that this file is not its own finding.
    let marks = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO")];
    let mut findings = Vec::new();
    let tokens = code(&source.text);
    for window in tokens.windows(2) {
        if MACROS.iter().any(|name| window[0].is(name)) && window[1].is("!") {
            findings.push(finding(source, window[0].line, format!("`{}!` is a leftover", window[0].text)));
        }
        if window[0].is("[") && window[1].is("ignore") {
            findings.push(finding(source, window[0].line, "an ignored test tests nothing"));
        }
    }
    for token in scan(&source.text) {
        let words = token.text.split(|c: char| !c.is_ascii_alphanumeric());
        if token.kind != Kind::Text && words.into_iter().any(|word| marks.contains(&word)) {
            findings.push(finding(source, token.line, "a mark of unfinished work"));
        }
    }
    findings
}

fn no_sleep(source: &Source) -> Vec<Finding> {
    let tokens = code(&source.text);
    let mut findings = Vec::new();
    for (at, window) in tokens.windows(2).enumerate() {
        if !(window[0].is("thread") && window[1].is("::")) {
            continue;
        }
        let names = first_names(&tokens[at + 2..]);
        let sleeps = names.into_iter().filter(|(name, _)| *name == "sleep");
        findings.extend(sleeps.map(|(_, line)| finding(source, line, "sleeping; wait on what changes, with a bound")));
    }
    findings
}

fn headed(source: &Source) -> Vec<Finding> {
    let is_inner_test = source.path.starts_with("src/") && is_test_file(&source.path);
    if is_inner_test || source.text.starts_with("//!") || source.text.starts_with("#!") {
        return Vec::new();
    }
    vec![finding(source, 1, "a file begins by saying what it is for (`//!`)")]
}

/// The kinds of errors, as `src/error.rs` has them.
static KINDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error.rs")).unwrap();
    let body = text.split_once("pub enum ErrorKind {").unwrap().1.split_once("\n}").unwrap().0.to_owned();
    let names = body.lines().filter_map(|line| line.trim().strip_suffix(','));
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_alphabetic())).map(str::to_owned).collect()
});

/// That there is a section `# Errors` where a public function can fail is clippy's `missing_errors_doc`; this says what is in it where
/// it fails with this crate's error: kinds, another item whose errors these are, or the caller's own.
fn errors_have_kinds(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("src/") || is_test_file(&source.path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    for (number, _) in lines.iter().enumerate().filter(|(_, line)| **line == "/// # Errors") {
        let docs: Vec<&str> = lines[number + 1..].iter().copied().take_while(|line| line.starts_with("///")).collect();
        let behind = lines[number + 1 + docs.len()..].iter().skip_while(|line| line.starts_with("#["));
        let signature: Vec<&str> = behind.copied().take_while(|line| !line.starts_with('}')).take(12).collect();
        let signature = signature.join(" ");
        let signature = signature.split(['{', ';']).next().unwrap_or_default();
        let is_ours = signature.contains("-> Result<") && !signature.contains(", String>");
        if !signature.starts_with("pub fn ") || !is_ours {
            continue;
        }
        let section = docs.into_iter().take_while(|line| !line.starts_with("/// # "));
        let text = section.collect::<Vec<_>>().join(" ");
        let has_kind = KINDS.iter().any(|kind| text.contains(&format!("`{kind}`")));
        let refers = text.contains("[`") || text.contains(" says") || text.contains(" say.");
        if !has_kind && !refers {
            findings.push(finding(source, number + 1, "a section `# Errors` names kinds, or whose errors they are"));
        }
    }
    findings
}

// Each rule can fail, and does not fail on what is allowed.

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

#[track_caller]
fn assert_lines(rule: Rule, path: &str, text: &str, lines: &[usize]) {
    let mut found: Vec<usize> = rule(&source(path, text)).into_iter().map(|finding| finding.line).collect();
    found.dedup();
    assert_eq!(found, lines, "{path}: {text}");
}

#[test]
fn a_use_of_a_lower_layer_is_found() {
    let rule = layers_in_order as Rule;
    assert_lines(rule, "src/types.rs", "use crate::store::Store;", &[1]);
    assert_lines(
        rule,
        "src/types.rs",
        "use crate::{\n    limits,\n    store::{Store, Options},\n    wallet,\n};",
        &[3, 4],
    );
    assert_lines(rule, "src/log/queue.rs", "fn f() { crate::wallet::go() }", &[1]);
    assert_lines(rule, "src/log/queue.rs", "use super::super::store::Store;", &[1]);
    assert_lines(rule, "src/types.rs", "use super::store::Store;", &[1]);
    assert_lines(rule, "src/types.rs", "#[cfg(test)]\nmod tests {\n    use super::super::store::Store;\n}", &[3]);
    assert_lines(rule, "src/types.rs", "#[cfg(test)]\nmod tests {\n    use crate::store::Store;\n}", &[3]);
    assert_lines(rule, "src/types.rs", "use crate::Store;", &[1]);
    assert_lines(rule, "src/wallet/mod.rs", "use crate::Nowhere;", &[1]);
    assert_lines(rule, "src/nowhere.rs", "use crate::types::Sequence;", &[1]);
}

#[test]
fn a_use_of_a_higher_layer_is_fine() {
    let rule = layers_in_order as Rule;
    assert_lines(rule, "src/store/mod.rs", "use crate::{error::Result, types::Event};\nuse crate::index;", &[]);
    assert_lines(rule, "src/error.rs", "use crate::types::Sequence;", &[]);
    assert_lines(rule, "src/wallet/mod.rs", "use crate::{Error, Store};", &[]);
    assert_lines(rule, "src/store/mod.rs", "use crate::Store;", &[]);
    assert_lines(rule, "src/types.rs", "//! See [`crate::store`].\nconst A: &str = \"crate::store\";", &[]);
    assert_lines(rule, "src/log/queue.rs", "use super::roll;\nmod tests { use super::super::writer; }", &[]);
    assert_lines(rule, "src/lib.rs", "pub use crate::store::Store;", &[]);
    assert_lines(rule, "src/bin/bitacora/main.rs", "use crate::output;", &[]);
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let rule = files_are_short as Rule;
    let lines = "x();\n".repeat(FILE_LINES_MAX);
    assert_lines(rule, "src/a.rs", &lines, &[]);
    assert_lines(rule, "src/a.rs", &format!("{lines}y();\n"), &[FILE_LINES_MAX + 1]);
    assert_lines(rule, "src/a.rs", &format!("{lines}#[cfg(test)]\nmod tests {{\n    a {{ }}\n}}\n"), &[]);
    assert_lines(rule, "src/a.rs", &format!("{lines}#[cfg(test)]\nfn help() {{\n}}\n"), &[FILE_LINES_MAX + 3]);
    assert_lines(rule, "src/a/tests.rs", &format!("{lines}y();\n"), &[]);
}

#[test]
fn what_is_not_ascii_is_found_outside_test_data() {
    let rule = ascii_only as Rule;
    assert_lines(rule, "src/a.rs", "// caf\u{e9}", &[1]);
    assert_lines(rule, "src/a.rs", "\nlet a = \"caf\u{e9}\";", &[2]);
    assert_lines(rule, "src/a.rs", "#[cfg(test)]\nmod tests {\n    // caf\u{e9}\n    f(\"caf\u{e9}\");\n}", &[3]);
    assert_lines(rule, "tests/a.rs", "f(\"caf\u{e9}\");", &[]);
    assert_lines(rule, "src/lib.rs", "//! Bit\u{e1}cora.", &[]);
    assert_lines(rule, "src/a.rs", "//! Bit\u{e1}cora.", &[1]);
}

#[test]
fn unsafe_and_bincode_are_found_outside_their_places() {
    assert_lines(unsafe_in_its_place, "src/a.rs", "fn f() { unsafe { g() } }", &[1]);
    assert_lines(unsafe_in_its_place, "src/disk/map.rs", "fn f() { unsafe { g() } }", &[]);
    assert_lines(unsafe_in_its_place, "src/a.rs", "#![deny(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";", &[]);
    assert_lines(bincode_in_its_place, "src/a.rs", "\nuse bincode::config;", &[2]);
    assert_lines(bincode_in_its_place, "src/codec.rs", "use bincode::config;", &[]);
    assert_lines(bincode_in_its_place, "src/a.rs", "// As bincode does.\nlet a = CodecId::BINCODE;", &[]);
}

#[test]
fn leftovers_are_found() {
    let rule = no_leftovers as Rule;
    assert_lines(rule, "src/a.rs", "fn f() {\n    dbg!(1);\n    todo!()\n}", &[2, 3]);
    assert_lines(rule, "tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() { unimplemented!() }", &[2, 3]);
    assert_lines(rule, "src/a.rs", concat!("f(); // FIX", "ME: later\n/* XX", "X */"), &[1, 2]);
    assert_lines(rule, "src/a.rs", "// Nothing to do, and nothing to ignore.\nlet a = \"todo!\";", &[]);
}

#[test]
fn sleeping_is_found() {
    assert_lines(no_sleep, "tests/a.rs", "std::thread::sleep(second);", &[1]);
    assert_lines(no_sleep, "src/a.rs", "use std::thread::sleep;\nuse std::thread::{self,\n    sleep};", &[1, 3]);
    assert_lines(no_sleep, "src/a.rs", "// No thread::sleep.\nchores.sleep(); thread::yield_now();", &[]);
}

#[test]
fn a_file_without_a_header_is_found() {
    assert_lines(headed, "src/a.rs", "use std::fs;", &[1]);
    assert_lines(headed, "src/a.rs", "//! What it is for.", &[]);
}

#[test]
fn errors_without_kinds_are_found() {
    let rule = errors_have_kinds as Rule;
    assert!(KINDS.len() >= 20 && KINDS.iter().any(|kind| kind == "Corrupt"), "{:?}", *KINDS);
    let function = |docs: &str, signature: &str| format!("/// Does it.\n///\n/// # Errors\n{docs}\n{signature} {{}}");
    assert_lines(rule, "src/a.rs", &function("/// When it fails.", "pub fn a() -> Result<()>"), &[3]);
    assert_lines(
        rule,
        "src/a.rs",
        &function("/// Some.\n///\n/// # Panics\n/// `Io`.", "pub fn a() -> Result<u8>"),
        &[3],
    );
    assert_lines(rule, "src/a.rs", &function("/// `Locked`: by another.\n/// `Io`.", "pub fn a() -> Result<()>"), &[]);
    assert_lines(rule, "src/a.rs", &function("/// As [`b`].", "#[must_use]\npub fn a() -> Result<()>"), &[]);
    assert_lines(rule, "src/a.rs", &function("/// The system's.", "pub fn a() -> io::Result<()>"), &[]);
    assert_lines(rule, "src/a.rs", &function("/// The rule.", "pub fn a() -> Result<(), String>"), &[]);
    assert_lines(rule, "src/a.rs", &function("/// Some.", "pub(crate) fn a() -> Result<()>"), &[]);
}
