//! What a child writes: a function of a seed, a writer and a number.
//!
//! Writers have streams of their own, and each makes its commits in order, so what is in the log of one of them is the first
//! so many of its planned commits, whatever became of the others. Payers deposit into and pay from shared wallets.

use std::num::NonZeroU32;
use std::time::Duration;

use bitacora::aggregate::Repository;
use bitacora::disk::sim::Random;
use bitacora::money::{Currency, Money};
use bitacora::payment::{GatewayProfile, OrchestratorOptions, PaymentRequest, RetryPolicy};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::Wallet;
use bitacora::{
    Align, CodecId, Commit, Durability, EventId, EventType, ExpectedVersion, NewEvent, Options, Preallocation, Store,
    StreamId,
};

/// Threads that write plain events.
pub const WRITERS: usize = 4;
/// Threads that deposit and pay.
pub const PAYERS: usize = 2;
/// Wallets that the payers share.
pub const USERS: usize = 3;

/// What the store must withstand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// A kill: every durability does.
    Kill,
    /// A power cut: `Durability::Sync`.
    Power,
    /// Hours of work: `Durability::Sync`, larger segments.
    Hours,
}

impl Against {
    /// As a child is told it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Power => "power",
            Self::Hours => "hours",
        }
    }

    /// # Errors
    /// It is no such word.
    pub fn parse(word: &str) -> Result<Self, String> {
        [Self::Kill, Self::Power, Self::Hours]
            .into_iter()
            .find(|against| against.word() == word)
            .ok_or_else(|| format!("against {word}?"))
    }
}

/// All that a store's children write, over all their lives.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where everything comes from.
    pub seed: u64,
    /// What the store must withstand.
    pub against: Against,
}

/// One event of a planned commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its stream.
    pub stream: String,
    /// Its id, which says whose it is.
    pub id: EventId,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Whose an event is: writer, commit, place in the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The writer.
    pub writer: usize,
    /// The number of its commit, from zero.
    pub number: u64,
    /// The place in the commit, from zero.
    pub part: u32,
}

const ID_MARK: [u8; 3] = *b"tri";

impl Owner {
    fn id(self) -> EventId {
        let mut bytes = [0; 16];
        bytes[..3].copy_from_slice(&ID_MARK);
        bytes[3] = u8::try_from(self.writer).expect("few writers");
        bytes[4..8].copy_from_slice(&self.part.to_le_bytes());
        bytes[8..].copy_from_slice(&self.number.to_le_bytes());
        EventId::from_bytes(bytes)
    }

    /// Whose event this id is of; `None` where it is nobody's.
    #[must_use]
    pub fn of(id: EventId) -> Option<Self> {
        let bytes = *id.as_bytes();
        let part = u32::from_le_bytes(bytes[4..8].try_into().ok()?);
        let number = u64::from_le_bytes(bytes[8..].try_into().ok()?);
        let is_ours = bytes[..3] == ID_MARK && usize::from(bytes[3]) < WRITERS;
        is_ours.then_some(Self { writer: bytes[3].into(), number, part })
    }
}

/// What a payer does next.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Puts money into a wallet.
    Deposit {
        /// Whose.
        user: String,
        /// How much.
        amount: Money,
    },
    /// Pays.
    Pay(PaymentRequest),
}

/// The currency of everything.
///
/// # Panics
/// Never.
#[must_use]
pub fn euro() -> Currency {
    Currency::from_code("EUR").expect("a currency of ISO 4217")
}

impl Plan {
    fn random(&self, what: u64, number: u64) -> Random {
        Random::new(self.seed ^ what.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd129_0a9a_5b1c_7f35))
    }

    /// How the store is opened: the same in every life.
    #[must_use]
    pub fn options(&self) -> Options {
        let mut random = self.random(1, 0);
        let durability = match (self.against, random.below(6)) {
            (Against::Kill, 0) => Durability::Buffered,
            (Against::Kill, 1) => Durability::Interval(Duration::from_millis(20)),
            _ => Durability::Sync,
        };
        let preallocation = [Preallocation::Grow, Preallocation::Reserve, Preallocation::ZeroFill][random.index(3)];
        let align = if random.below(4) == 0 { Align::Sector } else { Align::Packed };
        let segment_kib = match self.against {
            Against::Kill | Against::Power => [16, 64, 256, 1024][random.index(4)],
            Against::Hours => [1024, 4096][random.index(2)],
        };
        Options::new()
            .durability(durability)
            .preallocation(preallocation)
            .align(align)
            .segment_bytes(segment_kib * 1024)
            .tail_events_max([20, 200, 2_000, 100_000][random.index(4)])
            .idle_mark_after(Duration::from_millis([1, 10, 50][random.index(3)]))
    }

    /// How many commits a writer keeps in flight.
    #[must_use]
    pub fn in_flight(&self, writer: usize) -> u64 {
        [1, 1, 4, 16][self.random(2, writer as u64).index(4)]
    }

    /// The events of a writer's commit.
    #[must_use]
    pub fn events(&self, writer: usize, number: u64) -> Vec<Planned> {
        let mut random = self.random(10 + writer as u64, number);
        let streams = 1 + random.below(2);
        let first = random.below(5);
        let mut planned = Vec::new();
        for at in 0..streams {
            for _ in 0..=random.below(2) {
                let length = match random.below(100) {
                    0 => random.below(60_000),
                    1..=9 => random.below(5_000),
                    _ => random.below(300),
                };
                let mut payload = vec![0; usize::try_from(length).expect("short")];
                random.fill(&mut payload);
                let part = u32::try_from(planned.len()).expect("few");
                let stream = format!("writer-{writer}-{}", (first + at) % 5);
                planned.push(Planned { stream, id: Owner { writer, number, part }.id(), payload });
            }
        }
        planned
    }

    /// A writer's commit as the store takes it.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn commit(&self, writer: usize, number: u64) -> Commit {
        let kind = EventType::new("Noted").expect("a type's name");
        let mut commit = Commit::new().idempotency_key(key(writer, number));
        for planned in self.events(writer, number) {
            let event = NewEvent::new(kind.clone(), CodecId::RAW, planned.payload).with_id(planned.id);
            let stream = StreamId::new(&planned.stream).expect("a stream's name");
            commit = commit.append(&stream, ExpectedVersion::Any, vec![event]);
        }
        commit
    }

    /// What a payer does as its deed of this number.
    #[must_use]
    pub fn deed(&self, payer: usize, number: u64) -> Deed {
        let mut random = self.random(100 + payer as u64, number);
        let user = format!("user-{}", random.index(USERS));
        let amount = |random: &mut Random| i64::try_from(1 + random.below(2_000)).expect("small");
        if random.below(4) == 0 {
            let amount = Money::new(3 * amount(&mut random), euro());
            return Deed::Deposit { user, amount };
        }
        let request = PaymentRequest::new(deed_id(payer, number), user, euro());
        Deed::Pay(match random.below(4) {
            0 => request.by_wallet(amount(&mut random)),
            1 => request.by_card(amount(&mut random)),
            _ => request.by_wallet(amount(&mut random)).by_card(amount(&mut random)),
        })
    }

    /// The gateway's temper.
    #[must_use]
    pub fn gateway(&self) -> GatewayProfile {
        GatewayProfile::default().with_seed(self.seed)
    }

    /// How payments are carried out.
    #[must_use]
    pub fn payments(&self) -> OrchestratorOptions {
        OrchestratorOptions { retry: RetryPolicy::short(), ..OrchestratorOptions::default() }
    }

    /// The wallets, with snapshots often.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn wallets(&self, store: &Store) -> Repository<Wallet> {
        Repository::new(store.clone(), SnapshotPolicy::EveryEvents(NonZeroU32::new(20).expect("not zero")))
    }
}

/// The idempotency key of a writer's commit.
#[must_use]
pub fn key(writer: usize, number: u64) -> String {
    format!("commit-{writer}-{number}")
}

/// The id of a payer's deed: a payment's, or a command's.
#[must_use]
pub fn deed_id(payer: usize, number: u64) -> String {
    format!("deed-{payer}-{number}")
}

/// Which deed an id is of.
#[must_use]
pub fn deed_of(id: &str) -> Option<(usize, u64)> {
    let (payer, number) = id.strip_prefix("deed-")?.split_once('-')?;
    let payer = payer.parse().ok().filter(|payer| *payer < PAYERS)?;
    Some((payer, number.parse().ok()?))
}
