//! `bitacora demo`: a till's day, killed at any moment, and every cent of it checked.

mod check;
mod child;
mod evidence;
mod generate;
mod random;
mod recovery;
mod show;

use std::fs::{self, File, OpenOptions};
use std::io::{Stdout, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use bitacora::aggregate::Repository;
use bitacora::payment::Journal;
use bitacora::snapshot::SnapshotPolicy;
use bitacora::{Error, ErrorKind, Result, Store};
use serde::Serialize;

use self::check::Finding;
use self::child::{Ack, End};
use self::random::Random;
use self::recovery::Recovery;
use crate::till;
use crate::till::ledger::Format;
use crate::till::names::LedgerName;
use crate::till::page::{Emphasis, Page, count};

/// Show what this is for: a till's day, killed in the middle of its work again and again, and every cent accounted for.
///
/// Makes up a ledger from a seed (or takes one), works through it with `bitacora till` in a process of its own, kills that
/// process with SIGKILL while it has work under way, opens the store again, shows what the recovery found and did, and goes
/// on to the end. Then it compares what was acknowledged, the store's events, the wallets and the gateway's journal.
///
/// Exit 0 when nothing is wrong, 1 when anything is.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  bitacora demo --payments 5000 --kills 10")]
pub(crate) struct DemoArgs {
    /// An empty folder, or one to be made [default: a new one in the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Payments in the ledger that is made up.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    payments: u64,
    /// How often the till is killed.
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    kills: u64,
    /// A ledger to work through instead of one that is made up.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// How that ledger is written.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Decides the ledger and the moments of the kills.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

/// A kill, and what it took to come back.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Kill {
    /// Outcomes that were acknowledged by then, over all lives.
    acknowledged: u64,
    recovery: Recovery,
}

/// All that a demonstration found, for programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    ok: bool,
    seed: u64,
    ledger: &'a Path,
    store: &'a Path,
    gateway: &'a Path,
    kills: &'a [Kill],
    acknowledged: u64,
    summary: &'a serde_json::Value,
    checks: &'a [Finding],
    elapsed_ms: u64,
}

/// Runs the demonstration and returns the exit code.
///
/// # Errors
/// `InvalidInput`: the folder is not empty, the ledger is none, or the day is too short for so many kills. `Io`: the till could
/// not be run. Of the store and the gateway: as opening them.
pub(crate) fn run(args: &DemoArgs, json: bool) -> Result<u8> {
    let stdout = std::io::stdout();
    let emphasis = Emphasis::of(&stdout);
    // With --json what is shown on the way goes nowhere.
    let out: Box<dyn Write> = if json { Box::new(std::io::sink()) } else { Box::new(stdout) };
    let mut demo = Demo::prepare(args, Page::new(out, emphasis))?;
    let summary = demo.work()?;
    let (findings, user_id) = demo.check()?;
    let is_well = findings.iter().all(|finding| finding.found == 0);
    let elapsed_ms = u64::try_from(demo.start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Demo { folder, kills, acks, mut page, .. } = demo;
    show::checks(&mut page, &findings)?;
    let (store, gateway) = (folder.store.as_path(), folder.gateway.as_path());
    show::ending(&mut page, &show::Ending { store, gateway, user_id: &user_id, is_well, elapsed_ms })?;
    if json {
        let report = Report {
            ok: is_well,
            seed: args.seed,
            ledger: &folder.ledger,
            store,
            gateway,
            kills: &kills,
            acknowledged: length(acks.len()),
            summary: &summary,
            checks: &findings,
            elapsed_ms,
        };
        print_json(std::io::stdout(), &report)?;
    }
    Ok(u8::from(!is_well))
}

fn print_json(stdout: Stdout, report: &Report<'_>) -> Result<()> {
    let text =
        serde_json::to_string(report).map_err(|error| Error::with_source(ErrorKind::Io, "write the report", error))?;
    Page::new(stdout.lock(), Emphasis::Plain).line(&text)
}

/// Where everything lies.
struct Folder {
    ledger: PathBuf,
    format: Format,
    store: PathBuf,
    gateway: PathBuf,
    /// What the till said on standard error.
    log: PathBuf,
}

struct Demo {
    start: Instant,
    folder: Folder,
    workers: u64,
    lines: std::collections::BTreeMap<u64, crate::till::ledger::LedgerLine>,
    /// Counts of acknowledgements at which the till is killed.
    kill_counts: Vec<u64>,
    kills: Vec<Kill>,
    acks: Vec<Ack>,
    page: Page<Box<dyn Write>>,
}

impl Demo {
    fn prepare(args: &DemoArgs, mut page: Page<Box<dyn Write>>) -> Result<Self> {
        let start = Instant::now();
        let made_up = generate::csv(generate::Day { seed: args.seed, payments: args.payments });
        let lines = match &args.ledger {
            Some(ledger) => evidence::bookable_lines(till::open_ledger(ledger)?, args.format)?,
            None => evidence::bookable_lines(made_up.as_bytes(), Format::Csv)?,
        };
        let count_lines = length(lines.len());
        let lines_per_kill = count_lines / args.kills.saturating_add(1);
        if args.kills > 0 && lines_per_kill < LINES_PER_KILL_MIN {
            let text = format!("{count_lines} lines are too few for {} kills", args.kills);
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let dir = make_folder(args.dir.as_deref(), args.seed)?;
        let (ledger, format) = match &args.ledger {
            Some(ledger) => (absolute(ledger)?, args.format),
            None => {
                let ledger = dir.join("day.csv");
                fs::write(&ledger, made_up).map_err(|error| Error::from_io("write the ledger", error))?;
                (ledger, Format::Csv)
            }
        };
        let mut random = Random::new(args.seed ^ 0x6b69_6c6c);
        let kill_counts = child::kill_counts(&mut random, count_lines, args.kills);
        let kills = if args.kills == 1 { "one kill".to_owned() } else { format!("{} kills", args.kills) };
        page.heading(&format!("A till's day: {} lines to book, {kills}", count(count_lines)))?;
        page.line(&format!("  ledger   {}", ledger.display()))?;
        let folder = Folder {
            ledger,
            format,
            store: dir.join("store"),
            gateway: dir.join("gateway"),
            log: dir.join("till.log"),
        };
        page.line(&format!("  store    {}", folder.store.display()))?;
        let workers = (lines_per_kill / LINES_PER_WORKER).clamp(1, WORKERS_MAX);
        Ok(Self { start, folder, workers, lines, kill_counts, kills: Vec::new(), acks: Vec::new(), page })
    }

    /// Lets the till live until it is killed, again and again, and then to its end; returns its summary.
    fn work(&mut self) -> Result<serde_json::Value> {
        if !self.kill_counts.is_empty() {
            self.page.heading("Killed at work, and back again")?;
            show::kills_header(&mut self.page)?;
        }
        for (index, count) in self.kill_counts.clone().into_iter().enumerate() {
            let more = count.saturating_sub(length(self.acks.len())).max(1);
            let life = child::live(self.till_command()?, self.log()?, Some(more))?;
            self.acks.extend(life.acks);
            match life.end {
                // What is acknowledged is not all there is, so it died at work.
                End::Killed if self.acks.len() < self.lines.len() => {}
                End::Killed | End::Exited(Some(0)) => {
                    self.page.line("  the day was over before this kill, which therefore does not count")?;
                    break;
                }
                End::Exited(code) => return Err(self.failed(code)),
            }
            let recovery = recovery::recover(&self.folder.store, &self.folder.gateway)?;
            let kill = Kill { acknowledged: length(self.acks.len()), recovery };
            show::kill(&mut self.page, index.saturating_add(1), &kill)?;
            self.kills.push(kill);
        }
        let life = child::live(self.till_command()?, self.log()?, None)?;
        self.acks.extend(life.acks);
        let (End::Exited(Some(0 | 1)), Some(summary)) = (life.end, life.summary) else {
            return Err(self.failed(match life.end {
                End::Exited(code) => code,
                End::Killed => None,
            }));
        };
        self.show_summary(&summary)?;
        Ok(summary)
    }

    fn show_summary(&mut self, summary: &serde_json::Value) -> Result<()> {
        self.page.heading("How the day ended")?;
        let mut parts = Vec::new();
        for name in ["completed", "compensated", "rejected", "deposits", "withdrawals", "top_ups"] {
            let number = summary.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
            parts.push((name.replace('_', "-"), number));
        }
        let refused = summary.get("refused").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
        parts.push(("refused".to_owned(), length(refused)));
        for (name, number) in parts {
            self.page.line(&format!("  {name:<12} {:>8}", count(number)))?;
        }
        Ok(())
    }

    /// Compares everything with everything; also names a user to look at.
    fn check(&mut self) -> Result<(Vec<Finding>, String)> {
        // Read-only: what is looked at stays as the till left it.
        let store = Store::open_read_only(&self.folder.store)?;
        let wallets = Repository::new(store.clone(), SnapshotPolicy::Never);
        let name = LedgerName::of(&self.folder.ledger)?;
        let journal = Journal::read(&self.folder.gateway)?;
        let (acks, lines) = (self.acks.clone(), std::mem::take(&mut self.lines));
        let evidence = evidence::gather(&store, &wallets, &name, &journal, acks, lines)?;
        store.close()?;
        let mut findings = check::check(&evidence);
        findings.push(self.kills_that_missed());
        let user_id = evidence.wallets.keys().next().cloned().unwrap_or_default();
        Ok((findings, user_id))
    }

    fn kills_that_missed(&self) -> Finding {
        let missed = self.kill_counts.len().saturating_sub(self.kills.len());
        let examples = if missed > 0 { vec!["the till was faster than its killer".to_owned()] } else { Vec::new() };
        let of = length(self.kill_counts.len());
        Finding { check: "kills that hit no work in progress", found: length(missed), of, examples }
    }

    fn till_command(&self) -> Result<Command> {
        let program = std::env::current_exe().map_err(|error| Error::from_io("find this program", error))?;
        let mut command = Command::new(program);
        let format = match self.folder.format {
            Format::Csv => "csv",
            Format::Cdnow => "cdnow",
        };
        command.args(["till", "--json", "--acks", "--format", format, "--workers", &self.workers.to_string()]);
        command.arg("--ledger").arg(&self.folder.ledger).arg("--gateway").arg(&self.folder.gateway);
        command.arg("--").arg(&self.folder.store);
        Ok(command)
    }

    fn log(&self) -> Result<File> {
        let log = OpenOptions::new().create(true).append(true).open(&self.folder.log);
        log.map_err(|error| Error::from_io(format!("open {}", self.folder.log.display()), error))
    }

    fn failed(&self, code: Option<i32>) -> Error {
        let how = code.map_or_else(|| "by a signal".to_owned(), |code| format!("with exit code {code}"));
        let said = fs::read_to_string(&self.folder.log).unwrap_or_default();
        let last = said.lines().last().unwrap_or("nothing").to_owned();
        Error::new(ErrorKind::Refused, format!("the till ended {how}, and said: {last}"))
    }
}

/// Lines between two kills, at least: with fewer a kill might find nothing to interrupt.
const LINES_PER_KILL_MIN: u64 = 10;

/// Workers of the till at most, and lines between two kills for each of them: so many that the work does not run out between an
/// acknowledgement and the kill that follows it.
const WORKERS_MAX: u64 = 16;
const LINES_PER_WORKER: u64 = 8;

/// The demonstration's folder, which is empty.
fn make_folder(dir: Option<&Path>, seed: u64) -> Result<PathBuf> {
    let dir = match dir {
        Some(dir) => absolute(dir)?,
        None => std::env::temp_dir().join(format!("bitacora-demo-{seed}-{}", std::process::id())),
    };
    let failed = |error| Error::from_io(format!("make the folder {}", dir.display()), error);
    fs::create_dir_all(&dir).map_err(failed)?;
    if fs::read_dir(&dir).map_err(failed)?.next().is_some() {
        let text = format!("{} is not empty: a demonstration starts from nothing", dir.display());
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(dir)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::from_io(format!("find {}", path.display()), error))
}

fn length(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_bad_input_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(make_folder(Some(folder.path()), 1).is_ok());
        fs::write(folder.path().join("mine"), "x").unwrap();
        assert_eq!(make_folder(Some(folder.path()), 1).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
