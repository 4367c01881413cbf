//! One command, from its JSON to that of its outcome.

#[path = "../../../src/bin/bitacora/verbs/command/carry_out.rs"]
mod carry_out;
#[path = "../../../src/bin/bitacora/verbs/command/fields.rs"]
mod fields;
#[path = "../../../src/bin/bitacora/verbs/command/line.rs"]
mod line;
#[path = "../../../src/bin/bitacora/verbs/command/outcome.rs"]
mod outcome;
#[path = "../../../src/bin/bitacora/verbs/command/refusal.rs"]
mod refusal;

use bitacora::{Error, ErrorKind, Result};

use super::money::Desk;

/// What became of a command.
pub(crate) struct Answered {
    /// As `bitacora command` prints it.
    pub(crate) json: String,
    /// Why it was refused, where it was.
    pub(crate) refusal: Option<String>,
}

/// Carries out one command.
///
/// # Errors
/// `InvalidInput`: it is none. The store's: it may have been carried out, and can be repeated.
pub(crate) fn answer(desk: &Desk, text: &[u8]) -> Result<Answered> {
    let line = line::Line::parse(text).map_err(|failure| Error::new(ErrorKind::InvalidInput, failure.to_string()))?;
    let outcome = carry_out::carry_out(desk, &line)?;
    let answer = outcome::Answer { name: ("command_id", &line.command_id), outcome: &outcome };
    let json = serde_json::to_string(&answer)
        .map_err(|error| Error::with_source(ErrorKind::InvalidInput, "print the outcome", error))?;
    let refusal = match &outcome {
        outcome::Outcome::Refused { refusal, .. } if outcome.is_refused() => Some(refusal.message.clone()),
        _ => None,
    };
    Ok(Answered { json, refusal })
}
