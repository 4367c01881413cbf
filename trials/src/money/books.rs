//! The audit: what must be true of wallets, payments and cards when every payment is over, added up from the events and
//! from the gateway's journal, apart from any state that the library makes of them.

use std::collections::{BTreeMap, BTreeSet};

use bitacora::aggregate::DomainEvent;
use bitacora::payment::{Charge, OfflinePolicy, OutcomeKind, PaymentEvent, PaymentState, Resolution};
use bitacora::service::RecoveryEvent;
use bitacora::wallet::WalletEvent;
use bitacora::{Event, Sequence, Store};

use super::account::Account;
use super::course::Course;
use super::till::{Known, Till, USERS, euro};

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
    pub fn of(store: &Store, offline: &OfflinePolicy, label: &dyn Fn() -> String) -> Self {
        let mut books = Self::default();
        for event in store.read_all(..) {
            let event = event.unwrap_or_else(|error| panic!("{}: {error}", label()));
            books.take(&event, offline).unwrap_or_else(|why| panic!("{}: {}: {why}", label(), event.stream));
        }
        books.check_transfers().unwrap_or_else(|why| panic!("{}: {why}", label()));
        books
    }

    fn take(&mut self, event: &Event, offline: &OfflinePolicy) -> Result<(), String> {
        if let Some(user) = event.stream.aggregate_id("wallet") {
            let fact = WalletEvent::decode(event).map_err(|error| error.to_string())?;
            return self.accounts.entry(user.to_owned()).or_default().take(&fact, event);
        }
        if event.stream.as_str() == bitacora::service::RECOVERY_STREAM {
            return RecoveryEvent::decode(event).map(drop).map_err(|error| error.to_string());
        }
        let payment_id = event.stream.aggregate_id("payment").ok_or("neither a wallet nor a payment")?;
        let fact = PaymentEvent::decode(event).map_err(|error| error.to_string())?;
        self.courses.entry(payment_id.to_owned()).or_default().take(&fact)?;
        match fact {
            PaymentEvent::OfflineAccepted(fact) => self.check_trust(offline, fact.amount),
            _ => Ok(()),
        }
    }

    /// What is taken on trust is within the policy, at every moment.
    fn check_trust(&self, offline: &OfflinePolicy, amount: i64) -> Result<(), String> {
        let stored = self.courses.values().filter(|course| course.is_stored()).map(|course| course.card_amount);
        let (count, sum) = stored.fold((0, 0), |(count, sum), amount| (count + 1, sum + amount));
        let is_within = amount <= offline.floor_limit && count <= offline.payments_max && sum <= offline.sum_max;
        if is_within { Ok(()) } else { Err(format!("{count} of {sum} are taken on trust, that is over {offline:?}")) }
    }

    /// What one wallet sent the other one received: both or neither are in the log.
    fn check_transfers(&self) -> Result<(), String> {
        let mut sent = BTreeMap::new();
        let mut received = BTreeMap::new();
        for (user, account) in &self.accounts {
            let other = USERS.iter().find(|other| *other != user).copied().unwrap_or_default();
            sent.extend(account.sent.iter().map(|(id, minor)| ((user.as_str(), id), *minor)));
            received.extend(account.received.iter().map(|(id, minor)| ((other, id), *minor)));
        }
        if sent == received { Ok(()) } else { Err(format!("{sent:?} was sent and {received:?} was received")) }
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
        for (payment_id, word) in &known.words {
            let course = self.courses.get(payment_id);
            let is_there = course.is_some_and(|course| match *word {
                "cancelled" => course.cancelled,
                "resolved" => course.resolved.is_some(),
                _ => course.late,
            });
            assert!(is_there, "{}: {payment_id}: that it is {word} was acknowledged: {course:?}", label());
        }
        let caused = self.caused();
        for (cause, sequence) in &known.done {
            let found = caused.get(cause);
            assert_eq!(found, Some(sequence), "{}: lost: {cause} was acknowledged", label());
        }
    }

    /// What happened, counted: how much of what is to be tried was.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 8] {
        let courses = |is: fn(&Course) -> bool| self.courses.values().filter(|course| is(course)).count() as u64;
        [
            ("deeds", self.caused().len() as u64),
            ("transfers", self.accounts.values().map(|account| account.sent.len() as u64).sum()),
            ("refunds", self.accounts.values().map(Account::refunds).sum()),
            ("settled", courses(|course| course.settled)),
            ("taken on trust", courses(|course| course.taken_on_trust)),
            ("cancelled", courses(|course| course.cancelled)),
            ("resolved", courses(|course| course.resolved.is_some())),
            ("given back late", courses(|course| course.late)),
        ]
    }

    /// By what caused it, the first event of each deed.
    fn caused(&self) -> BTreeMap<String, Sequence> {
        let mut caused: BTreeMap<String, Sequence> = BTreeMap::new();
        for (cause, sequence) in self.accounts.values().flat_map(|account| &account.caused) {
            let first = caused.entry(cause.clone()).or_insert(*sequence);
            *first = (*first).min(*sequence);
        }
        caused
    }
}

/// Every payment is over; then no money was made or lost, and everybody says the same. Returns what was added up.
///
/// # Panics
/// Where it is not so.
pub fn audit(till: &Till, label: &dyn Fn() -> String) -> Books {
    let known = till.known.lock().expect("no panic under this lock").clone();
    let books = Books::of(&till.store, &till.plan.offline, label);
    assert_eq!(books.caused(), known.done, "{}: what was told to be done is done, and nothing else", label());
    audit_wallets(till, &known, &books, label);
    audit_payments(till, &known, &books, label);
    audit_cards(till, &books, label);
    let stored = till.orchestrator.offline_stored().unwrap_or_else(|error| panic!("{}: {error}", label()));
    // What waits for a person, and was never answered, still counts.
    let courses = books.courses.values().filter(|course| course.is_stored());
    let counted = courses.map(|course| (1, course.card_amount)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let sum = stored.sums.iter().map(|money| money.minor).sum();
    assert_eq!((stored.payments, sum), counted, "{}: what is taken on trust is counted", label());
    assert!(till.plan.may_park || counted.0 == 0, "{}: what was taken on trust is uploaded or over", label());
    let report = bitacora::service::check(&till.store).unwrap_or_else(|error| panic!("{}: {error}", label()));
    assert!(report.is_ok, "{}: {:?}", label(), report.findings);
    assert_eq!(report.payments_open, known.parked.len() as u64, "{}", label());
    books
}

fn audit_wallets(till: &Till, known: &Known, books: &Books, label: &dyn Fn() -> String) {
    let parked: BTreeSet<&String> = known.parked.iter().collect();
    for user in USERS {
        let account = &books.accounts.get(user).unwrap_or_else(|| panic!("{}: {user} has no wallet", label()));
        let held = account.open_holds().count();
        for (state, how) in [(till.wallets.load(user), "by snapshot"), (till.wallets.load_full(user), "by its events")]
        {
            let state = state.unwrap_or_else(|error| panic!("{}: {user}: {error}", label())).state;
            state.check_invariants().unwrap_or_else(|why| panic!("{}: {user}, {how}: {why}", label()));
            let said = (state.balance(), state.locked_balance(), state.holds().len());
            assert_eq!(said, (account.balance(), account.locked(), held), "{}: {user}, {how}", label());
        }
        let kept = account.open_holds().filter(|(_, of_payment)| *of_payment).map(|(hold_id, _)| hold_id);
        let kept: BTreeSet<&String> = kept.collect();
        assert!(kept.is_subset(&parked), "{}: {user}: held for payments that are over: {kept:?}", label());
    }
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
        let taken = books.accounts.get(&request.user_id).map_or(0, |account| account.captured(id));
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
            if course.outcome.is_some() && course.resolved.is_none() {
                assert_eq!(charge.open(), 0, "{}: {id}: locked on the card, {when}: {charge:?}", label());
            }
        }
        for (id, course) in &books.courses {
            let charge = journal.charges.get(id).cloned().unwrap_or_default();
            let why = || format!("{}: {id}, {when}: {charge:?}, {course:?}", label());
            check_charge(course, &charge).unwrap_or_else(|rule| panic!("{rule}: {}", why()));
        }
        till.road.all_arrives();
    }
}

/// What a card was charged is what is due.
fn check_charge(course: &Course, charge: &Charge) -> Result<(), &'static str> {
    let rule = |holds: bool, rule: &'static str| if holds { Ok(()) } else { Err(rule) };
    let (net, card) = (charge.net(), course.card_amount);
    rule(course.late || charge.refunds == 0, "only a late charge is given back")?;
    rule(charge.refunded <= charge.captured, "no more is given back than was taken")?;
    match (course.outcome, course.resolved) {
        (Some(OutcomeKind::Completed), None) => {
            rule(net == card, "what is due is charged")?;
            let settled = if course.is_to_settle() { card } else { 0 };
            rule(charge.settled == settled, "what is charged is settled, where that is asked for")
        }
        // It is as the operator says, who may be wrong.
        (Some(OutcomeKind::Completed), Some(Resolution::Completed)) => rule(net == 0 || net == card, "part is charged"),
        (Some(_), _) => rule(net == 0, "nothing is charged for what was not completed"),
        (None, _) => rule(course.parked && net <= card, "what waits for a person is charged once"),
    }
}
