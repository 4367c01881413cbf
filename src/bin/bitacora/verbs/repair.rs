//! `bitacora repair`: what is damaged, what is kept and what is lost; and the repair.

use std::io::{self, BufRead, IsTerminal, Write};
use std::ops::ControlFlow;

use bitacora::service::{self, RepairReport, WalletLoss};
use bitacora::{
    Finding, Loss, Quarantined, RepairOutcome, RepairPhase, RepairPlan, RepairProgress, SequenceRange, StreamLoss,
    TornTail,
};
use serde::Serialize;

use super::verify::verified;
use crate::args::RepairArgs;
use crate::exit::{FINE, Failure, NO, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::render::{hex, word};

#[derive(Serialize)]
struct Document<'a> {
    damaged: bool,
    store_id: Option<String>,
    /// Why the store does not open; `null` where it does.
    refusal: Option<&'a str>,
    damage: Vec<Damage<'a>>,
    kept: &'a [SequenceRange],
    lost: &'a [Loss],
    events_kept: u64,
    events_lost: u64,
    streams: &'a [StreamLoss],
    /// Lost events of which nothing tells the stream.
    events_of_unknown_streams: u64,
    /// Wallets that are hit; amounts are integers of minor units.
    wallets: Vec<WalletLine<'a>>,
    /// What the next open cuts; no damage.
    torn_tail: Option<&'a TornTail>,
    /// Why it cannot be repaired; `null` where it can.
    obstacle: Option<&'a str>,
    /// It was begun before and cut short.
    is_begun: bool,
    /// `null` where nothing was done.
    repaired: Option<Repaired<'a>>,
}

#[derive(Serialize)]
struct Repaired<'a> {
    /// The sequence of the event that says so.
    record_sequence: u64,
    events_lost: u64,
    segments_rewritten: u64,
    quarantined: Vec<Kept<'a>>,
    /// Whether the store was found sound afterwards.
    verified: bool,
}

#[derive(Serialize)]
struct Kept<'a> {
    file: &'a str,
    kept_as: &'a str,
    bytes: u64,
    unreadable_bytes: u64,
    sha256: String,
}

impl<'a> Kept<'a> {
    fn new(file: &'a Quarantined) -> Self {
        let Quarantined { bytes, unreadable_bytes, .. } = *file;
        Self { file: &file.file, kept_as: &file.kept_as, bytes, unreadable_bytes, sha256: hex(&file.sha256) }
    }
}

#[derive(Serialize)]
struct Damage<'a> {
    file: &'a str,
    offset: Option<u64>,
    sequence: Option<u64>,
    kind: String,
    detail: &'a str,
}

#[derive(Serialize)]
struct WalletLine<'a> {
    user_id: &'a str,
    currency: Option<String>,
    events_lost: u64,
    whole_through: u64,
    balance_whole: i64,
    moved_behind: i64,
    balance_known: i64,
}

impl<'a> Damage<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            file: &finding.segment,
            offset: finding.offset,
            sequence: finding.sequence.map(bitacora::Sequence::get),
            kind: word(&finding.kind),
            detail: &finding.detail,
        }
    }
}

impl<'a> WalletLine<'a> {
    fn new(loss: &'a WalletLoss) -> Self {
        Self {
            user_id: &loss.user_id,
            currency: loss.currency.map(|currency| currency.to_string()),
            events_lost: loss.events_lost,
            whole_through: loss.whole_through.get(),
            balance_whole: loss.balance_whole,
            moved_behind: loss.moved_behind,
            balance_known: loss.balance_known,
        }
    }
}

pub(crate) fn run(args: &RepairArgs, output: &mut Output) -> Outcome {
    let can_ask = !output.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal();
    if !args.dry_run && !args.yes && !can_ask {
        let text = "a repair changes the store: give --yes to have it done, or --dry-run to see what would be";
        return Err(Failure::usage(text));
    }
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new("repair", Unit::Bytes);
    let report = service::repair_plan_with(&args.dir, &mut |now| tell(&mut progress, &interrupt, now))
        .map_err(|error| Failure::opening(&error))?;
    drop(progress);
    let RepairReport { plan, wallets } = &report;
    if !output.is_json() {
        print(plan, wallets, output)?;
        output.flush()?;
    }
    let is_to_be_done = plan.is_damaged() && !args.dry_run && (args.yes || agreed(plan, &interrupt)?);
    let done = if is_to_be_done { Some(repaired(args, plan, &interrupt)?) } else { None };
    if output.is_json() {
        output.json(&document(&report, done.as_ref()))?;
    } else if let Some((outcome, is_sound)) = &done {
        print_done(outcome, *is_sound, output)?;
    }
    let is_well = done.map_or(!plan.is_damaged(), |(_, is_sound)| is_sound);
    Ok(if is_well { FINE } else { NO })
}

/// Carries the plan out; once names are changed it is no longer broken off. Whether the store is found sound after it.
fn repaired(args: &RepairArgs, plan: &RepairPlan, interrupt: &Interrupt) -> Result<(RepairOutcome, bool), Failure> {
    let mut progress = Progress::new("repair", Unit::Bytes);
    let outcome = bitacora::repair_with(&args.dir, plan, &mut |now| tell(&mut progress, interrupt, now))?;
    let mut progress = Progress::new("repair", Unit::Bytes);
    let is_sound = verified(&args.dir, &mut progress, interrupt)?.is_ok();
    Ok((outcome, is_sound))
}

fn tell(progress: &mut Progress, interrupt: &Interrupt, now: RepairProgress) -> ControlFlow<()> {
    let phase = match now.phase {
        RepairPhase::Verify => "looking for damage",
        RepairPhase::Salvage => "reading what is sound",
        _ => "writing anew",
    };
    progress.tell(phase, now.done_bytes, now.total_bytes);
    interrupt.flow()
}

/// Asks whoever sits before the terminal.
fn agreed(plan: &RepairPlan, interrupt: &Interrupt) -> Result<bool, Failure> {
    let streams = plan.streams.len();
    let question = format!(
        "{} events are lost, of {streams} streams that are known; {} are kept. Repair the store? Type yes: ",
        plan.events_lost, plan.events_kept
    );
    let mut terminal = io::stderr();
    let asked = terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush());
    asked.map_err(|error| Failure::of_stream("standard error", &error))?;
    let mut answer = String::new();
    let read = interrupt.while_waiting(|| io::stdin().lock().read_line(&mut answer));
    read.map_err(|error| Failure::of_stream("standard input", &error))?;
    Ok(answer.trim() == "yes")
}

fn document<'a>(report: &'a RepairReport, done: Option<&'a (RepairOutcome, bool)>) -> Document<'a> {
    let RepairReport { plan, wallets } = report;
    Document {
        damaged: plan.is_damaged(),
        store_id: plan.store_id.map(|id| id.to_string()),
        refusal: plan.refusal.as_deref(),
        damage: plan.damage.iter().map(Damage::new).collect(),
        kept: &plan.kept,
        lost: &plan.lost,
        events_kept: plan.events_kept,
        events_lost: plan.events_lost,
        streams: &plan.streams,
        events_of_unknown_streams: plan.events_of_unknown_streams,
        wallets: wallets.iter().map(WalletLine::new).collect(),
        torn_tail: plan.torn_tail.as_ref(),
        obstacle: plan.obstacle.as_deref(),
        is_begun: plan.is_begun,
        repaired: done.map(|(outcome, is_sound)| Repaired {
            record_sequence: outcome.record_sequence.get(),
            events_lost: outcome.events_lost,
            segments_rewritten: outcome.segments_rewritten,
            quarantined: outcome.quarantined.iter().map(Kept::new).collect(),
            verified: *is_sound,
        }),
    }
}

fn print_done(outcome: &RepairOutcome, is_sound: bool, output: &mut Output) -> Result<(), Failure> {
    output.facts(&[
        ("repaired", "true".to_owned()),
        ("verified", is_sound.to_string()),
        ("record_sequence", outcome.record_sequence.to_string()),
        ("segments_rewritten", outcome.segments_rewritten.to_string()),
    ])?;
    if outcome.quarantined.is_empty() {
        return Ok(());
    }
    let rows = outcome
        .quarantined
        .iter()
        .map(Kept::new)
        .map(|kept| Ok(vec![kept.file.to_owned(), kept.kept_as.to_owned(), kept.bytes.to_string(), kept.sha256]));
    output.rows(&["file", "kept_as", "bytes", "sha256"], rows)
}

fn print(plan: &RepairPlan, wallets: &[WalletLoss], output: &mut Output) -> Result<(), Failure> {
    let tail = plan.torn_tail.as_ref();
    let tail =
        tail.map(|tail| format!("{} bytes of {} at {}, which the next open cuts", tail.bytes, tail.file, tail.offset));
    output.facts(&[
        ("damaged", plan.is_damaged().to_string()),
        ("opens", plan.refusal.is_none().to_string()),
        ("refusal", plan.refusal.clone().unwrap_or_default()),
        ("damaged_places", plan.damage.len().to_string()),
        ("events_kept", plan.events_kept.to_string()),
        ("events_lost", plan.events_lost.to_string()),
        ("streams_hit", plan.streams.len().to_string()),
        ("events_of_unknown_streams", plan.events_of_unknown_streams.to_string()),
        ("torn_tail", tail.unwrap_or_default()),
        ("obstacle", plan.obstacle.clone().unwrap_or_default()),
        ("begun", plan.is_begun.to_string()),
    ])?;
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    if !plan.damage.is_empty() {
        let rows = plan.damage.iter().map(Damage::new).map(|damage| {
            let place = [damage.file.to_owned(), number(damage.offset), number(damage.sequence)];
            Ok([place.to_vec(), vec![damage.kind, damage.detail.to_owned()]].concat())
        });
        output.rows(&["file", "offset", "sequence", "kind", "detail"], rows)?;
    }
    if !plan.lost.is_empty() {
        let rows = plan.lost.iter().map(|loss| {
            Ok(vec![loss.first.to_string(), loss.last.to_string(), loss.file.clone(), loss.offset.to_string()])
        });
        output.rows(&["lost_from", "lost_to", "file", "offset"], rows)?;
    }
    if !plan.kept.is_empty() && plan.is_damaged() {
        let rows = plan.kept.iter().map(|range| Ok(vec![range.first.to_string(), range.last.to_string()]));
        output.rows(&["kept_from", "kept_to"], rows)?;
    }
    print_streams(plan, output)?;
    print_wallets(wallets, output)
}

fn print_streams(plan: &RepairPlan, output: &mut Output) -> Result<(), Failure> {
    if plan.streams.is_empty() {
        return Ok(());
    }
    let rows = plan.streams.iter().map(|loss| {
        let lost: Vec<String> = loss.lost.iter().map(|range| format!("{}-{}", range.first, range.last)).collect();
        let behind = loss.events_behind.to_string();
        Ok(vec![loss.stream.to_string(), loss.whole_through.to_string(), lost.join(" "), behind])
    });
    output.rows(&["stream", "whole_through", "versions_lost", "events_behind"], rows)
}

fn print_wallets(wallets: &[WalletLoss], output: &mut Output) -> Result<(), Failure> {
    if wallets.is_empty() {
        return Ok(());
    }
    let rows = wallets.iter().map(WalletLine::new).map(|wallet| {
        Ok(vec![
            wallet.user_id.to_owned(),
            wallet.currency.unwrap_or_default(),
            wallet.events_lost.to_string(),
            wallet.balance_whole.to_string(),
            wallet.moved_behind.to_string(),
            wallet.balance_known.to_string(),
        ])
    });
    output.rows(&["user", "currency", "events_lost", "balance_whole", "moved_behind", "balance_known"], rows)
}
