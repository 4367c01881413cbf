//! `bitacora payment-cancel`, `payment-retry` and `payment-resolve`: what an operator decides on a payment.

use uuid::Uuid;

use super::command::{Answer, CommandOutcome, Operation, OperationKind, operate};
use super::money::Desk;
use crate::args::{CancelArgs, OperatorArgs, ResolveArgs, RetryArgs};
use crate::exit::{FINE, Failure, NO, Outcome};
use crate::output::Output;

pub(crate) fn cancel(args: &CancelArgs, output: &mut Output) -> Outcome {
    run(&args.operator, OperationKind::Cancel, output)
}

pub(crate) fn retry(args: &RetryArgs, output: &mut Output) -> Outcome {
    run(&args.operator, OperationKind::Retry, output)
}

pub(crate) fn resolve(args: &ResolveArgs, output: &mut Output) -> Outcome {
    run(&args.operator, OperationKind::Resolve(args.resolution.into()), output)
}

fn run(args: &OperatorArgs, kind: OperationKind, output: &mut Output) -> Outcome {
    // A decision is about a payment that is there; it makes no store.
    drop(super::open_to_read(&args.dir)?);
    let desk = Desk::open(&args.dir, args.gateway.as_deref(), args.preset.options())?;
    let operation = Operation {
        payment_id: args.payment_id.clone(),
        kind,
        operator: args.operator.clone(),
        reason: args.reason.clone(),
    };
    // Asked at a prompt, it is asked once.
    let outcome = operate(&desk, &operation, &Uuid::now_v7().to_string());
    let closed = desk.close();
    let outcome = outcome?;
    closed?;
    print(&operation, &outcome, output)?;
    Ok(if outcome.is_refused() { NO } else { FINE })
}

fn print(operation: &Operation, outcome: &CommandOutcome, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&Answer { name: ("payment_id", &operation.payment_id), outcome });
    }
    match outcome {
        CommandOutcome::Refused { refusal, .. } => Err(Failure::no(format!("{}: {}", refusal.name, refusal.message))),
        CommandOutcome::Payment { payment, .. } => output.facts(&[
            ("payment_id", operation.payment_id.clone()),
            ("state", payment.state.to_owned()),
            ("outcome", payment.outcome.unwrap_or_default().to_owned()),
            ("reason", payment.reason.clone().unwrap_or_default()),
            ("version", payment.version.to_string()),
        ]),
        CommandOutcome::Wallet { .. } => Ok(()),
    }
}
