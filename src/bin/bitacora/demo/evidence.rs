//! Gathers what is known of a day from the log, the gateway's journal and the wallets.
//!
//! Sums are taken from the fields of the events' payloads, one by one, and not by the wallet's or the payment's own code.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, Read};

use bitacora::aggregate::{DomainEvent, Repository};
use bitacora::payment::{Charge, Journal, PAYMENT_TYPE, PaymentEvent};
use bitacora::wallet::{Wallet, WalletEvent};
use bitacora::{Event, Result, Store};

use super::check::{CardTrail, Evidence, PaymentTrail, Record, WalletTrail};
use super::child::Ack;
use crate::till::Outcome;
use crate::till::ledger::{Format, LedgerLine, Reader};
use crate::till::names::{Booking, LedgerName};
use crate::till::refusal::LineRefused;

/// The lines of a ledger that can be booked, by number.
///
/// # Errors
/// `InvalidInput`: it has no header. `Io`: it cannot be read.
pub(crate) fn bookable_lines(ledger: impl Read, format: Format) -> Result<BTreeMap<u64, LedgerLine>> {
    let mut reader = Reader::new(BufReader::new(ledger), format)?;
    let mut lines = BTreeMap::new();
    while let Some(entry) = reader.next_entry()? {
        if let Ok(line) = entry.line {
            lines.insert(entry.number, line);
        }
    }
    Ok(lines)
}

/// Gathers the evidence of a day.
///
/// # Errors
/// `UnknownPayload`: an event cannot be read by this program. `Corrupt`, `Io`: the store's.
pub(crate) fn gather(
    store: &Store,
    wallets: &Repository<Wallet>,
    name: &LedgerName,
    journal: &Journal,
    acks: Vec<Ack>,
    lines: BTreeMap<u64, LedgerLine>,
) -> Result<Evidence> {
    let mut evidence = Evidence { acks, lines, ..Evidence::default() };
    for event in store.read_all(..) {
        let event = event?;
        if let Some(user_id) = event.stream.aggregate_id("wallet") {
            take_wallet(&mut evidence.wallets, user_id, &event)?;
            take_booking(&mut evidence.records, name, &event);
        } else if let Some(payment_id) = event.stream.aggregate_id(PAYMENT_TYPE) {
            take_payment(&mut evidence, payment_id, &event)?;
        } else if event.stream == *name.stream() {
            let refused = LineRefused::decode(&event)?;
            record(&mut evidence.records, &event, &refused.id, Outcome::Refused);
        }
    }
    for (user_id, trail) in &mut evidence.wallets {
        let told = wallets.load(user_id)?;
        trail.balance_told_minor = told.state.balance();
        trail.locked_told_minor = told.state.locked_balance();
    }
    evidence.cards = journal.charges.iter().map(|(id, charge)| (id.clone(), card_trail(charge))).collect();
    Ok(evidence)
}

fn record(records: &mut HashMap<u64, Record>, event: &Event, line_id: &str, outcome: Outcome) {
    records.insert(event.sequence.get(), Record { line_id: line_id.to_owned(), outcome });
}

fn take_booking(records: &mut HashMap<u64, Record>, name: &LedgerName, event: &Event) {
    match name.booking_of(event) {
        Some((Booking::Deposit, line_id)) => record(records, event, line_id, Outcome::Deposited),
        Some((Booking::Withdrawal, line_id)) => record(records, event, line_id, Outcome::Withdrawn),
        Some((Booking::TopUp, _)) | None => {}
    }
}

fn take_wallet(wallets: &mut BTreeMap<String, WalletTrail>, user_id: &str, event: &Event) -> Result<()> {
    let trail = wallets.entry(user_id.to_owned()).or_default();
    let add = |sum: &mut i64, minor: i64| *sum = sum.saturating_add(minor);
    match WalletEvent::decode(event)? {
        WalletEvent::WalletOpened(fact) => trail.currency = fact.currency.code().to_owned(),
        WalletEvent::FundsDeposited(fact) => add(&mut trail.deposited_minor, fact.amount.minor),
        WalletEvent::FundsWithdrawn(fact) => add(&mut trail.withdrawn_minor, fact.amount.minor),
        WalletEvent::FundsHeld(fact) => add(&mut trail.held_minor, fact.amount.minor),
        WalletEvent::HoldReleased(fact) => add(&mut trail.held_minor, fact.amount.minor.saturating_neg()),
        WalletEvent::HoldCaptured(fact) => {
            add(&mut trail.captured_minor, fact.amount.minor);
            add(&mut trail.held_minor, fact.amount.minor.saturating_add(fact.released).saturating_neg());
        }
        // An event that moves money and is not known here makes the sums differ from what the wallet tells.
        _ => {}
    }
    Ok(())
}

fn take_payment(evidence: &mut Evidence, payment_id: &str, event: &Event) -> Result<()> {
    let trail = evidence.payments.entry(payment_id.to_owned()).or_default();
    let outcome = match PaymentEvent::decode(event)? {
        PaymentEvent::PaymentStarted(fact) => {
            *trail = PaymentTrail {
                currency: fact.currency.code().to_owned(),
                wallet_minor: fact.wallet_amount,
                card_minor: fact.card_amount,
                outcomes: std::mem::take(&mut trail.outcomes),
            };
            return Ok(());
        }
        PaymentEvent::PaymentCompleted(_) => Outcome::Completed,
        PaymentEvent::PaymentCompensated(_) => Outcome::Compensated,
        PaymentEvent::PaymentRejected(_) => Outcome::Rejected,
        _ => return Ok(()),
    };
    trail.outcomes.push(outcome);
    record(&mut evidence.records, event, payment_id, outcome);
    Ok(())
}

fn card_trail(charge: &Charge) -> CardTrail {
    CardTrail {
        currency: charge.currency.map(|currency| currency.code().to_owned()).unwrap_or_default(),
        authorised_minor: charge.authorised,
        captured_minor: charge.captured,
        voided_minor: charge.voided,
        refunded_minor: charge.refunded,
        authorisations: charge.authorisations,
        captures: charge.captures,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::*;
    use bitacora::aggregate::ExecuteOptions;
    use bitacora::money::Money;
    use bitacora::payment::{FileGateway, Orchestrator, OrchestratorOptions, PaymentRequest, RetryPolicy};
    use bitacora::snapshot::SnapshotPolicy;
    use bitacora::wallet::{WalletCommand, WalletLimits};
    use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, StreamId};

    struct World {
        store: Store,
        wallets: Repository<Wallet>,
        name: LedgerName,
        folder: tempfile::TempDir,
        lines: BTreeMap<u64, LedgerLine>,
        acks: Vec<Ack>,
    }

    /// A deposit and twelve payments, all booked and acknowledged.
    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day.csv");
        let mut text = format!("{}\nd1,ana,t,deposit,900.00,EUR\n", crate::till::ledger::CSV_HEADER);
        for number in 3..15 {
            text.push_str(&format!("p{number},ana,t,payment,{number}.50,EUR\n"));
        }
        let lines = bookable_lines(text.as_bytes(), Format::Csv).unwrap();
        let store = Store::in_memory(Options::new()).unwrap();
        let wallets: Repository<Wallet> = Repository::new(store.clone(), SnapshotPolicy::default());
        let gateway = FileGateway::open(folder.path()).unwrap();
        let options = OrchestratorOptions { retry: RetryPolicy::short(), ..OrchestratorOptions::default() };
        let orchestrator = Orchestrator::new(wallets.clone(), std::sync::Arc::new(gateway), options).unwrap();
        let name = LedgerName::of(&path).unwrap();
        let currency = "EUR".parse().unwrap();
        let open = WalletCommand::Open { currency, overdraft_limit: 0, limits: WalletLimits::default() };
        wallets.execute("ana", &ExecuteOptions::default(), &open).unwrap();
        let mut acks = Vec::new();
        for line in lines.values() {
            let (outcome, sequence) = if line.id == "d1" {
                let metadata = name.metadata(line, Some(name.command_id(Booking::Deposit, line)));
                let options = ExecuteOptions { metadata, ..ExecuteOptions::default() };
                let done = wallets.execute("ana", &options, &WalletCommand::Deposit { amount: line.amount }).unwrap();
                (Outcome::Deposited, done.receipt.unwrap().sequence_last)
            } else {
                let half = line.amount.minor / 2;
                let request = PaymentRequest::new(line.id.as_str(), "ana", currency)
                    .by_wallet(half)
                    .by_card(line.amount.minor - half);
                let ended = orchestrator.run(request).unwrap();
                (serde_json::from_value(ended.kind.as_str().into()).unwrap(), ended.sequence)
            };
            acks.push(Ack { line: line.number, outcome, sequence: sequence.get() });
        }
        World { store, wallets, name, folder, lines, acks }
    }

    impl World {
        fn red(&self) -> Vec<&'static str> {
            let journal = Journal::read(self.folder.path()).unwrap();
            let (acks, lines) = (self.acks.clone(), self.lines.clone());
            let evidence = gather(&self.store, &self.wallets, &self.name, &journal, acks, lines).unwrap();
            let findings = check(&evidence);
            assert!(findings.iter().all(|finding| finding.of > 0), "{findings:?}");
            findings.into_iter().filter(|finding| finding.found > 0).map(|finding| finding.check).collect()
        }

        fn forge(&self, stream: &str, event: &impl DomainEvent) {
            let event_type = EventType::new(event.event_type()).unwrap();
            let schema_version = event.schema_version();
            let event = NewEvent::new(event_type, CodecId::BINCODE, event.encode().unwrap());
            let event = event.with_schema_version(schema_version);
            self.store.append(&StreamId::new(stream).unwrap(), ExpectedVersion::Any, vec![event]).unwrap();
        }
    }

    #[test]
    fn a_day_that_was_booked_by_the_real_parts_is_green() {
        assert_eq!(world().red(), [""; 0]);
    }

    #[test]
    fn a_second_outcome_forged_into_a_payments_stream_is_red() {
        let world = world();
        let forged = bitacora::payment::PaymentRejected { reason: "forged".to_owned() };
        world.forge("payment-p3", &PaymentEvent::from(forged));
        assert!(world.red().contains(&"payments with two outcomes"));
    }

    #[test]
    fn money_that_was_captured_for_nothing_is_red() {
        let world = world();
        let currency = "EUR".parse().unwrap();
        let forged = bitacora::wallet::HoldCaptured {
            hold_id: "nobody".to_owned(),
            amount: Money::new(500, currency),
            released: 0,
            is_final: true,
        };
        world.forge("wallet-ana", &WalletEvent::from(forged));
        assert!(world.red().contains(&"money created or destroyed, minor units"));
    }

    #[test]
    fn a_wallet_that_tells_what_it_knew_before_its_last_event_is_red() {
        let mut world = world();
        // A repository over another store has never heard of the wallet.
        world.wallets = Repository::new(Store::in_memory(Options::new()).unwrap(), SnapshotPolicy::default());
        assert!(world.red().contains(&"wallets that are not the sum of their events"));
    }

    #[test]
    fn an_acknowledgement_of_what_is_not_there_is_red() {
        let mut world = world();
        world.acks[3].sequence += 1;
        assert_eq!(world.red(), ["acknowledged outcomes lost"]);
    }

    #[test]
    fn a_charge_behind_the_stores_back_is_red() {
        use bitacora::payment::PaymentGateway;
        let world = world();
        let gateway = FileGateway::open_with(world.folder.path(), bitacora::payment::GatewayProfile::always_approve());
        gateway.unwrap().authorise("ghost/authorise", Money::new(5, "EUR".parse().unwrap()), "ana");
        assert!(world.red().contains(&"charges without a completed payment"));
    }
}
