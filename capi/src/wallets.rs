//! Commands on wallets and payments, and a wallet's balance.

use bitacora::ErrorKind;

use crate::code::{Code, Stop, guarded};
use crate::store::OpenStore;
use crate::values::{Buffer, Slice, give, needed, shared};
use crate::verbs::command::answer;

/// A wallet's amounts, in minor units.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WalletBalance {
    /// What it holds.
    pub balance: i64,
    /// What of that is locked by holds.
    pub locked_balance: i64,
    /// What of that is not.
    pub available_balance: i64,
    /// The wallet's version.
    pub version: u64,
    /// The currency's code in ISO 4217, with a zero behind it.
    pub currency: [u8; 4],
}

/// Carries out one command on a wallet or a payment, and waits until its outcome is durable.
///
/// `command` is one JSON object, as a line of `bitacora command`; `answer` gets the JSON object that is printed there. Both are
/// described in `src/docs/command_line.md`. `BITACORA_CODE_OK`: it is done, now or by an earlier call with the same "command_id".
/// `BITACORA_CODE_REFUSED`: a rule said no, and `answer` says which; a payment that was not paid is one too.
/// `BITACORA_CODE_INVALID_INPUT`: it is no command. Any other code: the store failed, and the same command can be given again.
///
/// The first command recovers wallets and payments to ready, and goes on with payments that were under way.
///
/// # Safety
/// Every pointer is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_command(store: *const OpenStore, command: Slice, answer_json: *mut Buffer) -> Code {
    guarded(|| {
        needed(answer_json, "answer_json")?;
        // SAFETY: the caller's promise.
        let store = unsafe { shared(store, "store")? };
        // SAFETY: the caller's promise.
        let command = unsafe { command.bytes("command")? };
        let answered = answer(&*store.desk()?, command)?;
        // SAFETY: the caller's promise.
        unsafe { give(answer_json, Buffer::of(answered.json), "answer_json")? };
        match answered.refusal {
            None => Ok(()),
            Some(text) => Err(Stop::new(Code::Refused, text)),
        }
    })
}

/// A wallet's balance; `BITACORA_CODE_NOT_FOUND` where there is no such wallet. Works on a store that was opened to read, too.
///
/// # Safety
/// Every pointer is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_wallet_balance(
    store: *const OpenStore,
    user_id: Slice,
    balance: *mut WalletBalance,
) -> Code {
    guarded(|| {
        needed(balance, "balance")?;
        // SAFETY: the caller's promise.
        let store = unsafe { shared(store, "store")? };
        // SAFETY: the caller's promise.
        let user_id = unsafe { user_id.text("user_id")? };
        let loaded = store.wallets.load(user_id)?;
        let Some(currency) = loaded.state.currency() else {
            let text = format!("there is no wallet {user_id:?}");
            return Err(Stop::new(ErrorKind::NotFound.into(), text));
        };
        let mut code = [0; 4];
        for (place, byte) in code.iter_mut().zip(currency.code().bytes().take(3)) {
            *place = byte;
        }
        let answer = WalletBalance {
            balance: loaded.state.balance(),
            locked_balance: loaded.state.locked_balance(),
            available_balance: loaded.state.available(),
            version: loaded.version.get(),
            currency: code,
        };
        // SAFETY: the caller's promise.
        unsafe { give(balance, answer, "balance") }
    })
}
