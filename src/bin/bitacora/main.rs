//! The command `bitacora`: look into a store, write to it, verify it, and work through a till's day.
//!
//! A verb gets its arguments and an [`output::Output`], and answers with an exit code or a [`exit::Failure`]. What is
//! asked for goes to standard output and nothing else does; errors and progress go to standard error.

mod args;
mod demo;
mod ending;
mod exit;
mod generate;
mod interrupt;
mod output;
mod progress;
mod render;
mod till;
mod tone;
mod verbs;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::args::{Arguments, Verb};
use crate::ending::Asked;
use crate::exit::{Failure, Outcome};
use crate::output::Output;

fn main() -> ExitCode {
    let matches = Arguments::command().color(tone::color_choice()).get_matches();
    let Arguments { json, verb } = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match &verb {
        Verb::Append(args) => printing(json, |output| verbs::append::run(args, output)),
        Verb::Events(args) => printing(json, |output| verbs::events::run(args, output)),
        Verb::Tail(args) => printing(json, |output| verbs::tail::run(args, output)),
        Verb::Streams(args) => printing(json, |output| verbs::streams::run(args, output)),
        Verb::Info(args) => printing(json, |output| verbs::info::run(args, output)),
        Verb::Stats(args) => printing(json, |output| verbs::stats::run(args, output)),
        Verb::CheckDisk(args) => printing(json, |output| verbs::check_disk::run(args, output)),
        Verb::Verify(args) => printing(json, |output| verbs::verify::run(args, output)),
        Verb::Backup(args) => printing(json, |output| verbs::backup::run(args, output)),
        Verb::Restore(args) => printing(json, |output| verbs::restore::run(args, output)),
        Verb::Scrub(args) => printing(json, |output| verbs::scrub::run(args, output)),
        Verb::Export(args) => printing(json, |output| verbs::export::run(args, output)),
        Verb::Import(args) => printing(json, |output| verbs::import::run(args, output)),
        Verb::Repair(args) => printing(json, |output| verbs::repair::run(args, output)),
        Verb::RebuildIndex(args) => printing(json, |output| verbs::keep_index::rebuild(args, output)),
        Verb::CompactIndex(args) => printing(json, |output| verbs::keep_index::compact(args, output)),
        Verb::Upgrade(args) => printing(json, |output| verbs::keep_index::upgrade(args, output)),
        Verb::Archive(args) => printing(json, |output| verbs::archive::archive(args, output)),
        Verb::Unarchive(args) => printing(json, |output| verbs::archive::unarchive(args, output)),
        Verb::Command(args) => printing(json, |output| verbs::command::run(args, output)),
        Verb::Wallet(args) => printing(json, |output| verbs::wallet::run(args, output)),
        Verb::Wallets(args) => printing(json, |output| verbs::wallets::run(args, output)),
        Verb::Explain(args) => printing(json, |output| verbs::explain::run(args, output)),
        Verb::Diff(args) => printing(json, |output| verbs::diff::run(args, output)),
        Verb::Trace(args) => printing(json, |output| verbs::trace::run(args, output)),
        Verb::Payment(args) => printing(json, |output| verbs::payment::run(args, output)),
        Verb::Payments(args) => printing(json, |output| verbs::payments::run(args, output)),
        Verb::PaymentCancel(args) => printing(json, |output| verbs::operate::cancel(args, output)),
        Verb::PaymentRetry(args) => printing(json, |output| verbs::operate::retry(args, output)),
        Verb::PaymentResolve(args) => printing(json, |output| verbs::operate::resolve(args, output)),
        Verb::Snapshots(args) => printing(json, |output| verbs::snapshots::run(args, output)),
        Verb::Recover(args) => printing(json, |output| verbs::recover::run(args, output)),
        Verb::Health(args) => printing(json, |output| verbs::health::run(args, output)),
        // These two print from several threads, so standard output is not held for them.
        Verb::Till(args) => till::run(args, json).map_err(Failure::from),
        Verb::Demo(args) => demo::run(args, json).map_err(Failure::from),
        Verb::Generate(args) => generate::run(args),
    };
    ending::conclude(outcome, &Asked::of(&matches))
}

/// Holds standard output for a verb, and hands over what is left of it at the end. What stands before a failure is kept,
/// so it is shown before the failure is.
fn printing(json: bool, verb: impl FnOnce(&mut Output) -> Outcome) -> Outcome {
    let mut output = Output::new(json);
    let outcome = verb(&mut output);
    let flushed = output.flush();
    outcome.and_then(|code| flushed.map(|()| code))
}
