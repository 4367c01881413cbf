//! `bitacora command`: JSON commands in, JSON outcomes out, in the same order.
//!
//! Invariants:
//! 1. A command is carried out when the one before it has its outcome, so outcomes stand in the input's order.
//! 2. An outcome is printed only once what it says is durable.
//! 3. A line that is no command ends the input: everything before it is done and printed, nothing behind it is.
//! 4. Each outcome is handed to the reader before the next command is begun, so a kill leaves at most one command done that
//!    nobody was told of.

mod carry_out;
mod fields;
mod line;
mod outcome;
mod refusal;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

pub(crate) use carry_out::operate;
pub(crate) use line::{Operation, OperationKind};
pub(crate) use outcome::{Answer, Outcome as CommandOutcome};

use self::line::Line;
use super::input::Lines;
use super::money::Desk;
use crate::args::CommandArgs;
use crate::exit::{FINE, Failure, NO, Outcome};
use crate::output::Output;

pub(crate) fn run(args: &CommandArgs, output: &mut Output) -> Outcome {
    let desk = Desk::open(&args.dir, args.gateway.as_deref(), args.preset.options())?;
    let taken = take_lines(&mut Lines::new(io::stdin().lock()), &desk, output);
    let flushed = output.flush();
    let closed = desk.close();
    let refused = flushed.and(taken).and_then(|refused| closed.map(|()| refused)).map_err(|failure| {
        // Lines were left when the reader of the outcomes went away.
        if failure.is_quiet() { failure.with_code(NO) } else { failure }
    })?;
    Ok(if refused == 0 { FINE } else { NO })
}

/// Carries out line after line, and counts those that are refused.
fn take_lines(lines: &mut Lines<impl Read>, desk: &Desk, output: &mut Output) -> Result<u64, Failure> {
    let mut refused = 0;
    loop {
        let Some((number, text)) = lines.next()? else { return Ok(refused) };
        if text.trim_ascii().is_empty() {
            continue;
        }
        let line = Line::parse(text).map_err(|failure| failure.at(format_args!("line {number}")))?;
        let outcome = carry_out::carry_out(desk, &line)
            .map_err(|error| Failure::from(error).at(format_args!("line {number}")))?;
        refused += u64::from(outcome.is_refused());
        output.json(&Answer { name: ("command_id", &line.command_id), outcome: &outcome })?;
        output.flush()?;
    }
}
