//! The way to the card gateway. A request may get lost, or arrive late, even after the till has crashed and come back; an
//! answer may get lost; for spells there is no network at all. The gateway itself is the library's, and keeps its two rules: a
//! key acts once, and a void precludes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use bitacora::disk::sim::Random;
use bitacora::money::Money;
use bitacora::payment::{
    GatewayAnswer, GatewayCommand, GatewayOutcome, GatewayProfile, Journal, MemoryGateway, PaymentGateway,
};

/// A key is in trouble so often on the road; the gateway's own time-outs come on top.
pub const TROUBLES_PER_KEY_MAX: u32 = 2;

/// Calls that a spell without a network lasts for.
const SPELL_CALLS_MAX: u64 = 12;

/// How bad the road is.
#[derive(Clone, Copy, Debug)]
pub struct Temper {
    /// Calls that go wrong, per mille.
    pub trouble_permille: u64,
    /// Calls at which a spell without a network begins, per mille.
    pub offline_permille: u64,
    /// How the gateway itself behaves.
    pub profile: GatewayProfile,
}

impl Temper {
    /// One of all.
    #[must_use]
    pub fn drawn(random: &mut Random) -> Self {
        let permille = |random: &mut Random, choices: [u16; 3]| choices[random.index(choices.len())];
        Self {
            trouble_permille: [0, 150, 400, 800][random.index(4)],
            offline_permille: [0, 0, 60, 250][random.index(4)],
            profile: GatewayProfile {
                decline_permille: permille(random, [0, 100, 400]),
                timeout_after_permille: permille(random, [0, 0, 200]),
                timeout_before_permille: permille(random, [0, 0, 200]),
                seed: random.next_u64(),
                settles: random.below(3) == 0,
            },
        }
    }
}

#[derive(Clone, Debug)]
struct Request {
    number: u64,
    command: GatewayCommand,
    key: String,
    target: String,
    amount: Option<Money>,
}

#[derive(Clone, Debug)]
struct Traffic {
    random: Random,
    trouble_permille: u64,
    offline_permille: u64,
    /// Calls that still find no network.
    offline: u64,
    requests: u64,
    under_way: Vec<Request>,
    troubles: HashMap<String, u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    AnswerLost,
    RequestLost,
    RequestLate,
}

impl Traffic {
    /// Whether a call finds no network.
    fn is_away(&mut self) -> bool {
        if self.offline == 0 && self.random.below(1000) < self.offline_permille {
            self.offline = 1 + self.random.below(SPELL_CALLS_MAX);
        }
        let is_away = self.offline > 0;
        self.offline = self.offline.saturating_sub(1);
        is_away
    }

    fn is_in_trouble(&mut self, key: &str) -> bool {
        if self.random.below(1000) >= self.trouble_permille {
            return false;
        }
        let troubles = self.troubles.entry(key.to_owned()).or_default();
        *troubles += 1;
        *troubles <= TROUBLES_PER_KEY_MAX
    }

    fn fate(&mut self, key: &str) -> Fate {
        if !self.is_in_trouble(key) {
            return Fate::Answered;
        }
        [Fate::AnswerLost, Fate::RequestLost, Fate::RequestLate][self.random.index(3)]
    }
}

/// What happens at the till while it waits for an answer.
pub type Beside = Box<dyn FnMut(&str) + Send>;

/// The way to a gateway.
pub struct Road {
    gateway: MemoryGateway,
    traffic: Mutex<Traffic>,
    beside: Mutex<Option<Beside>>,
}

impl fmt::Debug for Road {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Road").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

impl Road {
    /// A road on which nothing was sent.
    #[must_use]
    pub fn new(temper: Temper, random: Random) -> Self {
        let traffic = Traffic {
            random,
            trouble_permille: temper.trouble_permille,
            offline_permille: temper.offline_permille,
            offline: 0,
            requests: 0,
            under_way: Vec::new(),
            troubles: HashMap::new(),
        };
        Self { gateway: MemoryGateway::new(temper.profile), traffic: Mutex::new(traffic), beside: Mutex::new(None) }
    }

    /// As it is now, for what follows if the till crashes here: what is under way stays under way.
    #[must_use]
    pub fn fork(&self) -> Self {
        let traffic = self.traffic().clone();
        Self { gateway: self.gateway.fork(), traffic: Mutex::new(traffic), beside: Mutex::new(None) }
    }

    /// Has `beside` called with its key while a request is under way; not within another such call.
    pub fn set_beside(&self, beside: Option<Beside>) {
        *self.beside.lock().expect("no panic under this lock") = beside;
    }

    /// All that is still under way arrives.
    pub fn all_arrives(&self) {
        let late = std::mem::take(&mut self.traffic().under_way);
        late.iter().for_each(|request| drop(self.deliver(request)));
    }

    /// What the gateway did.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.gateway.journal()
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().expect("no panic under this lock")
    }

    fn deliver(&self, request: &Request) -> GatewayAnswer {
        let Request { command, key, target, amount, .. } = request;
        let amount = || amount.expect("a command with an amount");
        match command {
            GatewayCommand::Authorise => self.gateway.authorise(key, amount(), ""),
            GatewayCommand::Capture => self.gateway.capture(key, target, amount()),
            GatewayCommand::Void => self.gateway.void(key, target),
            GatewayCommand::Refund => self.gateway.refund(key, target, amount()),
            GatewayCommand::Settle => self.gateway.settle(key, target, amount()),
        }
    }

    fn meanwhile(&self, key: &str) {
        // Taken out, so that a call within finds none.
        let beside = self.beside.lock().expect("no panic under this lock").take();
        let Some(mut beside) = beside else { return };
        beside(key);
        let mut place = self.beside.lock().expect("no panic under this lock");
        place.get_or_insert(beside);
    }

    /// One in four of the other requests under way arrives now.
    fn some_arrive(&self, number: u64) {
        let mut late = Vec::new();
        {
            let mut traffic = self.traffic();
            let Traffic { random, under_way, .. } = &mut *traffic;
            under_way.retain(|request| {
                let arrives = request.number != number && random.below(4) == 0;
                late.extend(arrives.then(|| request.clone()));
                !arrives
            });
        }
        late.iter().for_each(|request| drop(self.deliver(request)));
    }

    fn send(&self, command: GatewayCommand, key: &str, target: &str, amount: Option<Money>) -> GatewayAnswer {
        let (request, fate) = {
            let mut traffic = self.traffic();
            if traffic.is_away() {
                return GatewayAnswer::Offline;
            }
            traffic.requests += 1;
            let number = traffic.requests;
            let request = Request { number, command, key: key.to_owned(), target: target.to_owned(), amount };
            // Before anything else happens: a till that crashes now has a request under way.
            traffic.under_way.push(request.clone());
            (request, traffic.fate(key))
        };
        self.meanwhile(key);
        self.some_arrive(request.number);
        if fate != Fate::RequestLate {
            self.traffic().under_way.retain(|other| other.number != request.number);
        }
        match fate {
            Fate::Answered => self.deliver(&request),
            Fate::AnswerLost => {
                self.deliver(&request);
                GatewayAnswer::Unknown
            }
            Fate::RequestLost | Fate::RequestLate => GatewayAnswer::Unknown,
        }
    }
}

impl PaymentGateway for Road {
    fn authorise(&self, key: &str, amount: Money, _reference: &str) -> GatewayAnswer {
        self.send(GatewayCommand::Authorise, key, "", Some(amount))
    }

    fn capture(&self, key: &str, authorise_key: &str, amount: Money) -> GatewayAnswer {
        self.send(GatewayCommand::Capture, key, authorise_key, Some(amount))
    }

    fn void(&self, key: &str, authorise_key: &str) -> GatewayAnswer {
        self.send(GatewayCommand::Void, key, authorise_key, None)
    }

    fn refund(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        self.send(GatewayCommand::Refund, key, capture_key, Some(amount))
    }

    fn settles(&self) -> bool {
        self.gateway.settles()
    }

    fn settle(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        self.send(GatewayCommand::Settle, key, capture_key, Some(amount))
    }

    fn is_online(&self) -> bool {
        !self.traffic().is_away()
    }

    fn query(&self, key: &str) -> GatewayOutcome {
        if self.traffic().is_away() {
            return GatewayOutcome::Offline;
        }
        self.some_arrive(0);
        let is_lost = self.traffic().is_in_trouble(key);
        if is_lost { GatewayOutcome::Unknown } else { self.gateway.query(key) }
    }
}
