//! A service as the recovery knows it: what it says of itself, and what befell it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Health, Service};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;

#[derive(Clone, Debug, Default)]
struct Known {
    /// It panicked, and has not been made ready since.
    panicked: Option<String>,
    /// Nobody recovers it by itself any more.
    given_up: Option<String>,
    /// How often it was made ready.
    times_ready: u64,
}

/// A service, and what is known of it.
pub(super) struct Member {
    service: Arc<dyn Service>,
    id: String,
    aggregate_type: Option<String>,
    known: Mutex<Known>,
}

impl Member {
    pub(super) fn new(service: Arc<dyn Service>) -> Self {
        let (id, aggregate_type) = (service.id().to_owned(), service.aggregate_type().map(str::to_owned));
        Self { service, id, aggregate_type, known: Mutex::new(Known::default()) }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn aggregate_type(&self) -> Option<&str> {
        self.aggregate_type.as_deref()
    }

    pub(super) fn service(&self) -> &dyn Service {
        self.service.as_ref()
    }

    /// How it is; one that panicked is failed, whatever it says.
    pub(super) fn health(&self) -> Health {
        let panicked = self.known.lock().panicked.clone();
        match panicked {
            Some(reason) => Health::Failed(reason),
            None => self.guard("asked for its health", || Ok(self.service.health())).unwrap_or_else(|error| {
                // It has panicked just now.
                Health::Failed(self.known.lock().panicked.clone().unwrap_or_else(|| error.to_string()))
            }),
        }
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.health() == Health::Healthy
    }

    pub(super) fn fail(&self, reason: &str) {
        // A panic in it is noted as one.
        let _ = self.guard("told that it failed", || {
            self.service.fail(reason);
            Ok(())
        });
    }

    /// Lets it serve, and forgets what befell it.
    pub(super) fn ready(&self) -> Result<()> {
        self.guard("made ready", || {
            self.service.ready();
            Ok(())
        })?;
        let mut known = self.known.lock();
        known.panicked = None;
        known.given_up = None;
        known.times_ready = known.times_ready.saturating_add(1);
        Ok(())
    }

    /// How often it was made ready after the first time.
    pub(super) fn restarts(&self) -> u64 {
        self.known.lock().times_ready.saturating_sub(1)
    }

    pub(super) fn given_up(&self) -> Option<String> {
        self.known.lock().given_up.clone()
    }

    pub(super) fn give_up(&self, reason: &str) {
        self.known.lock().given_up = Some(reason.to_owned());
    }

    pub(super) fn take_back(&self) {
        self.known.lock().given_up = None;
    }

    /// Does what is the service's. A panic in it is an error, of kind `NotReady`, and the service has failed.
    pub(super) fn guard<T>(&self, doing: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let panic = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(result) => return result,
            Err(panic) => panic,
        };
        let reason = format!("it panicked, {doing}: {}", text_of(panic.as_ref()));
        tracing::error!(service_id = self.id, reason, "a service panicked");
        self.known.lock().panicked = Some(reason.clone());
        // It may panic at this, too; what counts is noted.
        let _ = catch_unwind(AssertUnwindSafe(|| self.service.fail(&reason)));
        Err(Error::new(ErrorKind::NotReady, format!("service {}: {reason}", self.id)))
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
