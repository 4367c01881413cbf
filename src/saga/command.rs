//! Commands to the outside, and the proof that one may be sent.

use uuid::Uuid;

use super::load::LoadedSaga;
use super::{Saga, load};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;

/// The space of command ids, drawn once.
const COMMAND_NAMESPACE: Uuid =
    Uuid::from_bytes([0xb3, 0x7e, 0x51, 0x0c, 0x2a, 0x94, 0x4d, 0x18, 0x9f, 0x63, 0xe8, 0x0d, 0x47, 0xc5, 0x1b, 0x72]);

/// A command of a saga to something outside the store, by name. Whoever decides the same command gives it the same names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    step: String,
    attempt: u32,
    command_id: Uuid,
    idempotency_key: String,
}

impl Command {
    /// The command of a step of a saga; `attempt` counts from 1.
    ///
    /// # Errors
    /// `InvalidInput`: the step is empty or has a `/`, which parts it from the saga in the key; the attempt is 0; or the
    /// saga's id makes no stream's name.
    pub fn new<S: Saga>(saga_id: &str, step: &str, attempt: u32) -> Result<Self> {
        if step.is_empty() || step.contains('/') || attempt == 0 {
            let text = format!("{step:?}, attempt {attempt}: a step has a name without '/', attempts count from 1");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let idempotency_key = format!("{}/{step}", load::stream_of::<S>(saga_id)?);
        let command_id = Uuid::new_v5(&COMMAND_NAMESPACE, format!("{idempotency_key}/{attempt}").as_bytes());
        Ok(Self { step: step.to_owned(), attempt, command_id, idempotency_key })
    }

    /// A command with names of its own making, which must be as stable.
    pub(crate) fn named(step: &str, attempt: u32, command_id: Uuid, idempotency_key: String) -> Self {
        Self { step: step.to_owned(), attempt, command_id, idempotency_key }
    }

    /// The step it is of.
    #[must_use]
    pub fn step(&self) -> &str {
        &self.step
    }

    /// Which attempt, or group of attempts, of the step, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The id of this attempt: UUIDv5 of saga, step and attempt.
    #[must_use]
    pub fn command_id(&self) -> Uuid {
        self.command_id
    }

    /// `<saga_type>-<saga_id>/<step>`: the same over all attempts. The other side must act on a key once.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }
}

/// A command whose intent is on record, durably. Only a driver makes one, so a handler that asks for it cannot be called before
/// that.
#[derive(Clone, Copy, Debug)]
pub struct Published<'a>(&'a Command);

impl<'a> Published<'a> {
    /// Sees to it that everything that `loaded` rests on, the intent with it, is durable. It was read, which a store that syncs
    /// now and then allows before that.
    ///
    /// # Errors
    /// Those of [`Store::sync`].
    pub(super) fn of<S: Saga>(store: &Store, loaded: &LoadedSaga<S>, command: &'a Command) -> Result<Self> {
        if store.durable_sequence() < loaded.last_event_sequence {
            store.sync()?;
        }
        assert!(store.durable_sequence() >= loaded.last_event_sequence, "an intent is durable before it is acted on");
        Ok(Self(command))
    }
}

impl std::ops::Deref for Published<'_> {
    type Target = Command;

    fn deref(&self) -> &Command {
        self.0
    }
}
