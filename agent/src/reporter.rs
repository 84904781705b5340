//! Carries what checks say to the local state.

use std::sync::{Arc, OnceLock};

use lictor_checks::Reporter;
use lictor_local::Local;
use lictor_model::CheckId;
use lictor_model::check::Status;
use lictor_model::probe::ProbeFacts;
use lictor_sys::clock::Clock;

use crate::registrar::Registrar;

pub(crate) struct ToLocal {
    pub(crate) local: Local,
    pub(crate) clock: Arc<dyn Clock>,
    /// Keeps what must survive a restart, once it is there.
    pub(crate) registrar: Arc<OnceLock<Registrar>>,
}

impl ToLocal {
    fn update(&self, id: &CheckId, status: Option<Status>, output: String) {
        let now = self.clock.now();
        if !self.local.update_check(id, status, output, now).status_changed {
            return;
        }
        match status {
            Some(Status::Critical) => tracing::warn!(check = %id, "Check is now critical"),
            Some(Status::Warning) => tracing::warn!(check = %id, "Check is now warning"),
            _ => tracing::info!(check = %id, "Check is now passing"),
        }
    }
}

impl Reporter for ToLocal {
    fn prepared(&self, id: &CheckId, facts: &ProbeFacts) {
        self.local.change_quietly(|state| state.set_facts(id, facts.clone()));
    }

    fn report(&self, id: &CheckId, status: Option<Status>, output: String) {
        self.update(id, status, output);
    }

    fn expired(&self, id: &CheckId) {
        let output = self.local.read(|state| state.expired_output(id));
        self.update(id, Some(Status::Critical), output.clone());
        // Otherwise a service that died would pass again after a restart, as it last said itself.
        if let Some(registrar) = self.registrar.get() {
            registrar.note_status(id.clone(), Status::Critical, output);
        }
    }
}
