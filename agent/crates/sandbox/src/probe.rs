//! A program that is loaded, configured and granted: what the scheduler runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lictor_model::probe::{Blindness, Finding, Origin, Probe, ProbeFacts, Program, Target};
use lictor_model::{Code, Error, Result};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::bindings::types;
use crate::config::{ExecPolicy, SandboxConfig};
use crate::grants::Grants;
use crate::host::Host;
use crate::loaded::Loaded;
use crate::run::{self, Job};

/// Everything that the runs of one check have in common.
struct Prepared {
    host: Arc<Host>,
    loaded: Arc<Loaded>,
    grants: Arc<Grants>,
    target: types::Target,
    config: String,
    output_limit: usize,
    service: Arc<Semaphore>,
    slow: AtomicBool,
    /// How long the last run took, in nanoseconds.
    took: AtomicU64,
}

/// A check that is ready to run.
pub(crate) struct SandboxedProbe {
    facts: ProbeFacts,
    prepared: Arc<Prepared>,
}

/// Configures and grants a loaded component.
pub(crate) fn prepare(
    host: Arc<Host>,
    loaded: Arc<Loaded>,
    file: &str,
    program: &Program,
    target: &Target,
    settings: &SandboxConfig,
) -> Result<SandboxedProbe> {
    let empty = Map::new();
    let config = match &program.config {
        Value::Null => &empty,
        Value::Object(object) => object,
        _ => return Err(Error::invalid("check config: must be an object")),
    };
    let refuse = |complaints: Vec<String>| Error::invalid(format!("check config: {}", complaints.join("; ")));
    loaded.schema.validate(config, file).map_err(refuse)?;
    let mut grants = Grants::default();
    for (door, text) in loaded.needs.iter().flat_map(|need| need.fill(config, target)) {
        grants.add_literal(door, &text);
    }
    if may_exec(settings.exec, program.origin) {
        for words in loaded.needs.iter().filter_map(|need| need.command(config)) {
            grants.add_command(words);
        }
    }
    grants.add_allowed(&program.allow, &settings.bounds).map_err(Error::invalid)?;
    let facts = ProbeFacts {
        plugin: loaded.name.to_string(),
        version: loaded.version.clone(),
        digest: loaded.digest.clone(),
        grants: grants.lines(),
    };
    let config =
        serde_json::to_string(config).map_err(|error| Error::invalid(format!("check config: {error}")))?;
    let service = host.turns.service(&target.service_id);
    let prepared = Prepared {
        loaded,
        grants: Arc::new(grants),
        target: convert(target),
        config,
        output_limit: program.output_limit,
        service,
        slow: AtomicBool::new(false),
        took: AtomicU64::new(0),
        host,
    };
    Ok(SandboxedProbe { facts, prepared: Arc::new(prepared) })
}

fn may_exec(policy: ExecPolicy, origin: Origin) -> bool {
    match policy {
        ExecPolicy::Never => false,
        ExecPolicy::Files => origin == Origin::File,
        ExecPolicy::Anyone => true,
    }
}

fn convert(target: &Target) -> types::Target {
    types::Target {
        node: target.node.clone(),
        datacenter: target.datacenter.clone(),
        service_id: target.service_id.clone(),
        service_name: target.service_name.clone(),
        address: target.address.clone(),
        port: target.port,
        tags: target.tags.clone(),
        meta: target.meta.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

impl Prepared {
    async fn run(&self, timeout: Duration) -> Finding {
        let slow = self.slow.load(Ordering::Relaxed);
        let Some(_turn) = self.host.turns.take(&self.service, slow).await else {
            self.loaded.figures.note(&Finding::Late, Duration::ZERO);
            return Finding::Late;
        };
        let started = Instant::now();
        let job = Job {
            loaded: &self.loaded,
            grants: &self.grants,
            target: &self.target,
            config: &self.config,
            output_limit: self.output_limit,
            timeout,
        };
        let finding = run::check(&self.host, job).await;
        let took = started.elapsed();
        self.slow.store(took >= timeout, Ordering::Relaxed);
        self.took.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.loaded.figures.note(&finding, took);
        finding
    }
}

#[async_trait]
impl Probe for SandboxedProbe {
    fn facts(&self) -> &ProbeFacts {
        &self.facts
    }

    fn last_took(&self) -> Duration {
        Duration::from_nanos(self.prepared.took.load(Ordering::Relaxed))
    }

    async fn run(&self, timeout: Duration) -> Finding {
        let prepared = Arc::clone(&self.prepared);
        match self.prepared.host.threads.run(async move { prepared.run(timeout).await }).await {
            Ok(finding) => finding,
            Err(error) if error.code == Code::Overloaded => Finding::Late,
            Err(error) => Finding::Unknown { reason: Blindness::Host, message: error.message },
        }
    }
}
