//! The table: runs the cases, each subject in turn, and prints a line as soon as it is known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cases::{CASES, Case, Metric, Prepared, Row, Scale, Target, Work};
use crate::child::{self, Job, Report, Task};
use crate::measure::median;
use crate::{opening, place};

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// How much.
    pub scale: Scale,
    /// Rounds that count; one more comes first and warms up.
    pub rounds: usize,
    /// Whether other stores take their turns too.
    pub has_peers: bool,
    /// Parts of cases' names; none: all.
    pub chosen: Vec<String>,
}

/// Another store, as far as the table knows it.
struct Column {
    name: String,
    note: String,
    has_group_commit: bool,
}

#[cfg(feature = "peers")]
fn peers(run: &Run) -> Vec<Column> {
    let all = if run.has_peers { crate::peers::all() } else { Vec::new() };
    let column = |peer: crate::peers::Peer| Column {
        name: peer.name.to_owned(),
        note: peer.note.to_owned(),
        has_group_commit: peer.has_group_commit,
    };
    all.into_iter().map(column).collect()
}

#[cfg(not(feature = "peers"))]
fn peers(run: &Run) -> Vec<Column> {
    assert!(!run.has_peers, "peers were not compiled in: --features peers");
    Vec::new()
}

/// Where everything of a run lies.
#[derive(Debug)]
pub(crate) struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { folder: place::folder() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a turn has its files that needs none of another's.
    fn turn(&self) -> PathBuf {
        self.folder.path().join("turn")
    }

    /// Removes what a turn has left, and waits for the disk.
    pub(crate) fn clear(&self) {
        if self.turn().exists() {
            std::fs::remove_dir_all(self.turn()).unwrap();
        }
        place::settle(self.folder.path());
    }

    /// Where a subject has what it is to read.
    fn prepared(&self, subject: &str, prepared: Prepared) -> PathBuf {
        self.folder.path().join(format!("{}{}", owner(subject).replace(' ', "-"), prepared.suffix()))
    }
}

/// The variants of one subject read the same files.
fn owner(subject: &str) -> &str {
    match subject {
        _ if subject.starts_with("floor") => "floor",
        _ if subject.starts_with("bitacora") => "bitacora",
        peer => peer,
    }
}

/// The reports of one case: of each subject those of its rounds, in order.
type Reports = BTreeMap<String, Vec<Report>>;

/// Runs the cases and prints the table. Returns whether every target was met.
#[must_use]
pub fn print(run: &Run) -> bool {
    let files = Files::new();
    let peers = peers(run);
    println!("{}; payloads of {} bytes", place::machine(files.folder.path()), crate::workload::PAYLOAD_BYTES);
    println!("over {} streams, medians of {} rounds.\n", crate::workload::STREAMS, run.rounds);
    let mut head = String::from("| case | floor | Bitacora | ratio | target | met | floor p50/p99 us | p50/p99 us |");
    let mut rule = String::from("|---|---:|---:|---:|---|---|---:|---:|");
    for peer in &peers {
        head += &format!(" {} |", peer.name);
        rule += "---:|";
    }
    println!("{head}\n{rule}");
    let (mut further, mut are_all_met) = (Vec::new(), true);
    for case in chosen(run) {
        let reports = measure(run, &files, &peers, case);
        for row in case.rows {
            are_all_met &= print_row(row, &reports, &peers);
        }
        further.extend(further_lines(case, &reports));
        drop_what_is_read_no_more(run, &files, case);
    }
    print_further(&further, &peers);
    are_all_met
}

/// The cases of a run.
pub(crate) fn chosen(run: &Run) -> impl Iterator<Item = &'static Case> {
    CASES.iter().filter(|case| is_chosen(run, case))
}

fn is_chosen(run: &Run, case: &Case) -> bool {
    let is_named = |text: &String| case.name.contains(text.as_str());
    (run.chosen.is_empty() || run.chosen.iter().any(is_named)) && (!case.is_full_only || run.scale == Scale::Full)
}

/// Every subject of a case, the floor first.
fn subjects(case: &Case, peers: &[Column]) -> Vec<String> {
    let mut names = Vec::new();
    if !matches!(case.work, Work::Streams(_) | Work::Wallet { .. }) {
        names.push("floor".to_owned());
    }
    names.push("bitacora".to_owned());
    names.extend(case.further.iter().map(|(name, _)| (*name).to_owned()));
    if case.is_for_peers {
        let has_many_writers = matches!(case.work, Work::Append(shape) if shape.writers > 1);
        let can = |peer: &&Column| peer.has_group_commit || !has_many_writers;
        names.extend(peers.iter().filter(can).map(|peer| peer.name.clone()));
    }
    names
}

/// Rounds of a case: what takes long and varies little has fewer.
fn rounds(run: &Run, case: &Case) -> usize {
    if matches!(case.work, Work::Load(_)) { run.rounds.min(2) } else { run.rounds }
}

fn measure(run: &Run, files: &Files, peers: &[Column], case: &Case) -> Reports {
    let mut reports = Reports::new();
    let mut subjects = subjects(case, peers);
    if let Some(prepared) = case.work.prepared() {
        subjects.retain(|subject| prepare(run, files, subject, prepared));
    }
    for round in 0..=rounds(run, case) {
        subjects.retain(|subject| {
            eprintln!("{} {round} {subject}", case.name);
            let Some(report) = turn(run, files, case, subject) else { return false };
            if round > 0 {
                reports.entry(subject.clone()).or_default().push(report);
            }
            true
        });
    }
    reports
}

/// One subject's turn. `None`: it cannot do that, or failed, and the table has a gap there.
fn turn(run: &Run, files: &Files, case: &Case, subject: &str) -> Option<Report> {
    let job = job_of(run, files, case, subject)?;
    let report = child::run(&job).inspect_err(|error| eprintln!("{error}")).ok().flatten();
    files.clear();
    report
}

/// What a subject is to do, in a folder of its own or in what was prepared for it. `None`: that could not be prepared.
pub(crate) fn job_of(run: &Run, files: &Files, case: &Case, subject: &str) -> Option<Job> {
    let folder = match case.work.prepared() {
        Some(prepared) if !prepare(run, files, subject, prepared) => return None,
        // Each turn opens what the kill left, and not what the turn before made of it. Other stores have too many files that
        // might be written to; they go on with what they have.
        Some(prepared @ Prepared::Killed(_)) if subject == "bitacora" => {
            opening::copy_store(&files.prepared(subject, prepared), &files.turn()).unwrap();
            place::settle(files.folder());
            files.turn()
        }
        Some(prepared @ Prepared::Wallets(_)) => files.prepared("bitacora", prepared),
        Some(prepared) => files.prepared(subject, prepared),
        None => {
            std::fs::create_dir_all(files.turn()).unwrap();
            files.turn()
        }
    };
    let task = Task::Case(case.name.to_owned());
    Some(Job { task, subject: subject.to_owned(), folder, scale: run.scale })
}

/// Makes what a subject is to read, once a run; whether that worked.
fn prepare(run: &Run, files: &Files, subject: &str, prepared: Prepared) -> bool {
    // The floor of wallets is a scan of the store itself.
    let subject = if matches!(prepared, Prepared::Wallets(_)) { "bitacora" } else { owner(subject) };
    let folder = files.prepared(subject, prepared);
    if folder.exists() {
        return true;
    }
    std::fs::create_dir_all(&folder).unwrap();
    eprintln!("prepare{} {subject}", prepared.suffix());
    let job = Job { task: Task::Prepare(prepared), subject: subject.to_owned(), folder, scale: run.scale };
    let is_there = child::run(&job).inspect_err(|error| eprintln!("{error}")).is_ok();
    place::settle(files.folder.path());
    is_there
}

/// Ten million events of every store at once are more than a disk may have room for.
fn drop_what_is_read_no_more(run: &Run, files: &Files, case: &Case) {
    let Some(prepared) = case.work.prepared() else { return };
    let later = CASES.iter().skip_while(|other| other.name != case.name).skip(1);
    if later.filter(|other| is_chosen(run, other)).any(|other| other.work.prepared() == Some(prepared)) {
        return;
    }
    for entry in std::fs::read_dir(files.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(&prepared.suffix()) {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
}

fn value(metric: Metric, subject: &str, report: &Report) -> f64 {
    let each = |total: f64| total / report.events.max(1) as f64;
    match metric {
        Metric::Rate => report.events as f64 / report.seconds,
        Metric::MedianMicros => report.p50_micros,
        Metric::Millis => report.seconds * 1_000.0,
        Metric::LogBytes if subject == "floor" => each(report.record_bytes as f64),
        Metric::LogBytes if report.log_bytes > 0 => each(report.log_bytes as f64),
        Metric::LogBytes => each(report.written_bytes as f64),
        Metric::Memory => report.peak_anonymous_bytes as f64 / f64::from(1024 * 1024),
        Metric::Cpu => each(report.cpu_micros as f64),
    }
}

fn shown(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Rate if value >= 1e6 => format!("{:.2} M/s", value / 1e6),
        Metric::Rate if value >= 1e5 => format!("{:.0} k/s", value / 1e3),
        Metric::Rate => format!("{:.1} k/s", value / 1e3),
        Metric::MedianMicros => format!("{value:.1} us"),
        Metric::Millis => format!("{value:.1} ms"),
        Metric::LogBytes => format!("{value:.0}"),
        Metric::Memory => format!("{value:.1}"),
        Metric::Cpu => format!("{value:.2} us"),
    }
}

fn median_of(reports: &Reports, subject: &str, of: impl Fn(&Report) -> f64) -> Option<f64> {
    reports.get(subject).map(|rounds| median(rounds.iter().map(of).collect()))
}

/// The median of the rounds' own ratios: floor and store of one round met the same moments.
fn ratio(reports: &Reports, of: impl Fn(&str, &Report) -> f64) -> Option<f64> {
    let (floors, stores) = (reports.get("floor")?, reports.get("bitacora")?);
    let ratios: Vec<f64> =
        floors.iter().zip(stores).map(|(floor, store)| of("bitacora", store) / of("floor", floor)).collect();
    (!ratios.is_empty()).then(|| median(ratios))
}

/// Prints a line; whether its targets were met.
fn print_row(row: &Row, reports: &Reports, peers: &[Column]) -> bool {
    let cell = |subject: &str| {
        let value = median_of(reports, subject, |report| value(row.metric, subject, report));
        value.map(|value| shown(row.metric, value)).unwrap_or_default()
    };
    let latency = |subject: &str| {
        if row.metric != Metric::Rate {
            return String::new();
        }
        let p50 = median_of(reports, subject, |report| report.p50_micros).filter(|p50| *p50 > 0.0);
        let p99 = median_of(reports, subject, |report| report.p99_micros);
        p50.zip(p99).map(|(p50, p99)| format!("{p50:.1}/{p99:.1}")).unwrap_or_default()
    };
    let ratio_shown = ratio(reports, |subject, report| value(row.metric, subject, report));
    let targets: Vec<String> = row.targets.iter().map(|target| wanted(row.metric, *target)).collect();
    let missed: Vec<String> = row.targets.iter().filter_map(|target| missed(row.metric, *target, reports)).collect();
    let met = if missed.is_empty() { "yes".to_owned() } else { format!("no: {}", missed.join(", ")) };
    let mut line = format!(
        "| {} | {} | {} | {} | {} | {met} | {} | {} |",
        row.title,
        cell("floor"),
        cell("bitacora"),
        ratio_shown.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        targets.join(", "),
        latency("floor"),
        latency("bitacora"),
    );
    for peer in peers {
        line += &format!(" {} |", cell(&peer.name));
    }
    println!("{line}");
    missed.is_empty()
}

fn wanted(metric: Metric, target: Target) -> String {
    match target {
        Target::RatioMin(ratio) => format!(">= {ratio} of the floor"),
        Target::RatioMax(ratio) => format!("<= {ratio} x the floor"),
        Target::Min(least) => format!(">= {}", shown(metric, least)),
        Target::Max(most) => format!("<= {}", shown(metric, most)),
        Target::P99RatioMax(ratio) => format!("p99 <= {ratio} x the floor's"),
        Target::P99Max(micros) => format!("p99 <= {micros} us"),
    }
}

/// What was missed, if it was; what was not measured is missed too.
fn missed(metric: Metric, target: Target, reports: &Reports) -> Option<String> {
    let store = || median_of(reports, "bitacora", |report| value(metric, "bitacora", report));
    let ratio = || ratio(reports, |subject, report| value(metric, subject, report));
    let p99 = || median_of(reports, "bitacora", |report| report.p99_micros);
    let (found, is_met): (Option<f64>, fn(f64, f64) -> bool) = match target {
        Target::RatioMin(_) => (ratio(), |found, wanted| found >= wanted),
        Target::RatioMax(_) => (ratio(), |found, wanted| found <= wanted),
        Target::Min(_) => (store(), |found, wanted| found >= wanted),
        Target::Max(_) => (store(), |found, wanted| found <= wanted),
        Target::P99RatioMax(_) => {
            (self::ratio(reports, |_, report| report.p99_micros), |found, wanted| found <= wanted)
        }
        Target::P99Max(_) => (p99(), |found, wanted| found <= wanted),
    };
    let (Target::RatioMin(wanted)
    | Target::RatioMax(wanted)
    | Target::Min(wanted)
    | Target::Max(wanted)
    | Target::P99RatioMax(wanted)
    | Target::P99Max(wanted)) = target;
    match found {
        None => Some("not measured".to_owned()),
        Some(found) if is_met(found, wanted) => None,
        Some(found) => Some(match target {
            Target::P99RatioMax(_) => format!("p99 {found:.2} x"),
            Target::P99Max(_) => format!("p99 {found:.0} us"),
            Target::RatioMin(_) | Target::RatioMax(_) => format!("{found:.2}"),
            Target::Min(_) | Target::Max(_) => shown(metric, found),
        }),
    }
}

/// The lines below the table: every subject of a case with all that its children counted.
fn further_lines(case: &Case, reports: &Reports) -> Vec<String> {
    let title = |subject: &str| {
        let found = case.further.iter().find(|(name, _)| *name == subject);
        found.map_or_else(|| subject.to_owned(), |(_, title)| (*title).to_owned())
    };
    let line = |subject: &String| {
        let of = |read: fn(&Report) -> f64| median_of(reports, subject, read).unwrap_or(0.0);
        let each = |total: fn(&Report) -> f64| {
            median_of(reports, subject, |report| total(report) / report.events.max(1) as f64).unwrap_or(0.0)
        };
        format!(
            "| {} | {} | {} | {:.1} | {:.1} | {:.0} | {:.2} | {:.0} | {:.0} | {:.1} |",
            case.name,
            title(subject),
            shown(Metric::Rate, of(|report| report.events as f64 / report.seconds)),
            of(|report| report.p50_micros),
            of(|report| report.p99_micros),
            of(|report| report.max_micros),
            each(|report| report.cpu_micros as f64),
            each(|report| report.written_bytes as f64),
            each(|report| report.log_bytes as f64),
            each(|report| report.index_bytes as f64),
        )
    };
    reports.keys().map(line).collect()
}

fn print_further(lines: &[String], peers: &[Column]) {
    println!(
        "\nEvery subject, with what its processes counted (zero: does not apply). `disk` is what was handed to the disk, by"
    );
    println!(
        "the kernel's count of pages made dirty, zeros and index included; `log` and `index` what their files hold at the end.\n"
    );
    println!(
        "| case | subject | events | p50 us | p99 us | longest us | CPU us/event | disk B/event | log B/event | index B/event |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    lines.iter().for_each(|line| println!("{line}"));
    if !peers.is_empty() {
        println!();
        peers.iter().for_each(|peer| println!("- {}: {}", peer.name, peer.note));
    }
}
