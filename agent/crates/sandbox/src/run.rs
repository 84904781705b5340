//! One run: a fresh instance, one call, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use lictor_model::check::Status;
use lictor_model::probe::{Blindness, Finding, Metric, Verdict};
use wasmtime::{Error, PoolConcurrencyLimitError, Store, Trap};

use crate::bindings::HealthCheckPre;
use crate::bindings::types::{self, Descriptor, Fault, Target};
use crate::grants::Grants;
use crate::host::{GUEST_STACK, Host};
use crate::loaded::Loaded;
use crate::state::{Breach, RunState};
use crate::wire::Leash;
use crate::wire::deadline::Deadline;

/// What a guest gets beyond its timeout to make a verdict of a probe that used all of it.
const GRACE: Duration = Duration::from_secs(1);
/// How long a summary may be.
const SUMMARY: usize = 4096;
/// How many figures of a run are kept.
const METRICS: usize = 64;
/// How much a guest may hand over to the host in one call.
const HANDOVER: usize = 8 << 20;

/// What one run is about.
pub(crate) struct Job<'a> {
    pub(crate) loaded: &'a Loaded,
    pub(crate) grants: &'a Arc<Grants>,
    pub(crate) target: &'a Target,
    pub(crate) config: &'a str,
    pub(crate) output_limit: usize,
    pub(crate) timeout: Duration,
}

fn store(host: &Host, plugin: Arc<str>, grants: Arc<Grants>, deadline: Deadline) -> Store<RunState> {
    let leash = Leash::new(grants, deadline, Arc::clone(&host.tls), host.limits);
    let mut store = Store::new(&host.engine, RunState::new(plugin, leash, host.limits));
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(HANDOVER);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut context| context.data_mut().tick());
    store
}

/// Asks a component what it is; it may reach nothing then.
pub(crate) async fn describe(
    host: &Host,
    pre: &HealthCheckPre<RunState>,
    file: &str,
    timeout: Duration,
) -> Result<Descriptor, (Blindness, String)> {
    let _running = host.ticker.hold();
    let mut store = store(host, file.into(), Arc::default(), Deadline::after(timeout));
    let call = async {
        let instance = pre.instantiate_async(&mut store).await?;
        instance.lictor_plugin_checker().call_describe(&mut store).await
    };
    match tokio::time::timeout(timeout, call).await {
        Ok(Ok(descriptor)) => Ok(descriptor),
        Ok(Err(error)) => Err(classify(&error, store.data())),
        Err(_) => Err((Blindness::Limit, format!("ran longer than {timeout:?}"))),
    }
}

/// Runs a check once.
pub(crate) async fn check(host: &Host, job: Job<'_>) -> Finding {
    let _running = host.ticker.hold();
    let deadline = Deadline::watched(job.timeout);
    let mut store = store(host, Arc::clone(&job.loaded.name), Arc::clone(job.grants), deadline.clone());
    let call = async {
        let instance = job.loaded.pre.instantiate_async(&mut store).await?;
        instance.lictor_plugin_checker().call_check(&mut store, job.target, job.config).await
    };
    let result = deadline.watch(GRACE, call).await;
    let output = store.data().output();
    if !output.is_empty() {
        tracing::debug!(plugin = %job.loaded.name, output, "a plugin wrote to its standard output");
    }
    match result {
        Some(Ok(Ok(verdict))) => Finding::Verdict(convert(verdict, job.output_limit)),
        Some(Ok(Err(fault))) => faulted(fault),
        Some(Err(error)) if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() => Finding::Late,
        Some(Err(error)) => {
            let (reason, message) = classify(&error, store.data());
            Finding::Unknown { reason, message }
        }
        None => Finding::Unknown {
            reason: Blindness::Limit,
            message: format!("time limit of {:?} reached and the plugin still running", job.timeout),
        },
    }
}

/// What ended a run that did not return.
fn classify(error: &Error, state: &RunState) -> (Blindness, String) {
    if let Some(breach) = error.downcast_ref::<Breach>() {
        return (Blindness::Limit, breach.to_string());
    }
    // A guest that is refused memory tends to give up in its own way: the limit is the reason.
    if let Some(breach) = state.limiter.breach() {
        return (Blindness::Limit, breach.to_owned());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            (Blindness::Limit, format!("call stack limit of {} KiB reached", GUEST_STACK >> 10))
        }
        Some(trap) => {
            let trap = trap.to_string();
            let what = trap.strip_prefix("wasm trap: ").unwrap_or(&trap);
            (Blindness::Trap, format!("{} crashed: {what}", state.plugin))
        }
        None => {
            let text = error.root_cause().to_string();
            let limit = text.contains("resource limit exceeded") || text.contains("fuel");
            (if limit { Blindness::Limit } else { Blindness::Host }, text)
        }
    }
}

fn faulted(fault: Fault) -> Finding {
    let (reason, message) = match fault {
        Fault::Denied(text) => (Blindness::Denied, text),
        Fault::Limit(text) => (Blindness::Limit, text),
        Fault::InvalidConfig(text) => (Blindness::Fault, format!("configuration: {text}")),
        Fault::Unavailable(text) | Fault::Other(text) => (Blindness::Fault, text),
    };
    Finding::Unknown { reason, message: cut(message, SUMMARY) }
}

/// The longest beginning of a text that fits.
fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

fn convert(verdict: types::Verdict, output_limit: usize) -> Verdict {
    Verdict {
        status: match verdict.status {
            types::Status::Passing => Status::Passing,
            types::Status::Warning => Status::Warning,
            types::Status::Critical => Status::Critical,
        },
        // Some plugins say all in one text: a heading, and as much output as is kept.
        summary: cut(verdict.summary, output_limit.saturating_add(SUMMARY)),
        detail: verdict.detail.map(|detail| cut(detail, output_limit)),
        metrics: verdict
            .metrics
            .into_iter()
            .take(METRICS)
            .map(|metric| Metric {
                name: cut(metric.name, SUMMARY),
                value: metric.value,
                unit: cut(metric.unit, SUMMARY),
                warning: metric.warning,
                critical: metric.critical,
            })
            .collect(),
    }
}
