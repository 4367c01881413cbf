//! What customers and the shop ask of the wallets, beside payments. Each has a command id, so that it can be asked for again
//! after a crash: the first outcome must come back then.

use std::time::Duration;

use bitacora::Sequence;
use bitacora::aggregate::{ExecuteError, ExecuteOptions, Repository};
use bitacora::disk::sim::Random;
use bitacora::money::Money;
use bitacora::wallet::{Transfer, Wallet, WalletCommand, WalletLimits, WalletRefusal, transfer};
use bitacora::{ErrorKind, Metadata};

use super::till::{USERS, euro};

/// Holds that are no payment's, by name; few, so that what is asked of them meets.
const HOLDS: u64 = 3;

/// Something that is asked of one wallet or of both.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Of one of [`USERS`].
    One {
        /// Which.
        user: usize,
        /// What.
        command: WalletCommand,
    },
    /// Money goes from one to the other.
    Transfer(Transfer),
}

/// Names the deed of a number for ever.
#[must_use]
pub fn command_id(number: usize) -> String {
    format!("deed-{number}")
}

fn money(minor: i64) -> Money {
    Money::new(minor, euro())
}

fn up_to(random: &mut Random, most: u64) -> i64 {
    1 + random.below(most) as i64
}

impl Deed {
    /// Money that is put in.
    #[must_use]
    pub fn deposit(user: usize, minor: i64) -> Self {
        Self::One { user, command: WalletCommand::Deposit { amount: money(minor) } }
    }

    /// All that is asked for, in the order in which it is.
    #[must_use]
    pub fn list(random: &mut Random, payments: usize) -> Vec<Self> {
        let mut deeds = vec![Self::deposit(0, 1_000), Self::deposit(1, 1_001)];
        for number in 0..4 + random.index(7) {
            deeds.push(Self::drawn(random, number, payments));
        }
        // Most freezes end, so that there is something to crash.
        for user in 0..USERS.len() {
            let is_freeze = |deed: &Self| matches!(deed, Self::One { user: of, command: WalletCommand::Freeze { .. } } if *of == user);
            if deeds.iter().any(is_freeze) && random.below(4) > 0 {
                deeds.push(Self::One { user, command: WalletCommand::Unfreeze });
            }
        }
        deeds
    }

    fn drawn(random: &mut Random, number: usize, payments: usize) -> Self {
        let user = if random.below(3) == 0 { 1 } else { 0 };
        let hold_id = format!("h{}", random.below(HOLDS));
        let command = match random.below(22) {
            0..=3 => {
                return Self::Transfer(Transfer {
                    transfer_id: format!("t{number}"),
                    from_user_id: USERS[user].to_owned(),
                    to_user_id: USERS[1 - user].to_owned(),
                    amount: money(up_to(random, 600)),
                });
            }
            4..=7 => WalletCommand::Hold {
                hold_id,
                amount: money(up_to(random, 400)),
                payment_id: None,
                time_to_live: [None, Some(500), Some(1_000_000), Some(100_000_000)][random.index(4)]
                    .map(Duration::from_micros),
            },
            8 => WalletCommand::IncreaseHold { hold_id, amount: money(up_to(random, 200)) },
            9 => {
                let time_to_live = Duration::from_millis(1 + random.below(400_000));
                WalletCommand::ExtendHold { hold_id, time_to_live }
            }
            10..=12 => {
                let amount = money(up_to(random, 250));
                WalletCommand::Capture { hold_id, amount, is_final: random.below(2) == 0 }
            }
            13 => WalletCommand::Release { hold_id },
            14 => WalletCommand::Expire { hold_id },
            15 | 16 => {
                let of_payment = random.below(2) == 0;
                let hold_id = if of_payment { format!("p{}", random.index(payments)) } else { hold_id };
                WalletCommand::Refund { hold_id, amount: money(up_to(random, 300)) }
            }
            17 => {
                let minor = if random.below(2) == 0 { up_to(random, 300) } else { -up_to(random, 300) };
                let (reason, operator) = ("counted anew".to_owned(), "olga".to_owned());
                WalletCommand::Adjust { amount: money(minor), reason, operator }
            }
            18 => WalletCommand::Freeze { debits_only: random.below(2) == 0 },
            19 => WalletCommand::SetOverdraft { overdraft_limit: random.below(200) as i64 },
            20 => WalletCommand::SetLimits { limits: limits(random) },
            _ if random.below(4) == 0 => WalletCommand::Close,
            _ => WalletCommand::Withdraw { amount: money(up_to(random, 300)) },
        };
        Self::One { user, command }
    }

    /// Asks for it under the command id of `number`. Some: the first event of its outcome. None: nothing followed.
    ///
    /// # Errors
    /// The wallet's refusal, or the store's.
    pub fn ask(
        &self,
        wallets: &Repository<Wallet>,
        number: usize,
    ) -> Result<Option<Sequence>, ExecuteError<WalletRefusal>> {
        let command_id = command_id(number);
        let metadata = Metadata { causation_id: Some(command_id.clone()), ..Metadata::default() };
        let once = ExecuteOptions { command_id: Some(&command_id), metadata, ..ExecuteOptions::default() };
        let receipt = match self {
            Self::One { user, command } => wallets.execute(USERS[*user], &once, command)?.receipt,
            Self::Transfer(asked) => transfer(wallets, &once, asked)?.receipt,
        };
        Ok(receipt.map(|receipt| receipt.sequence_first))
    }

    /// Asks for something else under the command id of one that was carried out: it must be told so.
    ///
    /// # Panics
    /// Where it is not.
    pub fn ask_other(&self, wallets: &Repository<Wallet>, number: usize) {
        let other = match self {
            Self::One { user, .. } => Self::deposit(*user, 7),
            Self::Transfer(asked) => {
                let amount = money(asked.amount.minor + 1);
                Self::Transfer(Transfer { amount, transfer_id: "other".to_owned(), ..asked.clone() })
            }
        };
        match other.ask(wallets, number) {
            Err(ExecuteError::Store(error)) if error.kind() == ErrorKind::IdempotencyConflict => {}
            answer => panic!("{} was asked with other content, and answered {answer:?}", command_id(number)),
        }
    }

    /// Whether it may be refused with this name.
    #[must_use]
    pub fn may_be_refused(&self, name: &str) -> bool {
        const DEBIT: &[&str] = &["InsufficientFunds", "Frozen", "Closed", "LimitExceeded"];
        const OPEN_HOLD: &[&str] = &["HoldNotFound", "HoldResolved", "HoldExpired"];
        let lists: &[&[&str]] = match self {
            Self::Transfer(_) => &[DEBIT, &["MaxBalance"]],
            Self::One { command, .. } => match command {
                WalletCommand::Deposit { .. } => &[&["Frozen", "Closed", "MaxBalance"]],
                WalletCommand::Withdraw { .. } => &[DEBIT],
                WalletCommand::Hold { .. } => &[DEBIT, &["HoldExists"]],
                WalletCommand::IncreaseHold { .. } => &[DEBIT, OPEN_HOLD],
                WalletCommand::ExtendHold { .. } => &[OPEN_HOLD, &["Closed"]],
                WalletCommand::Capture { .. } => &[OPEN_HOLD, &["CaptureExceedsHold"]],
                WalletCommand::Release { .. } => &[&["HoldNotFound", "HoldResolved"]],
                WalletCommand::Expire { .. } => &[&["HoldNotFound", "HoldResolved", "HoldNotExpired"]],
                WalletCommand::Refund { .. } => &[&["CaptureNotFound", "RefundExceedsCapture", "Closed"]],
                WalletCommand::Adjust { .. } | WalletCommand::SetOverdraft { .. } => {
                    &[&["WouldBreakInvariant", "Closed"]]
                }
                WalletCommand::SetLimits { .. } => &[&["Closed"]],
                WalletCommand::Freeze { .. } | WalletCommand::Unfreeze => &[&["InvalidState"]],
                WalletCommand::Close => &[&["NonZeroBalance", "ActiveHolds", "InvalidState"]],
                _ => &[],
            },
        };
        lists.iter().any(|list| list.contains(&name))
    }
}

fn limits(random: &mut Random) -> WalletLimits {
    let mut maybe = |most: u64| (random.below(2) == 0).then(|| 100 + random.below(most) as i64);
    WalletLimits { per_transaction: maybe(900), per_day: maybe(3_000), balance_max: maybe(3_000) }
}
