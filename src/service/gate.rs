//! The gate before the services: closed until they are ready, and for what is quarantined.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::RwLock;
use crate::types::StreamId;

#[derive(Debug)]
struct State {
    /// Why it is closed; `None`: it is open.
    closed: Option<String>,
    quarantined: BTreeMap<String, String>,
}

/// Lets commands through once the services are ready, except those on quarantined aggregates. Clones are the same gate.
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
        let closed = Some("the services have not recovered yet".to_owned());
        Self(Arc::new(RwLock::new(State { closed, quarantined: BTreeMap::new() })))
    }

    /// Whether commands are let through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.read().closed.is_none()
    }

    /// Lets a command through.
    ///
    /// # Errors
    /// `NotReady`: the services are still recovering; the text says how far they are.
    pub fn check(&self) -> Result<()> {
        match &self.0.read().closed {
            Some(reason) => Err(Error::new(ErrorKind::NotReady, reason.clone())),
            None => Ok(()),
        }
    }

    /// Lets a command on this aggregate through.
    ///
    /// # Errors
    /// `NotReady`: the services are still recovering, or the aggregate is quarantined; the text says why.
    pub fn check_stream(&self, stream: &StreamId) -> Result<()> {
        self.check()?;
        match self.0.read().quarantined.get(stream.as_str()) {
            Some(reason) => Err(Error::new(ErrorKind::NotReady, format!("{stream} is quarantined: {reason}"))),
            None => Ok(()),
        }
    }

    /// The quarantined streams, each with the reason.
    #[must_use]
    pub fn quarantined(&self) -> BTreeMap<String, String> {
        self.0.read().quarantined.clone()
    }

    pub(super) fn close(&self, reason: &str) {
        self.0.write().closed = Some(reason.to_owned());
    }

    pub(super) fn open(&self) {
        self.0.write().closed = None;
    }

    pub(super) fn set_quarantined(&self, quarantined: BTreeMap<String, String>) {
        self.0.write().quarantined = quarantined;
    }

    pub(super) fn quarantine(&self, stream: &str, reason: &str) {
        self.0.write().quarantined.insert(stream.to_owned(), reason.to_owned());
    }
}
