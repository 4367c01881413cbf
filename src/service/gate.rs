//! The gate before the services: each closed until it is ready, and for what is quarantined.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::RwLock;
use crate::types::StreamId;

/// Why a gate is closed before the first recovery.
const NOT_RECOVERED: &str = "the services have not recovered yet";

#[derive(Debug)]
struct Door {
    /// The type of the aggregates that are behind it.
    aggregate_type: Option<String>,
    /// Whether it is one of those that all commands wait for which are on nobody's streams.
    is_core: bool,
    /// Why it is closed; `None`: it is open.
    closed: Option<String>,
}

impl Door {
    fn check(&self) -> Result<()> {
        match &self.closed {
            Some(reason) => Err(Error::new(ErrorKind::NotReady, reason.clone())),
            None => Ok(()),
        }
    }

    fn is_before(&self, stream: &str) -> bool {
        let rest = self.aggregate_type.as_deref().and_then(|aggregate_type| stream.strip_prefix(aggregate_type));
        rest.is_some_and(|rest| rest.starts_with('-'))
    }
}

#[derive(Debug, Default)]
struct State {
    /// By service.
    doors: BTreeMap<String, Door>,
    quarantined: BTreeMap<String, String>,
}

impl State {
    fn check_core(&self) -> Result<()> {
        let mut core = self.doors.values().filter(|door| door.is_core).peekable();
        if core.peek().is_none() {
            return Err(Error::new(ErrorKind::NotReady, NOT_RECOVERED));
        }
        core.try_for_each(Door::check)
    }
}

/// Lets commands through once the services that they are for are ready, except those on quarantined aggregates. Clones are the
/// same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<RwLock<State>>);

impl Default for Gate {
    fn default() -> Self {
        Self::closed()
    }
}

impl Gate {
    /// A gate that is closed until a recovery opens it.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(RwLock::new(State::default())))
    }

    /// Whether commands on wallets and sagas are let through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.read().check_core().is_ok()
    }

    /// Lets a command on wallets or sagas through. A service that was registered beside them does not count here.
    ///
    /// # Errors
    /// `NotReady`: the services are still recovering; the text says how far they are.
    pub fn check(&self) -> Result<()> {
        self.0.read().check_core()
    }

    /// Lets a command on this aggregate through: the service whose stream it is must be ready, and of a stream that is nobody's
    /// the wallets and the sagas.
    ///
    /// # Errors
    /// `NotReady`: the service is still recovering, or the aggregate is quarantined; the text says why.
    pub fn check_stream(&self, stream: &StreamId) -> Result<()> {
        let state = self.0.read();
        match state.doors.values().find(|door| door.is_before(stream.as_str())) {
            Some(door) => door.check()?,
            None => state.check_core()?,
        }
        match state.quarantined.get(stream.as_str()) {
            Some(reason) => Err(Error::new(ErrorKind::NotReady, format!("{stream} is quarantined: {reason}"))),
            None => Ok(()),
        }
    }

    /// Lets a question to a service through, such as one to a projection.
    ///
    /// # Errors
    /// `NotReady`: it is still recovering, or there is no such service; the text says which.
    pub fn check_service(&self, service_id: &str) -> Result<()> {
        match self.0.read().doors.get(service_id) {
            Some(door) => door.check(),
            None => Err(Error::new(ErrorKind::NotReady, format!("there is no service {service_id:?}"))),
        }
    }

    /// The quarantined streams, each with the reason.
    #[must_use]
    pub fn quarantined(&self) -> BTreeMap<String, String> {
        self.0.read().quarantined.clone()
    }

    /// Adds a service, closed.
    pub(super) fn add(&self, service_id: &str, aggregate_type: Option<&str>, is_core: bool) {
        let aggregate_type = aggregate_type.map(str::to_owned);
        let door = Door { aggregate_type, is_core, closed: Some(NOT_RECOVERED.to_owned()) };
        self.0.write().doors.insert(service_id.to_owned(), door);
    }

    pub(super) fn close(&self, service_id: &str, reason: &str) {
        if let Some(door) = self.0.write().doors.get_mut(service_id) {
            door.closed = Some(reason.to_owned());
        }
    }

    pub(super) fn open(&self, service_id: &str) {
        if let Some(door) = self.0.write().doors.get_mut(service_id) {
            door.closed = None;
        }
    }

    /// Replaces what is quarantined of these services' streams, and of those that are nobody's where a core service is among
    /// them.
    pub(super) fn set_quarantined(&self, service_ids: &BTreeSet<String>, quarantined: BTreeMap<String, String>) {
        let mut state = self.0.write();
        let State { doors, quarantined: known } = &mut *state;
        let has_core = doors.iter().any(|(id, door)| door.is_core && service_ids.contains(id));
        known.retain(|stream, _| match doors.iter().find(|(_, door)| door.is_before(stream)) {
            Some((id, _)) => !service_ids.contains(id),
            None => !has_core,
        });
        known.extend(quarantined);
    }

    pub(super) fn quarantine(&self, stream: &str, reason: &str) {
        self.0.write().quarantined.insert(stream.to_owned(), reason.to_owned());
    }
}
