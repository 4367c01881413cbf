//! A payment as a [`Saga`]: the first user of that trait. Its driver is a tuned one, the
//! [`Orchestrator`](super::Orchestrator), which gathers commits and takes turns at wallets.

use super::call::CallPhase;
use super::event::{PaymentEvent, type_meaning};
use super::gateway::GatewayCommand;
use super::next::{Action, next};
use super::request::PAYMENT_TYPE;
use super::retry::RetryPolicy;
use super::state::PaymentSaga;
use crate::aggregate::EventContext;
use crate::saga::{Command, Next, Saga, TypeMeaning};
use crate::types::Timestamp;

impl Saga for PaymentSaga {
    const SAGA_TYPE: &'static str = PAYMENT_TYPE;
    type Event = PaymentEvent;
    type Action = Action;
    type Policy = RetryPolicy;

    fn new(saga_id: &str) -> Self {
        Self::new(saga_id)
    }

    fn apply(&mut self, event: &PaymentEvent, context: &EventContext) {
        self.apply(event, context);
    }

    fn next(&self, now: Timestamp, policy: &RetryPolicy) -> Next<Action> {
        match next(self, now, policy) {
            Action::NotStarted => Next::Parked("it has not begun".to_owned()),
            Action::Done if self.is_over() => Next::Done,
            // A refund that was given up waits for a person as a parked payment does.
            Action::Done => Next::Parked(self.refund_failure().unwrap_or_default().to_owned()),
            Action::Parked => Next::Parked(self.parked().unwrap_or_default().to_owned()),
            Action::WaitUntil(due) => Next::WaitUntil(due),
            action => Next::Act(action),
        }
    }

    /// The command that was published last, while nothing on record says what came of it.
    fn unanswered(&self) -> Option<Command> {
        let is_published = |command: &GatewayCommand| self.call(*command).phase == CallPhase::Published;
        let command = GatewayCommand::ALL.into_iter().find(is_published)?;
        let attempt = self.call(command).attempts;
        let (command_id, key) = (command.command_id(&self.payment_id, attempt), command.key(&self.payment_id));
        Some(Command::named(command.as_str(), attempt, command_id, key))
    }

    fn type_meaning(event_type: &str) -> TypeMeaning {
        type_meaning(event_type)
    }
}
