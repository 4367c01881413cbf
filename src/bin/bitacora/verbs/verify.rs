//! `bitacora verify`: every byte of a store, checked with positioned reads, and the money in it.

use std::path::Path;

use bitacora::aggregate::{AsOf, DomainEvent, Repository};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{TransferTotals, Wallet, WalletEvent};
use bitacora::{EVENT_LOST, ErrorKind, FindingKind, Sequence, Store, VerifyPhase, VerifyReport};
use serde::Serialize;

use super::findings::{self, Finding};
use crate::args::VerifyArgs;
use crate::exit::{FINE, Failure, NO, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::render::word;

#[derive(Serialize)]
struct Document {
    ok: bool,
    segments: u64,
    events: u64,
    bytes: u64,
    last_sequence: u64,
    /// Wallets that a repair left with stand-ins for lost events: their money is not known, and they cannot be used.
    wallets_with_losses: u64,
    findings: Vec<Finding>,
}

pub(crate) fn run(args: &VerifyArgs, output: &mut Output) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new("verify", Unit::Bytes);
    let report = verified(&args.dir, &mut progress, &interrupt).map_err(|error| Failure::opening(&error))?;
    let mut findings: Vec<Finding> = report.findings.into_iter().map(Finding::from).collect();
    // What stands in a damaged log is no evidence against a wallet.
    let mut wallets_with_losses = 0;
    if findings.is_empty() {
        (findings, wallets_with_losses) = money_findings(&super::open_to_read(&args.dir)?, &mut progress, &interrupt)?;
        drop(progress);
    }
    let document = Document {
        ok: findings.is_empty(),
        segments: report.segments,
        events: report.events,
        bytes: report.bytes,
        last_sequence: report.last_sequence.get(),
        wallets_with_losses,
        findings,
    };
    print(&document, output)?;
    Ok(if document.ok { FINE } else { NO })
}

/// Verifies a store, and says how far that is.
pub(super) fn verified(dir: &Path, progress: &mut Progress, interrupt: &Interrupt) -> bitacora::Result<VerifyReport> {
    bitacora::verify_with(dir, &mut |now| {
        let (phase, unit) = match now.phase {
            VerifyPhase::Index => ("comparing the index, streams", Unit::Count),
            _ => ("reading the log", Unit::Bytes),
        };
        progress.count_in(unit);
        progress.tell(phase, now.done, now.total);
        interrupt.flow()
    })
}

/// Compares each wallet's balance with the plain sum of its events, checks its rules, and that all that was sent from wallet to
/// wallet was received. What is on record as lost is no finding; how many wallets that hits is told.
fn money_findings(
    store: &Store,
    progress: &mut Progress,
    interrupt: &Interrupt,
) -> Result<(Vec<Finding>, u64), Failure> {
    progress.count_in(Unit::Count);
    let end = store.last_sequence();
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
    let finding = |detail| Finding {
        segment: None,
        offset: None,
        sequence: None,
        kind: word(&FindingKind::Conservation),
        detail,
    };
    let (mut findings, mut transferred) = (Vec::new(), TransferTotals::default());
    let mut with_losses = 0;
    for (number, user_id) in (0..).zip(wallets.aggregate_ids()) {
        let user_id = user_id?;
        progress.tell("adding up wallets", number, 0);
        if interrupt.came() {
            return Err(Failure::interrupted());
        }
        let found = match one_wallet(&wallets, &user_id, end, &mut transferred) {
            Err(error) if error.kind() == ErrorKind::UnknownPayload => {
                if has_losses(&wallets, &user_id)? {
                    with_losses += 1;
                    continue;
                }
                Some(error.to_string())
            }
            checked => checked?,
        };
        findings.extend(found.map(|detail| finding(format!("wallet of user {user_id}: {detail}"))));
    }
    // With a wallet that cannot be told, what it sent or received is not known.
    if findings.is_empty() && with_losses == 0 {
        findings.extend(transferred.check().err().map(finding));
    }
    Ok((findings, with_losses))
}

/// Whether a repair put a stand-in for a lost event into a wallet's stream.
fn has_losses(wallets: &Repository<Wallet>, user_id: &str) -> bitacora::Result<bool> {
    for event in wallets.store().read_stream(&Repository::<Wallet>::stream(user_id)?, ..) {
        if event?.event_type.as_str() == EVENT_LOST {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is wrong with a wallet, if anything.
fn one_wallet(
    wallets: &Repository<Wallet>,
    user_id: &str,
    end: Sequence,
    transferred: &mut TransferTotals,
) -> bitacora::Result<Option<String>> {
    let wallet = wallets.load_full_as_of(user_id, AsOf::Sequence(end))?.state;
    transferred.add(&wallet);
    let mut sum = 0_i128;
    for event in wallets.store().read_stream(&Repository::<Wallet>::stream(user_id)?, ..) {
        let event = event?;
        if event.sequence > end {
            break;
        }
        sum += WalletEvent::decode(&event)?.balance_change();
    }
    if i128::from(wallet.balance()) != sum {
        return Ok(Some(format!("its balance is {}, its events sum up to {sum}", wallet.balance())));
    }
    Ok(wallet.check_invariants().err())
}

fn print(document: &Document, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(document);
    }
    output.facts(&[
        ("ok", document.ok.to_string()),
        ("segments", document.segments.to_string()),
        ("events", document.events.to_string()),
        ("bytes", document.bytes.to_string()),
        ("last_sequence", document.last_sequence.to_string()),
        ("wallets_with_losses", document.wallets_with_losses.to_string()),
        ("findings", document.findings.len().to_string()),
    ])?;
    findings::print(&document.findings, output)
}
