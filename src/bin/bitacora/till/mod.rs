//! `bitacora till`: works through a ledger of real business, and goes on where it was when it is started again.

mod clerk;
mod day;
mod desk;
pub(crate) mod ledger;
pub(crate) mod names;
pub(crate) mod outcomes;
pub(crate) mod page;
mod plan;
pub(crate) mod recovery;
pub(crate) mod refusal;
mod scheduler;
mod services;
pub(crate) mod show;
mod summary;
mod teller;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitacora::payment::FileGateway;
use bitacora::{Durability, Error, ErrorKind, Result, Store};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use clerk::{Clerk, Overdraft, TopUps, Waiting};
use day::Day;
use ledger::{Format, Reader};
use names::LedgerName;
use outcomes::Outcomes;
use page::{Emphasis, Page};

use crate::args::PresetArg;
pub(crate) use services::{RETRY_DELAY_MS, Till};
pub(crate) use summary::{Outcome, Summary};

/// How often a till with the weaker `interval` durability syncs.
const SYNC_INTERVAL: Duration = Duration::from_millis(100);

/// When a booking is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TillDurability {
    /// When it is synced: it survives a power cut.
    Sync,
    /// When the operating system has it, synced 100 ms later at most: survives a kill.
    Interval,
    /// When the operating system has it: survives a kill, not a power cut.
    Buffered,
}

/// Work through a ledger of real business: deposits, withdrawals and payments, each with an outcome, none of them twice.
///
/// The ledger is CSV with the header id,user_id,timestamp,kind,amount,currency, or the CDNOW master file. A line's number
/// decides how its payment is paid: divisible by 3 from the wallet, 1 more by card, 2 more half and half. Started again on
/// the same ledger and store it goes on where it was, after payments that were under way are finished or undone. A ledger
/// is known by its file's name.
///
/// Prints a summary over the whole ledger. Exit 0 when every line has its answer, refused ones included; 1 when a payment has
/// no final outcome.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  bitacora till till-data --ledger monday.csv")]
pub(crate) struct TillArgs {
    /// The store's folder; it is made where nothing is.
    pub(crate) dir: PathBuf,
    /// The ledger.
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: PathBuf,
    /// How the ledger is written.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub(crate) format: Format,
    /// The card gateway's folder [default: <DIR>-gateway]
    #[arg(long, value_name = "DIR")]
    pub(crate) gateway: Option<PathBuf>,
    /// How far new wallets may go below zero, in major units.
    #[arg(long, value_name = "AMOUNT", default_value = "0")]
    overdraft: Overdraft,
    /// Do not fill up wallets that are short of money for a payment.
    #[arg(long)]
    pub(crate) no_top_up: bool,
    /// Lines that are worked on at once, each of another user.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,
    /// When a booking is acknowledged.
    #[arg(long, value_enum, default_value_t = TillDurability::Sync)]
    pub(crate) durability: TillDurability,
    /// The kind of machine; it should be the same each time.
    #[arg(long, value_enum, default_value_t = PresetArg::Default)]
    pub(crate) preset: PresetArg,
    /// Print {"line","outcome","sequence"} for each outcome of this run, once it is durable. The summary goes to standard
    /// error then, unless with --json, when it is the last line. Lines that cannot be booked at all have no event and are
    /// only in the summary.
    #[arg(long)]
    pub(crate) acks: bool,
    /// Before a command that the gateway did not answer is sent again for the second time; doubles each time, up to eight-fold.
    #[arg(long, value_name = "MS", default_value_t = RETRY_DELAY_MS, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) retry_delay_ms: u64,
}

/// Works through the ledger, prints the summary, and returns the exit code.
///
/// # Errors
/// `InvalidInput`: the ledger cannot be opened, or has no header. Of the store and the gateway: as [`Store::open`],
/// [`FileGateway::open`] and [`Store::commit`].
pub(crate) fn run(args: &TillArgs, json: bool) -> Result<u8> {
    let start = Instant::now();
    let file = open_ledger(&args.ledger)?;
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let name = LedgerName::of(&args.ledger)?;
    let reader = Reader::new(BufReader::new(file), args.format)?;

    let gateway = args.gateway.as_deref();
    let till = Till::open(
        &args.dir,
        gateway,
        TillOptions { durability: args.durability, preset: args.preset, retry_delay_ms: args.retry_delay_ms },
    )?;
    let began_at = till.store.last_sequence();
    let recovered = recovery::recover(&till)?;
    note(&recovered)?;
    let outcomes = Outcomes::read(&till.store, &name)?;
    let clerk = Clerk {
        wallets: till.wallets.clone(),
        orchestrator: till.orchestrator.clone(),
        gate: till.recovery.gate().clone(),
        name,
        overdraft: args.overdraft.clone(),
        top_ups: if args.no_top_up { TopUps::NotMade } else { TopUps::Made },
        outcomes,
        waiting: Waiting::default(),
    };
    let progress = progress_bar(bytes);
    let checkpoint = || {
        // A recovery point that cannot be moved costs the next recovery time, and nothing else.
        if let Err(error) = till.recovery.checkpoint() {
            progress.println(format!("the recovery points stay where they are: {error}"));
        }
    };
    let workers = usize::from(args.workers);
    let day = Day { reader, clerk: &clerk, workers, began_at, progress: &progress, checkpoint: &checkpoint };
    let counted = day.run(args.acks.then(std::io::stdout));
    progress.finish_and_clear();
    let mut summary = counted?;
    for user_id in till.wallets.aggregate_ids() {
        let wallet = till.wallets.load(&user_id?)?;
        if let Some(currency) = wallet.state.currency() {
            summary.balances.add(bitacora::money::Money::new(wallet.state.balance(), currency))?;
        }
    }
    let events = till.store.last_sequence().get().saturating_sub(began_at.get());
    till.close()?;
    summary.finish(start.elapsed(), events);
    print(args, json, &summary)?;
    Ok(u8::from(!summary.pending.is_empty()))
}

/// The ledger's file.
///
/// # Errors
/// `InvalidInput`: there is no such file.
pub(crate) fn open_ledger(path: &Path) -> Result<File> {
    let wrong =
        |error| Error::with_source(ErrorKind::InvalidInput, format!("open the ledger {}", path.display()), error);
    let file = File::open(path).map_err(wrong)?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::new(ErrorKind::InvalidInput, format!("the ledger {} is a folder", path.display())));
    }
    Ok(file)
}

/// How a till's store and gateway are used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TillOptions {
    pub(crate) durability: TillDurability,
    pub(crate) preset: PresetArg,
    pub(crate) retry_delay_ms: u64,
}

impl Default for TillOptions {
    fn default() -> Self {
        Self { durability: TillDurability::Sync, preset: PresetArg::Default, retry_delay_ms: RETRY_DELAY_MS }
    }
}

impl Till {
    /// Opens the store and its gateway. Nothing may be booked before a [recovery](recovery::recover).
    ///
    /// # Errors
    /// As [`Store::open`] and [`FileGateway::open`].
    pub(crate) fn open(dir: &Path, gateway: Option<&Path>, options: TillOptions) -> Result<Self> {
        let durability = match options.durability {
            TillDurability::Sync => Durability::Sync,
            TillDurability::Interval => Durability::Interval(SYNC_INTERVAL),
            TillDurability::Buffered => Durability::Buffered,
        };
        let store = Store::open(dir, options.preset.options().durability(durability))?;
        let gateway = match gateway {
            Some(folder) => FileGateway::open(folder)?,
            None => FileGateway::open(gateway_beside(dir)?)?,
        };
        Self::over(store, Arc::new(gateway), options.retry_delay_ms)
    }
}

/// `<DIR>-gateway`, beside the store.
pub(crate) fn gateway_beside(dir: &Path) -> Result<PathBuf> {
    // The store is open, so its folder is there and has a name, however it was written.
    let whole = match dir.file_name() {
        Some(_) => dir.to_owned(),
        None => dir.canonicalize().map_err(|error| Error::from_io(format!("find {}", dir.display()), error))?,
    };
    let Some(name) = whole.file_name() else {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{} has nothing beside it", dir.display())));
    };
    let mut name = name.to_owned();
    name.push("-gateway");
    Ok(whole.with_file_name(name))
}

/// On standard error, where that is a terminal.
fn progress_bar(bytes: u64) -> ProgressBar {
    if !crate::tone::can_draw() {
        return ProgressBar::hidden();
    }
    let progress = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3}%  {msg}  {elapsed}, {eta} left") {
        progress.set_style(style);
    }
    progress
}

/// Says on standard error what a recovery found and did.
fn note(recovered: &recovery::Recovered) -> Result<()> {
    let mut page = Page::new(std::io::stderr().lock(), Emphasis::Plain);
    recovered.lines().iter().try_for_each(|line| page.line(line))
}

fn print(args: &TillArgs, json: bool, summary: &Summary) -> Result<()> {
    let stdout = std::io::stdout();
    if json {
        let text = serde_json::to_string(summary)
            .map_err(|error| Error::with_source(ErrorKind::Io, "write the summary", error))?;
        return Page::new(stdout.lock(), Emphasis::Plain).line(&text);
    }
    let ledger = args.ledger.file_name().unwrap_or_default().to_string_lossy();
    if args.acks {
        // Standard output is for the acknowledgements then.
        let stderr = std::io::stderr();
        let emphasis = Emphasis::of(&stderr);
        return show::summary(&mut Page::new(stderr.lock(), emphasis), &ledger, summary);
    }
    let emphasis = Emphasis::of(&stdout);
    show::summary(&mut Page::new(stdout.lock(), emphasis), &ledger, summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_lies_beside_the_store_however_its_folder_is_written() {
        for (dir, gateway) in
            [("/a/store", "/a/store-gateway"), ("/a/store/", "/a/store-gateway"), ("s.d", "s.d-gateway")]
        {
            assert_eq!(gateway_beside(Path::new(dir)).unwrap(), PathBuf::from(gateway), "{dir}");
        }
        assert!(gateway_beside(Path::new("/")).is_err());
    }

    #[test]
    fn a_ledger_that_is_not_there_or_a_folder_is_bad_input() {
        for path in ["/", "/no/such/ledger.csv"] {
            assert_eq!(open_ledger(Path::new(path)).unwrap_err().kind(), ErrorKind::InvalidInput, "{path}");
        }
    }
}
