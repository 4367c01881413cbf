//! The saga: an order takes goods from the shelf, charges a card and prints the receipt; or is undone, in reverse.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bitacora::aggregate::{DomainEvent, EventContext, decode_payload};
use bitacora::money::Money;
use bitacora::payment::{GatewayAnswer, MemoryGateway, PaymentGateway};
use bitacora::saga::{Command, Next, Published, Saga, SagaHandler, TypeMeaning, Work};
use bitacora::{CodecId, Event, EventType, ExpectedVersion, NewEvent, Result, StreamId, Timestamp, codec};
use serde::{Deserialize, Serialize};

/// What can happen to an order. `Called` is the intent: on record before anybody is called.
#[rustfmt::skip]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Fact { Placed, Reserved, Called(String, u32), Said(String, Verdict), PutBack, Fulfilled, Cancelled }

#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Verdict { Done, Refused, NobodyKnows }

#[rustfmt::skip]
impl DomainEvent for Fact {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Placed => "OrderPlaced",
            Self::Fulfilled => "OrderFulfilled",
            Self::Cancelled => "OrderCancelled",
            _ => "OrderMoved",
        }
    }
    fn encode(&self) -> Result<Vec<u8>> { codec::encode(self) }
    fn decode(event: &Event) -> Result<Self> { decode_payload(event, 1) }
}

/// An order as its events tell it.
#[derive(Clone, Default)]
pub(crate) struct Order {
    id: String,
    done: BTreeSet<String>,
    is_refused: bool,
    is_over: bool,
    calling: Option<(String, u32)>,
    /// The attempt of which nobody knows, and when the next one is due.
    unknown: Option<(u32, Timestamp)>,
}

#[rustfmt::skip]
pub(crate) enum Do { Reserve, Call(&'static str, u32), PutBack, Close(Fact) }

impl Saga for Order {
    const SAGA_TYPE: &'static str = "order";
    type Event = Fact;
    type Action = Do;
    type Policy = ();

    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    fn apply(&mut self, fact: &Fact, context: &EventContext) {
        match fact {
            Fact::Placed => {}
            Fact::Reserved => drop(self.done.insert("reserve".to_owned())),
            Fact::PutBack => drop(self.done.remove("reserve")),
            Fact::Called(step, attempt) => self.calling = Some((step.clone(), *attempt)),
            Fact::Said(step, verdict) => {
                let attempt = self.calling.take().map_or(1, |(_, attempt)| attempt);
                let due = context.timestamp.plus(std::time::Duration::from_secs(5));
                self.unknown = (*verdict == Verdict::NobodyKnows).then_some((attempt, due));
                self.is_refused |= *verdict == Verdict::Refused;
                let _ = (*verdict == Verdict::Done).then(|| self.done.insert(step.clone()));
            }
            Fact::Fulfilled | Fact::Cancelled => self.is_over = true,
        }
    }

    fn next(&self, now: Timestamp, (): &()) -> Next<Do> {
        let has = |step| self.done.contains(step);
        let call = |step| match self.unknown {
            Some((_, due)) if now < due => Next::WaitUntil(due),
            unknown => Next::Act(Do::Call(step, unknown.map_or(1, |(attempt, _)| attempt + 1))),
        };
        match () {
            () if self.is_over => Next::Done,
            () if self.is_refused && has("capture") && !has("refund") => call("refund"),
            () if self.is_refused && has("reserve") => Next::Act(Do::PutBack),
            () if self.is_refused => Next::Act(Do::Close(Fact::Cancelled)),
            () if !has("reserve") => Next::Act(Do::Reserve),
            () => match ["authorise", "capture", "print"].into_iter().find(|step| !has(step)) {
                Some(step) => call(step),
                None => Next::Act(Do::Close(Fact::Fulfilled)),
            },
        }
    }

    fn unanswered(&self) -> Option<Command> {
        self.calling.as_ref().and_then(|(step, attempt)| Command::new::<Self>(&self.id, step, *attempt).ok())
    }

    fn type_meaning(event_type: &str) -> TypeMeaning {
        match event_type {
            "OrderPlaced" => TypeMeaning::Begins,
            "OrderFulfilled" | "OrderCancelled" => TypeMeaning::Ends,
            _ => TypeMeaning::Neither,
        }
    }
}

/// What carries orders out: the shelf is a stream of the same store, the gateway and the printer are outside.
pub(crate) struct Shop {
    pub(crate) price: Money,
    pub(crate) gateway: MemoryGateway,
    /// The receipts by key: one that comes again prints nothing more. `None`: it has no paper.
    pub(crate) printer: Option<Arc<Mutex<BTreeSet<String>>>>,
}

impl SagaHandler<Order> for Shop {
    fn prepare(&self, order: &Order, action: Do, _: Timestamp) -> Result<Work<Fact>> {
        let (work, shelf) = (Work::new(), StreamId::new("shelf-cups")?);
        let moved = |name| EventType::new(name).map(|name| vec![NewEvent::new(name, CodecId::RAW, Vec::new())]);
        Ok(match action {
            Do::Reserve => work.event(Fact::Reserved).append(&shelf, ExpectedVersion::Any, moved("CupTaken")?),
            Do::PutBack => work.event(Fact::PutBack).append(&shelf, ExpectedVersion::Any, moved("CupPutBack")?),
            Do::Close(fact) => work.event(fact),
            Do::Call(step, n) => work.publish(Command::new::<Order>(&order.id, step, n)?, Fact::Called(step.into(), n)),
        })
    }

    fn send(&self, order: &Order, command: &Published<'_>) -> Result<Vec<Fact>> {
        let (key, of) = (command.idempotency_key(), |step| format!("order-{}/{step}", order.id));
        let answer = match (command.step(), &self.printer) {
            ("authorise", _) => self.gateway.authorise(key, self.price, &order.id),
            ("capture", _) => self.gateway.capture(key, &of("authorise"), self.price),
            ("refund", _) => self.gateway.refund(key, &of("capture"), self.price),
            (_, Some(printer)) => {
                printer.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
                GatewayAnswer::Approved { reference: key.to_owned() }
            }
            (_, None) => GatewayAnswer::Declined { reason: "out of paper".to_owned() },
        };
        let verdict = match answer {
            GatewayAnswer::Approved { .. } => Verdict::Done,
            GatewayAnswer::Declined { .. } => Verdict::Refused,
            GatewayAnswer::Unknown | GatewayAnswer::Offline => Verdict::NobodyKnows,
        };
        Ok(vec![Fact::Said(command.step().to_owned(), verdict)])
    }
}
