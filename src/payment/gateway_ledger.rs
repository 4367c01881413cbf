//! What the gateways of this crate do: a pure state machine over calls, without files or clocks.
//!
//! A call is decided from the key and from what the ledger holds of it; the decision is an [`Entry`], and applying the
//! entries in order is the whole state. Whoever keeps the entries can be rebuilt from them.
//!
//! Invariants: a key is resolved at most once, and answers the same ever after; what is captured of an authorisation never
//! exceeds it; what was voided is never authorised or captured later; every key answers by its third call.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::gateway::{GatewayAnswer, GatewayCommand, GatewayOutcome};
use crate::money::Money;

/// Calls under one key that may time out; the next one answers.
const TIMEOUTS_PER_KEY_MAX: u32 = 2;

/// How often such a gateway declines and times out. What happens to a key depends on the key and the seed alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayProfile {
    /// Authorisations that are declined, per mille.
    pub decline_permille: u16,
    /// Keys whose first calls act and then time out, per mille.
    pub timeout_after_permille: u16,
    /// Keys whose first calls time out without acting, per mille.
    pub timeout_before_permille: u16,
    /// Another seed, other keys.
    pub seed: u64,
    /// Whether captures have to be settled.
    pub settles: bool,
}

impl Default for GatewayProfile {
    fn default() -> Self {
        Self { decline_permille: 60, timeout_after_permille: 50, timeout_before_permille: 50, ..Self::always_approve() }
    }
}

impl GatewayProfile {
    /// A gateway that approves whatever is in order, at once.
    #[must_use]
    pub const fn always_approve() -> Self {
        Self { decline_permille: 0, timeout_after_permille: 0, timeout_before_permille: 0, seed: 0, settles: false }
    }

    /// The same, and captures have to be settled.
    #[must_use]
    pub const fn settling(mut self) -> Self {
        self.settles = true;
        self
    }

    /// The same with this seed.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    fn plan(&self, key: &str) -> Plan {
        let mut hasher = Sha256::new();
        hasher.update(self.seed.to_le_bytes());
        hasher.update(key.as_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let draw = |place: usize, below: u16| {
            let low = digest.get(place).copied().unwrap_or_default();
            let high = digest.get(place + 1).copied().unwrap_or_default();
            u16::from_le_bytes([low, high]) % below
        };
        let timeouts = if draw(4, 3) == 0 { TIMEOUTS_PER_KEY_MAX } else { 1 };
        let timing = draw(2, 1_000);
        let (timeouts, acts_first) = if timing < self.timeout_after_permille {
            (timeouts, true)
        } else if timing < self.timeout_after_permille.saturating_add(self.timeout_before_permille) {
            (timeouts, false)
        } else {
            (0, true)
        };
        Plan { declines: draw(0, 1_000) < self.decline_permille, timeouts, acts_first }
    }
}

/// What happens to a key.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// An authorisation is declined.
    declines: bool,
    /// This many of its first calls time out.
    timeouts: u32,
    /// Where they time out: the first call acts nevertheless.
    acts_first: bool,
}

/// A command as it arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) command: GatewayCommand,
    pub(crate) key: &'a str,
    /// The key of what it is about; empty of an authorisation.
    pub(crate) target: &'a str,
    pub(crate) amount: Option<Money>,
}

/// What a call changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The command was carried out.
    Acted,
    /// The command was refused for good.
    Declined(String),
    /// Nothing but the count of calls.
    Nothing,
}

/// One call that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `None`: a query.
    pub(crate) command: Option<GatewayCommand>,
    pub(crate) key: String,
    pub(crate) target: String,
    pub(crate) amount: Option<Money>,
    pub(crate) effect: Effect,
    /// Whether the caller was left without an answer.
    pub(crate) timed_out: bool,
}

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Resolution {
    Approved,
    Declined(String),
}

#[derive(Clone, Debug, Default)]
struct KeyRecord {
    calls: u32,
    command: Option<GatewayCommand>,
    target: String,
    amount: Option<Money>,
    resolution: Option<Resolution>,
}

#[derive(Clone, Debug, Default)]
struct Authorisation {
    amount: Option<Money>,
    captured: i64,
    is_voided: bool,
}

#[derive(Clone, Debug)]
struct Captured {
    amount: Money,
    refunded: i64,
    settled: i64,
}

/// The state of a gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    keys: HashMap<String, KeyRecord>,
    authorisations: HashMap<String, Authorisation>,
    captures: HashMap<String, Captured>,
}

impl Ledger {
    /// What a command changes and what it is answered. Without an entry it changes nothing.
    pub(crate) fn decide(&self, profile: &GatewayProfile, call: &Call<'_>) -> (Option<Entry>, GatewayAnswer) {
        let plan = profile.plan(call.key);
        let record = self.keys.get(call.key);
        let times_out = record.map_or(0, |record| record.calls) < plan.timeouts;
        if let Some(record) = record
            && !record.is_of(call)
        {
            return (None, GatewayAnswer::Declined { reason: "the key was used for another command".to_owned() });
        }
        let resolved = record.and_then(|record| record.resolution.as_ref());
        if let Some(resolution) = resolved
            && !times_out
        {
            return (None, resolution.answer(call.key));
        }
        let effect = if resolved.is_some() || (times_out && !plan.acts_first) {
            Effect::Nothing
        } else {
            match self.refusal(call, plan) {
                Some(reason) => Effect::Declined(reason.to_owned()),
                None => Effect::Acted,
            }
        };
        let answer = match &effect {
            _ if times_out => GatewayAnswer::Unknown,
            Effect::Acted => Resolution::Approved.answer(call.key),
            Effect::Declined(reason) => GatewayAnswer::Declined { reason: reason.clone() },
            Effect::Nothing => GatewayAnswer::Unknown,
        };
        (Some(Entry::of(call, effect, times_out)), answer)
    }

    /// What a query changes, which is at most the count of calls, and what it is answered.
    pub(crate) fn decide_query(&self, profile: &GatewayProfile, key: &str) -> (Option<Entry>, GatewayOutcome) {
        let Some(record) = self.keys.get(key) else { return (None, GatewayOutcome::NotSeen) };
        if record.calls < profile.plan(key).timeouts {
            let entry = Entry {
                command: None,
                key: key.to_owned(),
                target: String::new(),
                amount: None,
                effect: Effect::Nothing,
                timed_out: true,
            };
            return (Some(entry), GatewayOutcome::Unknown);
        }
        let outcome = match &record.resolution {
            None => GatewayOutcome::NotSeen,
            Some(Resolution::Approved) => GatewayOutcome::Approved { reference: reference_of(key) },
            Some(Resolution::Declined(reason)) => GatewayOutcome::Declined { reason: reason.clone() },
        };
        (None, outcome)
    }

    /// Takes an entry into the state.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        let record = self.keys.entry(entry.key.clone()).or_default();
        record.calls = record.calls.saturating_add(1);
        let Some(command) = entry.command else { return };
        record.command = Some(command);
        record.target.clone_from(&entry.target);
        record.amount = entry.amount;
        match &entry.effect {
            Effect::Nothing => {}
            Effect::Declined(reason) => record.resolution = Some(Resolution::Declined(reason.clone())),
            Effect::Acted => {
                record.resolution = Some(Resolution::Approved);
                self.act(command, entry);
            }
        }
    }

    fn act(&mut self, command: GatewayCommand, entry: &Entry) {
        match (command, entry.amount) {
            (GatewayCommand::Authorise, amount) => {
                self.authorisations.entry(entry.key.clone()).or_default().amount = amount;
            }
            (GatewayCommand::Void, _) => {
                self.authorisations.entry(entry.target.clone()).or_default().is_voided = true;
            }
            (GatewayCommand::Capture, Some(amount)) => {
                let authorisation = self.authorisations.entry(entry.target.clone()).or_default();
                authorisation.captured = authorisation.captured.saturating_add(amount.minor);
                self.captures.insert(entry.key.clone(), Captured { amount, refunded: 0, settled: 0 });
            }
            (GatewayCommand::Refund, Some(amount)) => {
                if let Some(captured) = self.captures.get_mut(&entry.target) {
                    captured.refunded = captured.refunded.saturating_add(amount.minor);
                }
            }
            (GatewayCommand::Settle, Some(amount)) => {
                if let Some(captured) = self.captures.get_mut(&entry.target) {
                    captured.settled = captured.settled.saturating_add(amount.minor);
                }
            }
            (GatewayCommand::Capture | GatewayCommand::Refund | GatewayCommand::Settle, None) => {}
        }
    }

    /// Why a command cannot be carried out.
    fn refusal(&self, call: &Call<'_>, plan: Plan) -> Option<&'static str> {
        if call.command != GatewayCommand::Void && call.amount.is_none_or(|amount| amount.minor <= 0) {
            return Some("the amount must be positive");
        }
        let target = self.authorisations.get(call.target);
        match call.command {
            GatewayCommand::Authorise => {
                let is_voided = self.authorisations.get(call.key).is_some_and(|authorisation| authorisation.is_voided);
                is_voided.then_some("it was voided before").or_else(|| plan.declines.then_some("the issuer declined"))
            }
            GatewayCommand::Void => {
                target.is_some_and(|authorisation| authorisation.captured > 0).then_some("it is captured already")
            }
            GatewayCommand::Capture => {
                let Some(Authorisation { amount: Some(authorised), captured, is_voided }) = target else {
                    return Some("nothing is authorised");
                };
                if *is_voided {
                    return Some("the authorisation is voided");
                }
                let exceeds = !fits(call.amount, *authorised, *captured);
                exceeds.then_some("it exceeds what is authorised")
            }
            GatewayCommand::Refund => {
                let Some(captured) = self.captures.get(call.target) else { return Some("nothing is captured") };
                let exceeds = !fits(call.amount, captured.amount, captured.refunded);
                exceeds.then_some("it exceeds what is captured")
            }
            GatewayCommand::Settle => {
                let Some(captured) = self.captures.get(call.target) else { return Some("nothing is captured") };
                let exceeds = !fits(call.amount, captured.amount, captured.settled);
                exceeds.then_some("it exceeds what is captured")
            }
        }
    }
}

/// Whether `amount` fits into what `used` leaves of `total`.
fn fits(amount: Option<Money>, total: Money, used: i64) -> bool {
    amount.is_some_and(|amount| {
        amount.currency == total.currency && used.checked_add(amount.minor).is_some_and(|sum| sum <= total.minor)
    })
}

/// The gateway's own name for what it did under `key`.
fn reference_of(key: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    digest.iter().take(6).fold("g-".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

impl Resolution {
    fn answer(&self, key: &str) -> GatewayAnswer {
        match self {
            Self::Approved => GatewayAnswer::Approved { reference: reference_of(key) },
            Self::Declined(reason) => GatewayAnswer::Declined { reason: reason.clone() },
        }
    }
}

impl KeyRecord {
    /// Whether `call` is the command this key was used for. A key that was only asked about fits any.
    fn is_of(&self, call: &Call<'_>) -> bool {
        self.command
            .is_none_or(|command| command == call.command && self.target == call.target && self.amount == call.amount)
    }
}

impl Entry {
    fn of(call: &Call<'_>, effect: Effect, timed_out: bool) -> Self {
        Self {
            command: Some(call.command),
            key: call.key.to_owned(),
            target: call.target.to_owned(),
            amount: call.amount,
            effect,
            timed_out,
        }
    }
}
