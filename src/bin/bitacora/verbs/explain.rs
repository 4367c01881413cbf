//! `bitacora explain`: the events that made a balance.

use bitacora::Sequence;
use bitacora::aggregate::AsOf;
use bitacora::service::{ExplainedEvent, Explanation, explain};
use serde::Serialize;

use crate::args::ExplainArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::output::Output;
use crate::render;

#[derive(Serialize)]
struct Document<'a> {
    user_id: &'a str,
    currency: Option<&'a str>,
    balance: i64,
    locked_balance: i64,
    available_balance: i64,
    version: u64,
    last_event_sequence: u64,
    events: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    sequence: u64,
    version: u64,
    timestamp: String,
    #[serde(rename = "type")]
    event_type: &'a str,
    balance_change: i128,
    locked_change: i128,
    balance: i64,
    locked_balance: i64,
    correlation_id: Option<&'a str>,
    causation_id: Option<&'a str>,
    actor: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn new(event: &'a ExplainedEvent) -> Self {
        Self {
            sequence: event.sequence.get(),
            version: event.version.get(),
            timestamp: render::time(event.timestamp),
            event_type: &event.event_type,
            balance_change: event.balance_change,
            locked_change: event.locked_change,
            balance: event.balance,
            locked_balance: event.locked_balance,
            correlation_id: event.correlation_id.as_deref(),
            causation_id: event.causation_id.as_deref(),
            actor: event.actor.as_deref(),
        }
    }
}

pub(crate) fn run(args: &ExplainArgs, output: &mut Output) -> Outcome {
    let store = super::open_to_read(&args.dir)?;
    let as_of = args.point.as_of();
    let explanation = explain(&store, &args.user, as_of.unwrap_or(AsOf::Sequence(Sequence::MAX)))?;
    output.end_at_interrupt()?;
    print(&explanation, output)?;
    Ok(FINE)
}

fn print(explanation: &Explanation, output: &mut Output) -> Result<(), Failure> {
    let document = Document {
        user_id: &explanation.user_id,
        currency: explanation.currency,
        balance: explanation.balance,
        locked_balance: explanation.locked_balance,
        available_balance: explanation.available_balance,
        version: explanation.version.get(),
        last_event_sequence: explanation.last_event_sequence.get(),
        events: explanation.events.iter().map(Line::new).collect(),
    };
    if output.is_json() {
        return output.json(&document);
    }
    output.facts(&[
        ("user_id", document.user_id.to_owned()),
        ("currency", document.currency.unwrap_or_default().to_owned()),
        ("balance", document.balance.to_string()),
        ("locked_balance", document.locked_balance.to_string()),
        ("available_balance", document.available_balance.to_string()),
        ("version", document.version.to_string()),
        ("last_event_sequence", document.last_event_sequence.to_string()),
    ])?;
    let rows = document.events.iter().map(|line| {
        Ok(vec![
            line.sequence.to_string(),
            line.timestamp.clone(),
            line.event_type.to_owned(),
            line.balance_change.to_string(),
            line.locked_change.to_string(),
            line.balance.to_string(),
            line.locked_balance.to_string(),
            line.correlation_id.unwrap_or_default().to_owned(),
            line.actor.unwrap_or_default().to_owned(),
        ])
    });
    let header = ["sequence", "timestamp", "type", "change", "locked", "balance", "locked_balance", "correlation_id"];
    output.rows(&[&header[..], &["actor"]].concat(), rows)
}
