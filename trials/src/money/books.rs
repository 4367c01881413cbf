//! The audit: what must be true of wallets, payments and cards when every payment is over, added up from the events and
//! from the gateway's journal, apart from any state that the library makes of them.

use std::collections::{BTreeMap, BTreeSet};

use bitacora::aggregate::DomainEvent;
use bitacora::payment::{FailureKind, OutcomeKind, PaymentEvent, PaymentState, Step};
use bitacora::service::RecoveryEvent;
use bitacora::wallet::WalletEvent;
use bitacora::{Event, Store};

use super::till::{Known, Till, USERS, euro};

/// A wallet, added up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    moved: Vec<i64>,
    /// Open holds.
    held: BTreeMap<String, i64>,
    captured: BTreeMap<String, i64>,
    released: BTreeSet<String>,
}

impl Account {
    fn take(&mut self, event: &WalletEvent) -> Result<(), String> {
        match event {
            WalletEvent::WalletOpened(_) => {}
            WalletEvent::FundsDeposited(fact) => self.moved.push(fact.amount.minor),
            WalletEvent::FundsWithdrawn(fact) => self.moved.push(-fact.amount.minor),
            WalletEvent::FundsHeld(fact) => {
                let is_new = !self.captured.contains_key(&fact.hold_id) && !self.released.contains(&fact.hold_id);
                let before = self.held.insert(fact.hold_id.clone(), fact.amount.minor);
                if !is_new || before.is_some() {
                    return Err(format!("{} is held twice", fact.hold_id));
                }
            }
            WalletEvent::HoldCaptured(fact) => {
                let held = self.held.remove(&fact.hold_id);
                if held != Some(fact.amount.minor + fact.released) {
                    return Err(format!("{} is captured, {held:?} was held", fact.hold_id));
                }
                self.captured.insert(fact.hold_id.clone(), fact.amount.minor);
            }
            WalletEvent::HoldReleased(fact) => {
                if self.held.remove(&fact.hold_id) != Some(fact.amount.minor) {
                    return Err(format!("{} is released and was not held", fact.hold_id));
                }
                self.released.insert(fact.hold_id.clone());
            }
            other => return Err(format!("{other:?} is unknown here")),
        }
        Ok(())
    }

    fn balance(&self) -> i64 {
        self.moved.iter().sum::<i64>() - self.captured.values().sum::<i64>()
    }
}

/// A payment's life, held against the rules of its order.
#[derive(Debug, Default)]
pub struct Course {
    is_started: bool,
    /// Attempts of authorise, capture, void, settle.
    attempts: [u32; 4],
    held: bool,
    released: bool,
    authorised: bool,
    captured: bool,
    voided: bool,
    undone: bool,
    parked: bool,
    refused: bool,
    outcome: Option<OutcomeKind>,
    card_amount: i64,
    wallet_amount: i64,
    settles: bool,
    wallet_taken: bool,
    settled: bool,
}

const AUTHORISE: usize = 0;
const CAPTURE: usize = 1;
const VOID: usize = 2;
const SETTLE: usize = 3;

impl Course {
    /// Whether an event may come here.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn take(&mut self, event: &PaymentEvent) -> Result<(), String> {
        let rule = |holds: bool, rule: &str| if holds { Ok(()) } else { Err(format!("{rule}: {event:?}")) };
        rule(self.outcome.is_none(), "nothing follows an outcome")?;
        rule(self.is_started != matches!(event, PaymentEvent::PaymentStarted(_)), "it begins once")?;
        let of_card = |fact_step: Step| match fact_step {
            Step::Capture => CAPTURE,
            Step::Settle => SETTLE,
            Step::Reserve | Step::Charge => AUTHORISE,
        };
        match event {
            PaymentEvent::PaymentStarted(fact) => {
                self.is_started = true;
                (self.wallet_amount, self.card_amount) = (fact.wallet_amount, fact.card_amount);
                self.settles = fact.settles;
            }
            PaymentEvent::StepCommandPublished(fact) => {
                rule(!self.undone, "no command goes out that is being undone")?;
                rule(self.wallet_amount == 0 || self.held, "the wallet's part is held before the card's")?;
                rule(fact.step != Step::Capture || self.authorised, "nothing is captured that was not authorised")?;
                let is_taken = self.captured && (self.wallet_amount == 0 || self.wallet_taken);
                rule(fact.step != Step::Settle || (self.settles && is_taken), "what is settled was taken")?;
                let attempts = &mut self.attempts[of_card(fact.step)];
                *attempts += 1;
                rule(*attempts == fact.attempt, "attempts are counted one by one")?;
            }
            PaymentEvent::StepSucceeded(fact) => match fact.step {
                Step::Reserve => {
                    rule(!self.held && !self.undone, "it is held once, and not when it is undone")?;
                    self.held = true;
                }
                Step::Charge => self.authorised = self.answered(AUTHORISE, fact.attempt, event)?,
                // The gateway names what it captures; what has no name is the wallet's part.
                Step::Capture if fact.reference.is_none() => {
                    rule(self.held && !self.wallet_taken, "what is taken was held, and is taken once")?;
                    self.wallet_taken = true;
                }
                Step::Settle => self.settled = self.answered(SETTLE, fact.attempt, event)?,
                Step::Capture => self.captured = self.answered(CAPTURE, fact.attempt, event)?,
            },
            PaymentEvent::StepFailed(fact) => {
                self.refused |= fact.kind == FailureKind::Permanent;
                if fact.step != Step::Reserve && self.card_amount > 0 {
                    self.answered(of_card(fact.step), fact.attempt, event)?;
                }
            }
            PaymentEvent::RetryScheduled(_) | PaymentEvent::OutcomeQueried(_) | PaymentEvent::PaymentResumed(_) => {}
            PaymentEvent::CompensationInitiated(_) => {
                rule(self.attempts[CAPTURE] == 0, "nothing is undone past the point of no return")?;
                rule(!self.undone, "it is undone once")?;
                rule(self.held || self.attempts[AUTHORISE] > 0, "there is something to undo")?;
                self.undone = true;
            }
            PaymentEvent::CompensationStepPublished(fact) => {
                rule(self.undone, "nothing is voided that is not undone")?;
                self.attempts[VOID] += 1;
                rule(self.attempts[VOID] == fact.attempt, "attempts are counted one by one")?;
            }
            PaymentEvent::CompensationStepSucceeded(fact) => {
                rule(self.undone, "it is being undone")?;
                match fact.step {
                    Step::Charge => self.voided = self.answered(VOID, fact.attempt, event)?,
                    _ => {
                        rule(self.held && !self.released, "what is released was held")?;
                        self.released = true;
                    }
                }
            }
            PaymentEvent::CompensationStepFailed(_) => rule(self.undone, "it is being undone")?,
            PaymentEvent::PaymentCompleted(fact) => {
                let amounts = (fact.wallet_amount, fact.card_amount);
                rule(amounts == (self.wallet_amount, self.card_amount), "what is completed is what was asked for")?;
                rule(self.card_amount == 0 || self.captured, "the card's part is captured")?;
                rule(self.wallet_amount == 0 || self.held, "the wallet's part is held")?;
                rule(!self.undone, "what is undone is not completed")?;
                rule(self.settled == self.settles, "it is settled where that is asked for")?;
                self.outcome = Some(OutcomeKind::Completed);
            }
            PaymentEvent::PaymentCompensated(_) => {
                rule(self.undone, "it was undone")?;
                rule(self.held == self.released, "what was held is released")?;
                rule(self.attempts[AUTHORISE] == 0 || self.voided || !self.authorised && self.refused, "it is voided")?;
                self.outcome = Some(OutcomeKind::Compensated);
            }
            PaymentEvent::PaymentRejected(_) => {
                rule(!self.held && !self.authorised && !self.undone, "nothing is to undo")?;
                self.outcome = Some(OutcomeKind::Rejected);
            }
            PaymentEvent::PaymentParkedForReview(_) => self.parked = true,
            PaymentEvent::DeadlineReached(_) | PaymentEvent::DeadlineScheduled(_) => {
                rule(self.attempts[CAPTURE] == 0, "no deadline counts past the point of no return")?;
            }
            other => return Err(format!("nobody here asks for {other:?}")),
        }
        Ok(())
    }

    /// An answer is to an attempt that went out.
    fn answered(&self, command: usize, attempt: u32, event: &PaymentEvent) -> Result<bool, String> {
        let went_out = 1 <= attempt && attempt <= self.attempts[command];
        if went_out { Ok(true) } else { Err(format!("no such attempt went out: {event:?}")) }
    }
}

/// All that the events say.
#[derive(Debug, Default)]
pub struct Books {
    accounts: BTreeMap<String, Account>,
    courses: BTreeMap<String, Course>,
}

impl Books {
    /// Adds up a store.
    ///
    /// # Panics
    /// Where an event breaks a rule.
    #[must_use]
    pub fn of(store: &Store, label: &dyn Fn() -> String) -> Self {
        let mut books = Self::default();
        for event in store.read_all(..) {
            let event = event.unwrap_or_else(|error| panic!("{}: {error}", label()));
            books.take(&event).unwrap_or_else(|why| panic!("{}: {}: {why}", label(), event.stream));
        }
        books
    }

    fn take(&mut self, event: &Event) -> Result<(), String> {
        if let Some(user) = event.stream.aggregate_id("wallet") {
            let fact = WalletEvent::decode(event).map_err(|error| error.to_string())?;
            return self.accounts.entry(user.to_owned()).or_default().take(&fact);
        }
        if event.stream.as_str() == bitacora::service::RECOVERY_STREAM {
            return RecoveryEvent::decode(event).map(drop).map_err(|error| error.to_string());
        }
        let payment_id = event.stream.aggregate_id("payment").ok_or("neither a wallet nor a payment")?;
        let fact = PaymentEvent::decode(event).map_err(|error| error.to_string())?;
        self.courses.entry(payment_id.to_owned()).or_default().take(&fact)
    }

    /// What was told to a customer before a crash must be there after it, where the store promises as much.
    ///
    /// # Panics
    /// Where it is not.
    pub fn hold_what_was_told(&self, known: &Known, label: &dyn Fn() -> String) {
        for (payment_id, outcome) in &known.over {
            let found = self.courses.get(payment_id).and_then(|course| course.outcome);
            assert_eq!(found, Some(outcome.kind), "{}: {payment_id}: its outcome was told", label());
        }
        let moved: BTreeSet<i64> = self.accounts.values().flat_map(|account| account.moved.iter().copied()).collect();
        let lost: Vec<_> = known.done.difference(&moved).collect();
        assert!(lost.is_empty(), "{}: lost: movements {lost:?} were acknowledged", label());
    }
}

/// Every payment is over; then no money was made or lost, and everybody says the same.
///
/// # Panics
/// Where it is not so.
pub fn audit(till: &Till, label: &dyn Fn() -> String) {
    let known = till.known.lock().expect("no panic under this lock").clone();
    let books = Books::of(&till.store, label);
    audit_wallets(till, &known, &books, label);
    audit_payments(till, &known, &books, label);
    audit_cards(till, &books, label);
    let report = bitacora::service::check(&till.store).unwrap_or_else(|error| panic!("{}: {error}", label()));
    assert!(report.is_ok, "{}: {:?}", label(), report.findings);
    assert_eq!(report.payments_open, known.parked.len() as u64, "{}", label());
}

fn audit_wallets(till: &Till, known: &Known, books: &Books, label: &dyn Fn() -> String) {
    let asked: Vec<_> = till.plan.movements.iter().take(known.moved).collect();
    let mut found = 0;
    for (number, user) in USERS.iter().enumerate() {
        let account = &books.accounts.get(*user).unwrap_or_else(|| panic!("{}: {user} has no wallet", label()));
        let moved: BTreeSet<i64> = account.moved.iter().copied().collect();
        assert_eq!(moved.len(), account.moved.len(), "{}: {user}: a movement happened twice", label());
        found += moved.len();
        for movement in asked.iter().filter(|movement| movement.user == number && movement.amount > 0) {
            assert!(moved.contains(&movement.amount), "{}: {user}: {movement:?} is missing", label());
        }
        let locked: i64 = account.held.values().sum();
        for (state, how) in [(till.wallets.load(user), "by snapshot"), (till.wallets.load_full(user), "by its events")]
        {
            let state = state.unwrap_or_else(|error| panic!("{}: {user}: {error}", label())).state;
            state.check_invariants().unwrap_or_else(|why| panic!("{}: {user}, {how}: {why}", label()));
            let said = (state.balance(), state.locked_balance(), state.holds().len());
            assert_eq!(said, (account.balance(), locked, account.held.len()), "{}: {user}, {how}", label());
        }
        let kept: BTreeSet<&String> = account.held.keys().collect();
        let parked: BTreeSet<&String> = known.parked.iter().collect();
        assert!(kept.is_subset(&parked), "{}: {user}: held for payments that are over: {kept:?}", label());
    }
    assert!(found <= asked.len(), "{}: more movements than were asked for", label());
}

fn audit_payments(till: &Till, known: &Known, books: &Books, label: &dyn Fn() -> String) {
    assert_eq!(books.courses.len(), known.asked, "{}: every payment is on record", label());
    for request in till.plan.payments.iter().take(known.asked) {
        let id = &request.payment_id;
        let course = &books.courses[id];
        let told = known.over.get(id).map(|outcome| outcome.kind);
        assert_eq!(course.outcome, told, "{}: {id}: its outcome is the one that was told: {course:?}", label());
        assert!(told.is_some() || (till.plan.may_park && course.parked), "{}: {id} did not end: {course:?}", label());
        let saga = till.orchestrator.load(id).ok().flatten().unwrap_or_else(|| panic!("{}: {id} is gone", label()));
        let state = match told {
            Some(OutcomeKind::Completed) => PaymentState::Completed,
            Some(OutcomeKind::Compensated) => PaymentState::Compensated,
            Some(OutcomeKind::Rejected) => PaymentState::Rejected,
            None => PaymentState::ManualReview,
        };
        assert_eq!(saga.state(), state, "{}: {id}", label());
        let account = books.accounts.get(&request.user_id);
        let taken = account.and_then(|account| account.captured.get(id)).copied().unwrap_or(0);
        // What waits for its settlement is taken, and stays taken.
        let is_taken = told == Some(OutcomeKind::Completed) || (told.is_none() && course.wallet_taken);
        let paid = if is_taken { request.wallet_amount } else { 0 };
        assert_eq!(taken, paid, "{}: {id}: what left the wallet is what was paid from it", label());
    }
}

fn audit_cards(till: &Till, books: &Books, label: &dyn Fn() -> String) {
    // Twice: what was still under way must change nothing any more.
    for when in ["when all is over", "when the last request has arrived"] {
        let journal = till.road.journal();
        for (id, charge) in &journal.charges {
            let course = books.courses.get(id).unwrap_or_else(|| panic!("{}: {id} is charged and unknown", label()));
            assert!(!charge.is_double(), "{}: {id} is charged twice, {when}: {charge:?}", label());
            assert_eq!(charge.currency.unwrap_or_else(euro), euro(), "{}: {id}", label());
            if course.outcome.is_some() {
                assert_eq!(charge.open(), 0, "{}: {id}: locked on the card, {when}: {charge:?}", label());
            }
        }
        for (id, course) in &books.courses {
            let net = journal.charges.get(id).map_or(0, bitacora::payment::Charge::net);
            let due = if course.outcome == Some(OutcomeKind::Completed) { course.card_amount } else { 0 };
            let is_right = net == due || (course.parked && net <= course.card_amount);
            assert!(is_right, "{}: {id}: {net} is charged and {due} is due, {when}: {course:?}", label());
        }
        till.road.all_arrives();
    }
}
