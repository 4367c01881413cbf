//! `bitacora payments`: payments, by where they stand.

use bitacora::service::{PaymentFilter, PaymentSummary, payments_list};
use serde::Serialize;

use crate::args::PaymentsArgs;
use crate::exit::{FINE, Outcome};
use crate::output::Output;
use crate::render;

#[derive(Serialize)]
struct Line<'a> {
    payment_id: &'a str,
    state: &'a str,
    outcome: Option<&'a str>,
    user_id: Option<&'a str>,
    currency: Option<&'a str>,
    amount: Option<i64>,
    wallet_amount: Option<i64>,
    card_amount: Option<i64>,
    deadline: Option<String>,
    in_doubt: Option<&'a str>,
    is_overdue: bool,
    parked: Option<&'a str>,
    version: u64,
    last_event_sequence: u64,
}

impl<'a> Line<'a> {
    fn new(payment: &'a PaymentSummary) -> Self {
        Self {
            payment_id: &payment.payment_id,
            state: payment.state,
            outcome: payment.outcome,
            user_id: payment.user_id.as_deref(),
            currency: payment.currency,
            amount: payment.amount,
            wallet_amount: payment.wallet_amount,
            card_amount: payment.card_amount,
            deadline: payment.deadline.map(render::time),
            in_doubt: payment.in_doubt,
            is_overdue: payment.is_overdue,
            parked: payment.parked.as_deref(),
            version: payment.version.get(),
            last_event_sequence: payment.last_event_sequence.get(),
        }
    }

    fn row(self) -> Vec<String> {
        let number = |value: Option<i64>| value.map_or_else(String::new, |value| value.to_string());
        vec![
            self.payment_id.to_owned(),
            self.state.to_owned(),
            self.user_id.unwrap_or_default().to_owned(),
            self.currency.unwrap_or_default().to_owned(),
            number(self.amount),
            number(self.wallet_amount),
            number(self.card_amount),
            self.deadline.unwrap_or_default(),
            self.in_doubt.unwrap_or_default().to_owned(),
            self.is_overdue.to_string(),
        ]
    }
}

const HEADER: [&str; 10] = [
    "payment_id",
    "state",
    "user_id",
    "currency",
    "amount",
    "wallet_amount",
    "card_amount",
    "deadline",
    "in_doubt",
    "overdue",
];

pub(crate) fn run(args: &PaymentsArgs, output: &mut Output) -> Outcome {
    let store = super::open_to_read(&args.dir)?;
    let filter = PaymentFilter { state: args.state.clone(), in_doubt: args.in_doubt, overdue: args.overdue };
    let payments = payments_list(&store, filter)?;
    output.end_at_interrupt()?;
    if output.is_json() {
        for payment in payments {
            output.json(&Line::new(&payment?))?;
        }
        return Ok(FINE);
    }
    output.rows(&HEADER, payments.map(|payment| Ok(Line::new(&payment?).row())))?;
    Ok(FINE)
}
