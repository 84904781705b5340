//! The local state behind one lock, with those who wait for its changes.

use std::sync::{Arc, Mutex, PoisonError};

use lictor_model::CheckId;
use lictor_model::check::Status;
use lictor_model::service::Service;
use lictor_sys::clock::Moment;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::state::{LocalState, Update};

/// The local state, shared.
#[derive(Clone, Debug)]
pub struct Local {
    state: Arc<Mutex<LocalState>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Local {
    /// Shares a state.
    #[must_use]
    pub fn new(state: LocalState) -> Self {
        Self { state: Arc::new(Mutex::new(state)), changes: Arc::new(watch::Sender::new(0)) }
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&LocalState) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state, and wakes who waits for changes.
    pub fn change<T>(&self, change: impl FnOnce(&mut LocalState) -> T) -> T {
        let result = self.change_quietly(change);
        self.wake();
        result
    }

    /// Takes what a check says, and wakes who waits for changes if it cannot wait or is the
    /// first to become due.
    pub fn update_check(&self, id: &CheckId, status: Option<Status>, output: String, now: Moment) -> Update {
        let update = self.change_quietly(|state| state.update_check(id, status, output, now));
        if update.is_due || update.is_next {
            self.wake();
        }
        update
    }

    fn wake(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Changes bookkeeping that nobody waits for.
    pub fn change_quietly<T>(&self, change: impl FnOnce(&mut LocalState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows changes from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A number that changes whenever the service does, as 16 hexadecimal digits.
#[must_use]
pub fn content_hash(service: &Service) -> String {
    let written = serde_json::to_vec(service).unwrap_or_default();
    Sha256::digest(&written).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
