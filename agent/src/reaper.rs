//! Removes services that have been critical for longer than they may be.

use std::sync::Arc;
use std::time::Duration;

use lictor_local::Local;
use lictor_sys::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::registrar::Registrar;

/// The shortest pause between two looks.
const MIN_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Reaper {
    pub(crate) local: Local,
    pub(crate) registrar: Registrar,
    pub(crate) clock: Arc<dyn Clock>,
    /// How often to look.
    pub(crate) interval: Duration,
    /// The shortest time that a definition may ask for.
    pub(crate) least: Duration,
}

impl Reaper {
    /// Looks until `stop` is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let interval = self.interval.max(MIN_INTERVAL);
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            let overdue = self.local.read(|state| state.overdue(self.clock.now(), self.least));
            for (service, check) in overdue {
                match self.registrar.remove_service(service.clone()).await {
                    Ok(()) => tracing::info!(
                        %service, %check,
                        "Check for service has been critical for too long and has been automatically deregistered"
                    ),
                    Err(error) => tracing::error!(
                        %service, %check, %error,
                        "failed to deregister service with critical health that exceeded health check's \
                         'deregister_critical_service_after' timeout"
                    ),
                }
            }
        }
    }
}
