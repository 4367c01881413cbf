//! `bitacora payment`: where a payment stands, and how it came there.

use bitacora::aggregate::{DomainEvent, EventContext};
use bitacora::payment::{PAYMENT_TYPE, PaymentEvent, PaymentSaga};
use bitacora::{Event, StreamId};
use serde::Serialize;

use super::payment_steps::{self, StepLine};
use crate::args::PaymentArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::output::Output;
use crate::render::{self, Data};

#[derive(Serialize)]
struct Document<'a> {
    payment_id: &'a str,
    user_id: Option<&'a str>,
    currency: Option<&'a str>,
    amount: Option<i64>,
    wallet_amount: Option<i64>,
    card_amount: Option<i64>,
    deadline: Option<String>,
    state: &'a str,
    outcome: Option<&'a str>,
    reason: Option<&'a str>,
    /// The command to the gateway whose outcome nothing on record tells.
    in_doubt: Option<&'a str>,
    version: u64,
    last_event_sequence: u64,
    steps: Vec<StepLine>,
    events: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    sequence: u64,
    timestamp: String,
    #[serde(rename = "type")]
    event_type: &'a str,
    data: Data,
}

pub(crate) fn run(args: &PaymentArgs, output: &mut Output) -> Outcome {
    let stream = StreamId::of(PAYMENT_TYPE, &args.payment_id)?;
    let store = super::open_to_read(&args.dir)?;
    let decoded = |event: bitacora::Result<Event>| {
        let event = event?;
        PaymentEvent::decode(&event).map(|fact| (event, fact))
    };
    let events = store.read_stream(&stream, ..).map(decoded).collect::<bitacora::Result<Vec<_>>>()?;
    if events.is_empty() {
        return Err(Failure::no(format!("there is no payment {}", args.payment_id))
            .with_hint("`bitacora payments DIR` lists those that there are"));
    }
    let mut saga = PaymentSaga::new(&args.payment_id);
    for (event, fact) in &events {
        saga.apply(fact, &EventContext::from(event));
    }
    print(&saga, &events, output)?;
    Ok(FINE)
}

fn print(saga: &PaymentSaga, events: &[(Event, PaymentEvent)], output: &mut Output) -> Result<(), Failure> {
    let started = saga.started();
    let lines = events.iter().map(|(event, _)| Line {
        sequence: event.sequence.get(),
        timestamp: render::time(event.timestamp),
        event_type: event.event_type.as_str(),
        data: Data::of(event),
    });
    let document = Document {
        payment_id: saga.payment_id(),
        user_id: started.map(|started| started.user_id.as_str()),
        currency: started.map(|started| started.currency.code()),
        amount: started.map(|started| started.wallet_amount.saturating_add(started.card_amount)),
        wallet_amount: started.map(|started| started.wallet_amount),
        card_amount: started.map(|started| started.card_amount),
        deadline: saga.deadline().map(render::time),
        state: saga.state().as_str(),
        outcome: saga.outcome().map(|outcome| outcome.kind.as_str()),
        reason: saga.outcome().map(|outcome| outcome.reason.as_str()).or(saga.parked()).filter(|why| !why.is_empty()),
        in_doubt: saga.in_doubt().map(bitacora::payment::GatewayCommand::as_str),
        version: saga.version().get(),
        last_event_sequence: saga.last_event_sequence().get(),
        steps: payment_steps::steps(events),
        events: lines.collect(),
    };
    if output.is_json() {
        return output.json(&document);
    }
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let number = |value: Option<i64>| value.map_or_else(String::new, |value| value.to_string());
    output.facts(&[
        ("payment_id", document.payment_id.to_owned()),
        ("user_id", text(document.user_id)),
        ("currency", text(document.currency)),
        ("amount", number(document.amount)),
        ("wallet_amount", number(document.wallet_amount)),
        ("card_amount", number(document.card_amount)),
        ("deadline", text(document.deadline.as_deref())),
        ("state", document.state.to_owned()),
        ("outcome", text(document.outcome)),
        ("reason", text(document.reason)),
        ("in_doubt", text(document.in_doubt)),
        ("version", document.version.to_string()),
        ("last_event_sequence", document.last_event_sequence.to_string()),
    ])?;
    let steps = document.steps.iter().map(|step| {
        let attempts = step.attempts.len().to_string();
        let why = step.attempts.last().and_then(|attempt| attempt.reason.clone()).unwrap_or_default();
        let ended_at = step.ended_at.clone().unwrap_or_default();
        let (name, kind) = (step.step.to_owned(), step.kind.to_owned());
        Ok(vec![name, kind, step.outcome.to_owned(), attempts, step.started_at.clone(), ended_at, why])
    });
    output.rows(&["step", "kind", "outcome", "attempts", "started_at", "ended_at", "reason"], steps)?;
    let rows = document.events.iter().map(|line| {
        let data = serde_json::to_string(&line.data).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(vec![line.sequence.to_string(), line.timestamp.clone(), line.event_type.to_owned(), data])
    });
    output.rows(&["sequence", "timestamp", "type", "data"], rows)
}
