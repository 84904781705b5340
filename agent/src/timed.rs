//! Checks whose runs are timed, whoever runs them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lictor_model::Result;
use lictor_model::probe::{CheckRunner, Finding, Probe, ProbeFacts, Program, Target};
use lictor_telemetry::metrics::inventory::CHECK_RUN;
use lictor_telemetry::metrics::{Registry, Series};

/// Times the runs of what another runner prepares.
pub(crate) struct TimedRunner {
    runner: Arc<dyn CheckRunner>,
    registry: Arc<Registry>,
}

impl TimedRunner {
    pub(crate) fn new(runner: Arc<dyn CheckRunner>, registry: Arc<Registry>) -> Self {
        Self { runner, registry }
    }
}

#[async_trait]
impl CheckRunner for TimedRunner {
    async fn prepare(&self, program: &Program, target: &Target) -> Result<Arc<dyn Probe>> {
        let probe = self.runner.prepare(program, target).await?;
        let labels = vec![("service", target.service_id.clone()), ("plugin", probe.facts().plugin.clone())];
        let series = self.registry.series(&CHECK_RUN, labels);
        Ok(Arc::new(TimedProbe { probe, series }))
    }
}

struct TimedProbe {
    probe: Arc<dyn Probe>,
    series: Arc<Series>,
}

#[async_trait]
impl Probe for TimedProbe {
    fn facts(&self) -> &ProbeFacts {
        self.probe.facts()
    }

    fn last_took(&self) -> Duration {
        self.probe.last_took()
    }

    async fn run(&self, timeout: Duration) -> Finding {
        let finding = self.probe.run(timeout).await;
        // What came too late to run took no time.
        if !matches!(finding, Finding::Late) {
            self.series.took(self.last_took());
        }
        finding
    }
}
