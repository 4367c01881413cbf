//! Carrying out one command.

use bitacora::aggregate::{ExecuteError, ExecuteOptions, Repository};
use bitacora::payment::{OutcomeKind, PAYMENT_TYPE, PaymentRequest, PaymentSaga};
use bitacora::wallet::{Transfer, Wallet, WalletCommand, WalletRefusal, transfer};
use bitacora::{Error, ErrorKind, Result, StreamId, Version};

use super::line::{Ask, Line, Operation, OperationKind};
use super::outcome::{Outcome, PaymentFields, WalletFields, events_in, events_of};
use super::refusal::Refusal;
use crate::verbs::money::Desk;

/// Carries out a command. What is refused is an outcome.
///
/// # Errors
/// `InvalidInput`: a name that no stream can have. The store's: the command may have been carried out, and can be repeated.
pub(super) fn carry_out(desk: &Desk, line: &Line) -> Result<Outcome> {
    let ask = match &line.ask {
        Ok(ask) => ask,
        Err(refusal) => return Ok(Outcome::refused(refusal)),
    };
    let options = ExecuteOptions {
        command_id: Some(&line.command_id),
        metadata: line.metadata.clone(),
        ..ExecuteOptions::default()
    };
    let outcome = match ask {
        Ask::Wallet { user_id, command } => on_wallet(desk, &options, user_id, command),
        Ask::Transfer(order) => on_two_wallets(desk, &options, order),
        Ask::Pay(request) => pay(desk, request.clone().with_metadata(line.metadata.clone())),
        Ask::Operate(operation) => operate(desk, operation, &line.command_id),
    };
    match outcome {
        Err(error) if error.kind() == ErrorKind::IdempotencyConflict => {
            Ok(Outcome::refused(Refusal::plain("IdempotencyConflict", error.to_string())))
        }
        // What the gate does not let through: the wallet or the payment is quarantined.
        Err(error) if error.kind() == ErrorKind::NotReady => {
            Ok(Outcome::refused(Refusal::plain("NotReady", error.to_string())))
        }
        outcome => outcome,
    }
}

fn on_wallet(desk: &Desk, options: &ExecuteOptions<'_>, user_id: &str, command: &WalletCommand) -> Result<Outcome> {
    let stream = named_stream(user_id)?;
    desk.till.recovery.gate().check_stream(&stream)?;
    let executed = match desk.till.wallets.execute(user_id, options, command) {
        Ok(executed) => executed,
        Err(error) => return refused(error),
    };
    let events = match &executed.receipt {
        Some(receipt) => events_of(&desk.till.store, receipt)?,
        None => Vec::new(),
    };
    Ok(Outcome::Wallet {
        is_repeat: executed.receipt.is_some_and(|receipt| receipt.is_repeat),
        events,
        wallet: Box::new(WalletFields::new(&executed.loaded)),
        to: None,
    })
}

fn on_two_wallets(desk: &Desk, options: &ExecuteOptions<'_>, order: &Transfer) -> Result<Outcome> {
    for user_id in [&order.from_user_id, &order.to_user_id] {
        desk.till.recovery.gate().check_stream(&named_stream(user_id)?)?;
    }
    let transferred = match transfer(&desk.till.wallets, options, order) {
        Ok(transferred) => transferred,
        Err(error) => return refused(error),
    };
    let events = match &transferred.receipt {
        Some(receipt) => events_of(&desk.till.store, receipt)?,
        None => Vec::new(),
    };
    Ok(Outcome::Wallet {
        is_repeat: transferred.receipt.is_some_and(|receipt| receipt.is_repeat),
        events,
        wallet: Box::new(WalletFields::new(&transferred.from)),
        to: Some(Box::new(WalletFields::new(&transferred.to))),
    })
}

/// The stream of a user's wallet; a user without a name has none.
fn named_stream(user_id: &str) -> Result<StreamId> {
    if user_id.is_empty() {
        return Err(Error::new(ErrorKind::InvalidInput, "a user's id is empty"));
    }
    Repository::<Wallet>::stream(user_id)
}

fn refused(error: ExecuteError<WalletRefusal>) -> Result<Outcome> {
    match error {
        ExecuteError::Refused(refusal) => Ok(Outcome::refused(&refusal)),
        ExecuteError::Store(error) => Err(error),
    }
}

fn pay(desk: &Desk, request: PaymentRequest) -> Result<Outcome> {
    let (gate, payment_id) = (desk.till.recovery.gate(), request.payment_id.clone());
    let stream = StreamId::of(PAYMENT_TYPE, &payment_id)?;
    gate.check_stream(&named_stream(&request.user_id)?)?;
    gate.check_stream(&stream)?;
    let on_record = desk.payment(&payment_id)?;
    if on_record.is_none() && request.card_amount > 0 && !desk.has_gateway {
        let message = "a payment by card needs a card gateway, and there is none: see --gateway";
        return Ok(Outcome::refused(Refusal::plain("NoGateway", message)));
    }
    // A payment that is on record is compared with what is asked here.
    desk.till.orchestrator.start(request)?;
    desk.go_on(&payment_id)?;
    answered(desk, &stream, &found(desk, &payment_id)?, on_record.is_some())
}

/// Does what an operator asks of a payment, and goes on with it.
///
/// # Errors
/// `IdempotencyConflict`: the command id stands for something else that was asked of this payment. `NotReady`: the payment is
/// quarantined. Otherwise as [`carry_out`].
pub(crate) fn operate(desk: &Desk, operation: &Operation, command_id: &str) -> Result<Outcome> {
    let Operation { payment_id, kind, operator, reason } = operation;
    let stream = StreamId::of(PAYMENT_TYPE, payment_id)?;
    desk.till.recovery.gate().check_stream(&stream)?;
    if desk.payment(payment_id)?.is_none() {
        let message = format!("there is no payment {payment_id:?}");
        return Ok(Outcome::refused(Refusal::plain("PaymentNotFound", message)));
    }
    let command = desk.till.orchestrator.for_command(command_id);
    let operated = match kind {
        OperationKind::Cancel => command.cancel(payment_id, operator, reason),
        OperationKind::Retry => command.retry(payment_id, operator, reason),
        OperationKind::Resolve(resolution) => command.resolve(payment_id, *resolution, operator, reason),
    };
    let operated = match operated {
        Ok(operated) => operated,
        Err(ExecuteError::Refused(refusal)) => return Ok(Outcome::refused(&refusal)),
        Err(ExecuteError::Store(error)) => return Err(error),
    };
    desk.go_on(payment_id)?;
    let saga = found(desk, payment_id)?;
    let events = events_in(&desk.till.store, &stream, operated.version..=saga.version())?;
    Ok(Outcome::Payment { is_repeat: operated.is_repeat, events, payment: PaymentFields::new(&saga) })
}

/// A payment that was there a moment ago.
fn found(desk: &Desk, payment_id: &str) -> Result<PaymentSaga> {
    desk.payment(payment_id)?
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no payment {payment_id:?}")))
}

/// What became of a payment that was asked for. One that was not paid, or that a person has to look at, is a refusal.
fn answered(desk: &Desk, stream: &StreamId, saga: &PaymentSaga, is_repeat: bool) -> Result<Outcome> {
    let payment = PaymentFields::new(saga);
    let name = match (saga.outcome().map(|outcome| outcome.kind), saga.parked()) {
        (Some(OutcomeKind::Rejected), _) => "PaymentRejected",
        (Some(OutcomeKind::Compensated), _) => "PaymentCompensated",
        (None, Some(_)) => "PaymentParked",
        (Some(OutcomeKind::Completed), _) | (None, None) => {
            let events = events_in(&desk.till.store, stream, Version::FIRST..=saga.version())?;
            return Ok(Outcome::Payment { is_repeat, events, payment });
        }
    };
    let reason = saga.outcome().map(|outcome| outcome.reason.as_str()).or(saga.parked()).unwrap_or_default();
    let refusal = Refusal { name, message: reason.to_owned(), details: vec![("repeat", is_repeat.into())] };
    Ok(Outcome::Refused { refusal, payment: Some(payment) })
}
