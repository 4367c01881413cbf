//! A small saga: goods are taken from a stock (inside), a courier is called (outside), and after a while it is closed. Refused
//! or too late, the goods are put back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::*;
use super::Cuts;
use crate::aggregate::{
    Aggregate, DomainEvent, EventContext, ExecuteError, ExecuteOptions, Repository, decode_payload, unknown_event,
};
use crate::clock::ManualClock;
use crate::codec;
use crate::error::Result;
use crate::snapshot::SnapshotPolicy;
use crate::sync::Mutex;
use crate::types::{Event, Metadata, Sequence, Timestamp};
use crate::{Options, Store};

pub(super) const STOCKED: u64 = 1_000;
pub(super) const STOCK: &str = "shelf";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stock {
    pub(super) left: u64,
}

#[derive(Serialize)]
pub(super) enum StockCommand {
    Put(u64),
    Take(u64),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum StockEvent {
    Put(u64),
    Taken(u64),
}

#[derive(Debug, thiserror::Error)]
#[error("too few are left")]
pub(super) struct TooFew;

impl DomainEvent for StockEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Put(_) => "StockPut",
            Self::Taken(_) => "StockTaken",
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(self)
    }

    fn decode(event: &Event) -> Result<Self> {
        decode_payload(event, 1)
    }
}

impl Aggregate for Stock {
    const AGGREGATE_TYPE: &'static str = "stock";
    const SCHEMA_VERSION: u16 = 1;
    type Command = StockCommand;
    type Event = StockEvent;
    type Refusal = TooFew;

    fn new(_: &str) -> Self {
        Self { left: 0 }
    }

    fn decide(&self, command: &StockCommand, _: Timestamp) -> Result<Vec<StockEvent>, TooFew> {
        match command {
            StockCommand::Put(count) => Ok(vec![StockEvent::Put(*count)]),
            StockCommand::Take(count) if *count <= self.left => Ok(vec![StockEvent::Taken(*count)]),
            StockCommand::Take(_) => Err(TooFew),
        }
    }

    fn apply(&mut self, event: &StockEvent, _: &EventContext) {
        match event {
            StockEvent::Put(count) => self.left += count,
            StockEvent::Taken(count) => self.left -= count,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    Yes,
    No,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fact {
    Begun { goods: u64, deadline: Timestamp },
    Taken,
    Refused,
    Called { attempt: u32 },
    Answered { attempt: u32, answer: Answer },
    TimedOut,
    PutBack,
    Delivered,
    Dropped,
    Noted,
}

impl DomainEvent for Fact {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Begun { .. } => "ErrandBegun",
            Self::Delivered => "ErrandDelivered",
            Self::Dropped => "ErrandDropped",
            Self::Called { .. } => "CourierCalled",
            _ => "ErrandMoved",
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(self)
    }

    fn decode(event: &Event) -> Result<Self> {
        match event.event_type.as_str() {
            "ErrandBegun" | "ErrandDelivered" | "ErrandDropped" | "CourierCalled" | "ErrandMoved" => {
                decode_payload(event, 1)
            }
            _ => Err(unknown_event(event)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Idle,
    Published(u32),
    Unknown(u32, Timestamp),
    Yes(Timestamp),
    No,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) id: String,
    pub(super) goods: u64,
    deadline: Timestamp,
    has_goods: bool,
    call: Call,
    is_undone: bool,
    pub(super) outcome: Option<bool>,
}

#[derive(Clone, Debug)]
pub(super) enum Do {
    Take,
    Call(u32),
    GiveUp,
    PutBack,
    Close(bool),
}

/// Waits: after an unknown answer, and before it is closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) retry: Duration,
    pub(super) close: Duration,
}

pub(super) const WAITS: Waits = Waits { retry: Duration::from_secs(5), close: Duration::from_secs(60) };
const ATTEMPTS_MAX: u32 = 3;

impl Saga for Errand {
    const SAGA_TYPE: &'static str = "errand";
    type Event = Fact;
    type Action = Do;
    type Policy = Waits;

    fn new(saga_id: &str) -> Self {
        Self {
            id: saga_id.to_owned(),
            goods: 0,
            deadline: Timestamp::MAX,
            has_goods: false,
            call: Call::Idle,
            is_undone: false,
            outcome: None,
        }
    }

    fn apply(&mut self, event: &Fact, context: &EventContext) {
        if self.outcome.is_some() {
            return;
        }
        match event {
            Fact::Begun { goods, deadline } => (self.goods, self.deadline) = (*goods, *deadline),
            Fact::Taken => self.has_goods = true,
            Fact::Refused | Fact::TimedOut => self.is_undone = true,
            Fact::Called { attempt } => self.call = Call::Published(*attempt),
            Fact::Answered { attempt, answer } if self.call == Call::Published(*attempt) => {
                self.call = match answer {
                    Answer::Yes => Call::Yes(context.timestamp),
                    Answer::No => Call::No,
                    Answer::Unknown => Call::Unknown(*attempt, context.timestamp),
                };
            }
            Fact::Answered { .. } | Fact::Noted => {}
            Fact::PutBack => self.has_goods = false,
            Fact::Delivered => self.outcome = Some(true),
            Fact::Dropped => self.outcome = Some(false),
        }
    }

    fn next(&self, now: Timestamp, waits: &Waits) -> Next<Do> {
        if self.outcome.is_some() {
            return Next::Done;
        }
        if self.is_undone || self.call == Call::No {
            return Next::Act(if self.has_goods { Do::PutBack } else { Do::Close(false) });
        }
        match self.call {
            Call::Idle if now >= self.deadline => Next::Act(Do::GiveUp),
            Call::Idle if !self.has_goods => Next::Act(Do::Take),
            Call::Idle => Next::Act(Do::Call(1)),
            Call::Unknown(attempt, _) if attempt >= ATTEMPTS_MAX => Next::Parked("the courier is silent".to_owned()),
            Call::Unknown(_, at) if now < at.plus(waits.retry) => Next::WaitUntil(at.plus(waits.retry)),
            Call::Unknown(attempt, _) => Next::Act(Do::Call(attempt + 1)),
            Call::Yes(at) if now < at.plus(waits.close) => Next::WaitUntil(at.plus(waits.close)),
            Call::Yes(_) => Next::Act(Do::Close(true)),
            Call::Published(_) | Call::No => unreachable!("not asked while a call is unanswered"),
        }
    }

    fn unanswered(&self) -> Option<Command> {
        match self.call {
            Call::Published(attempt) => Some(Command::new::<Self>(&self.id, "call", attempt).unwrap()),
            _ => None,
        }
    }

    fn type_meaning(event_type: &str) -> TypeMeaning {
        match event_type {
            "ErrandBegun" => TypeMeaning::Begins,
            "ErrandDelivered" | "ErrandDropped" => TypeMeaning::Ends,
            _ => TypeMeaning::Neither,
        }
    }
}

/// What the courier does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temper {
    /// Says yes.
    Willing,
    /// Says no.
    Busy,
    /// Does it and the answer is lost, twice.
    LosesAnswers,
    /// The first two commands never arrive.
    LosesCommands,
    /// No answer ever comes.
    Silent,
}

pub(super) const TEMPERS: [Temper; 5] =
    [Temper::Willing, Temper::Busy, Temper::LosesAnswers, Temper::LosesCommands, Temper::Silent];

#[derive(Debug, Default)]
pub(super) struct Parcel {
    pub(super) commands: u32,
    pub(super) queries: u32,
    /// How often it was carried. Once, or the key was not honoured.
    pub(super) carried: u32,
    pub(super) refused: bool,
}

/// The outside: it outlives every life of the store.
#[derive(Debug)]
pub(super) struct Courier {
    temper: Temper,
    parcels: Mutex<BTreeMap<String, Parcel>>,
}

impl Courier {
    pub(super) fn new(temper: Temper) -> Arc<Self> {
        Arc::new(Self { temper, parcels: Mutex::new(BTreeMap::new()) })
    }

    fn take(&self, key: &str, is_query: bool) -> Answer {
        let mut parcels = self.parcels.lock();
        let parcel = parcels.entry(key.to_owned()).or_default();
        parcel.queries += u32::from(is_query);
        parcel.commands += 1;
        let is_early = parcel.commands <= 2;
        match self.temper {
            Temper::Silent => return Answer::Unknown,
            Temper::LosesCommands if is_early => return Answer::Unknown,
            Temper::Busy => parcel.refused = true,
            // A key is acted on once.
            _ => parcel.carried = 1,
        }
        match self.temper {
            Temper::LosesAnswers if is_early => Answer::Unknown,
            Temper::Busy => Answer::No,
            _ => Answer::Yes,
        }
    }

    pub(super) fn parcels(&self) -> BTreeMap<String, (u32, u32)> {
        self.parcels.lock().iter().map(|(key, parcel)| (key.clone(), (parcel.commands, parcel.carried))).collect()
    }

    pub(super) fn queries(&self) -> u32 {
        self.parcels.lock().values().map(|parcel| parcel.queries).sum()
    }
}

/// Called within a call of the courier.
pub(super) type Meanwhile = Box<dyn Fn(&Store, &Errand) + Send + Sync>;

pub(super) struct Hands {
    store: Store,
    stocks: Repository<Stock>,
    courier: Arc<Courier>,
    meanwhile: Option<Meanwhile>,
}

impl Hands {
    /// The rule that everything rests on, looked up in the log.
    fn check_intent(&self, saga: &Errand, command: &Published<'_>) {
        assert!(
            self.store.durable_sequence() >= self.store.last_sequence(),
            "a store that syncs shows what is durable"
        );
        let mut intents = 0;
        for event in self.store.read_stream(&load::stream_of::<Errand>(&saga.id).unwrap(), ..) {
            let event = event.unwrap();
            intents += u32::from(Fact::decode(&event).unwrap() == Fact::Called { attempt: command.attempt() });
        }
        assert_eq!(intents, 1, "{}: each attempt has one intent, on record before it is sent", saga.id);
        assert_eq!(command.idempotency_key(), format!("errand-{}/call", saga.id), "the same over all attempts");
    }

    fn call(&self, saga: &Errand, command: &Published<'_>, is_query: bool) -> Result<Vec<Fact>> {
        self.check_intent(saga, command);
        let answer = self.courier.take(command.idempotency_key(), is_query);
        if let Some(meanwhile) = &self.meanwhile {
            meanwhile(&self.store, saga);
        }
        Ok(vec![Fact::Answered { attempt: command.attempt(), answer }])
    }
}

impl SagaHandler<Errand> for Hands {
    fn prepare(&self, saga: &Errand, action: Do, _: Timestamp) -> Result<Work<Fact>> {
        let work = Work::new();
        Ok(match action {
            Do::Take => match self.stocks.decide(STOCK, &StockCommand::Take(saga.goods)) {
                Ok(decision) => work.event(Fact::Taken).effect(&self.stocks, decision),
                Err(ExecuteError::Refused(TooFew)) => work.event(Fact::Refused),
                Err(ExecuteError::Store(error)) => return Err(error),
            },
            Do::PutBack => {
                let decision = self.stocks.decide(STOCK, &StockCommand::Put(saga.goods))?;
                work.event(Fact::PutBack).effect(&self.stocks, decision)
            }
            Do::Call(attempt) => {
                work.publish(Command::new::<Errand>(&saga.id, "call", attempt)?, Fact::Called { attempt })
            }
            Do::GiveUp => work.event(Fact::TimedOut),
            Do::Close(true) => work.event(Fact::Delivered),
            Do::Close(false) => work.event(Fact::Dropped),
        })
    }

    fn send(&self, saga: &Errand, command: &Published<'_>) -> Result<Vec<Fact>> {
        self.call(saga, command, false)
    }

    fn query(&self, saga: &Errand, command: &Published<'_>) -> Result<Vec<Fact>> {
        self.call(saga, command, true)
    }
}

pub(super) type Errands = SagaDriver<Errand, Hands>;

#[derive(Clone)]
pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) clock: ManualClock,
    pub(super) courier: Arc<Courier>,
}

impl Bench {
    pub(super) fn new(temper: Temper) -> Self {
        let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
        let store = Store::in_memory(Options::new().clock(Arc::new(clock.clone()))).unwrap();
        let stocks = Repository::<Stock>::new(store.clone(), SnapshotPolicy::Never);
        stocks.execute(STOCK, &ExecuteOptions::default(), &StockCommand::Put(STOCKED)).unwrap();
        Self { store, clock, courier: Courier::new(temper) }
    }

    /// As after a restart: nothing in memory but the store.
    pub(super) fn driver(&self) -> Errands {
        self.driver_with(SagaOptions::default(), None)
    }

    pub(super) fn driver_with(&self, options: SagaOptions, meanwhile: Option<Meanwhile>) -> Errands {
        let stocks = Repository::new(self.store.clone(), SnapshotPolicy::Never);
        let hands = Hands { store: self.store.clone(), stocks, courier: Arc::clone(&self.courier), meanwhile };
        SagaDriver::new(self.store.clone(), hands, WAITS, options).unwrap()
    }

    pub(super) fn cut_after(&self, points: u64) -> Errands {
        self.driver().with_cuts(Cuts::after(points))
    }

    pub(super) fn begun(&self, goods: u64) -> Fact {
        Fact::Begun { goods, deadline: self.store.now().plus(Duration::from_secs(3_600)) }
    }

    pub(super) fn start(&self, driver: &Errands, saga_id: &str, goods: u64) -> Errand {
        driver.start(saga_id, &[self.begun(goods)], &Metadata::default()).unwrap()
    }

    /// Polls until nothing is due any more, whatever the time.
    pub(super) fn poll_out(driver: &Errands) -> Result<()> {
        let mut now = Timestamp::EPOCH;
        for _ in 0..1_000 {
            let report = driver.poll(now)?;
            assert!(report.failed.is_empty(), "{report:?}");
            let Some(due) = report.next_due else { return Ok(()) };
            now = now.max(due);
        }
        panic!("an errand has an end");
    }

    /// What the log says: for each errand its end and how often it has one, the attempts published, and the goods on the shelf.
    pub(super) fn told(&self) -> (BTreeMap<String, Vec<bool>>, BTreeMap<String, u32>) {
        let (mut ends, mut calls) = (BTreeMap::<String, Vec<bool>>::new(), BTreeMap::<String, u32>::new());
        for event in self.store.read_all(Sequence::FIRST..) {
            let event = event.unwrap();
            let Some(id) = event.stream.aggregate_id("errand") else { continue };
            match Fact::decode(&event).unwrap() {
                Fact::Delivered => ends.entry(id.to_owned()).or_default().push(true),
                Fact::Dropped => ends.entry(id.to_owned()).or_default().push(false),
                Fact::Called { attempt } => {
                    let calls = calls.entry(id.to_owned()).or_default();
                    *calls += 1;
                    assert_eq!(*calls, attempt, "{id}: attempts are published one by one");
                }
                _ => {}
            }
        }
        (ends, calls)
    }

    pub(super) fn left(&self) -> u64 {
        Repository::<Stock>::new(self.store.clone(), SnapshotPolicy::Never).load(STOCK).unwrap().state.left
    }
}
