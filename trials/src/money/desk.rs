//! Operators: who calls payments off, and decides on those that are parked; and charges that come late, which are given back.

use bitacora::Result;
use bitacora::aggregate::ExecuteError;
use bitacora::disk::sim::Random;
use bitacora::payment::{OutcomeKind, PaymentRefusal, PaymentSaga, Resolution};

use super::till::Till;

const OPERATOR: &str = "olga";

/// More than a road and a gateway withhold answers to a refund.
const RETRIES_MAX: u32 = 20;

impl Till {
    fn note(&self, payment_id: &str, word: &'static str) {
        let mut known = self.known.lock().expect("no panic under this lock");
        known.words.insert((payment_id.to_owned(), word));
    }

    /// Calls a payment off, if it can be.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Panics
    /// Where it is refused for another reason than that it is too late.
    pub fn cancel(&self, payment_id: &str) -> Result<()> {
        match self.orchestrator.cancel(payment_id, OPERATOR, "the customer left") {
            Ok(_) => self.note(payment_id, "cancelled"),
            Err(ExecuteError::Refused(
                PaymentRefusal::AlreadyOver { .. } | PaymentRefusal::PastPivot | PaymentRefusal::BeingUndone { .. },
            )) => {}
            Err(ExecuteError::Refused(refusal)) => panic!("{payment_id}: {refusal}"),
            Err(ExecuteError::Store(error)) => return Err(error),
        }
        Ok(())
    }

    /// An operator looks at what is parked: some of it is tried again, some resolved, and some left.
    ///
    /// # Errors
    /// The store's.
    pub fn review(&self, random: &mut Random) -> Result<()> {
        let parked = self.known.lock().expect("no panic under this lock").parked.clone();
        for payment_id in parked {
            if random.below(3) == 0 {
                let outcome = self.orchestrator.retry(&payment_id, OPERATOR, "the gateway is back");
                operated(&payment_id, outcome)?;
                self.finish(&payment_id)?;
            }
            let is_parked = self.known.lock().expect("no panic under this lock").parked.contains(&payment_id);
            if is_parked && random.below(4) > 0 {
                self.resolve(&payment_id, random)?;
                self.finish(&payment_id)?;
            }
        }
        Ok(())
    }

    /// Resolves a parked payment, mostly as the gateway's journal has it so far.
    fn resolve(&self, payment_id: &str, random: &mut Random) -> Result<()> {
        let is_charged = self.road.journal().charges.get(payment_id).is_some_and(|charge| charge.net() > 0);
        let is_paid = is_charged != (random.below(3) == 0);
        let words = [Resolution::Compensated, Resolution::Completed];
        for is_paid in [is_paid, !is_paid] {
            let resolution = words[usize::from(is_paid)];
            match self.orchestrator.resolve(payment_id, resolution, OPERATOR, "as the bank says") {
                Err(ExecuteError::Refused(PaymentRefusal::WalletPart { .. })) => {}
                outcome => {
                    operated(payment_id, outcome)?;
                    self.note(payment_id, "resolved");
                    return Ok(());
                }
            }
        }
        panic!("{payment_id} can be resolved neither way");
    }

    /// What ended unpaid by an operator's word and was charged nevertheless is given back.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Panics
    /// Where it is not given back.
    pub fn give_back(&self, random: &mut Random) -> Result<()> {
        if !self.plan.may_park {
            return Ok(());
        }
        let over = self.known.lock().expect("no panic under this lock").over.clone();
        let unpaid = over.iter().filter(|(_, outcome)| outcome.kind == OutcomeKind::Compensated);
        let mut lost = Vec::new();
        for (payment_id, _) in unpaid {
            let saga = self.orchestrator.load(payment_id)?;
            lost.extend(saga.filter(PaymentSaga::is_past_pivot).map(|_| payment_id.clone()));
        }
        if lost.is_empty() {
            return Ok(());
        }
        self.road.all_arrives();
        let journal = self.road.journal();
        for payment_id in lost {
            if journal.charges.get(&payment_id).is_some_and(|charge| charge.captured > 0) {
                self.give_back_one(&payment_id, random)?;
            }
        }
        Ok(())
    }

    fn give_back_one(&self, payment_id: &str, random: &mut Random) -> Result<()> {
        let looks = random.below(2) == 0;
        let found = looks && operated(payment_id, self.orchestrator.look_for_late_success(payment_id))?;
        if !found {
            operated(payment_id, self.orchestrator.report_late_success(payment_id, "statement"))?;
        }
        self.note(payment_id, "late");
        for _ in 0..RETRIES_MAX {
            self.finish(payment_id)?;
            let saga = self.orchestrator.load(payment_id)?;
            if saga.is_some_and(|saga| saga.is_refunded()) {
                return Ok(());
            }
            operated(payment_id, self.orchestrator.retry(payment_id, OPERATOR, "it is the customer's"))?;
        }
        panic!("{payment_id}: what came late is not given back");
    }
}

fn operated<T>(payment_id: &str, outcome: Result<T, ExecuteError<PaymentRefusal>>) -> Result<T> {
    match outcome {
        Ok(done) => Ok(done),
        Err(ExecuteError::Refused(refusal)) => panic!("{payment_id}: {refusal}"),
        Err(ExecuteError::Store(error)) => Err(error),
    }
}
