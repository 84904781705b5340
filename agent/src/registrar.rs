//! Brings definitions to where they belong: files, local state and scheduler, in this order.
//!
//! One task carries registrations out, one after the other, so that two of the same service
//! cannot mix. Whatever takes long (loading a program) is done before, outside of the task.

mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lictor_checks::{CheckKind, Scheduler, spec};
use lictor_config::{RuntimeConfig, ScriptChecks};
use lictor_local::persist::{Files, SavedCheck, SavedService};
use lictor_local::{Local, LocalState, maintenance};
use lictor_model::check::{DEFAULT_OUTPUT_LIMIT, Status, cut_output};
use lictor_model::definition::{CheckDefinition, ServiceDefinition};
use lictor_model::probe::{Origin, Probe, Target};
use lictor_model::{CheckId, Error, Result, ServiceId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::aliases::Aliases;
use worker::Worker;

/// How many registrations may wait.
const QUEUE: usize = 256;

type Prepared = BTreeMap<CheckId, Arc<dyn Probe>>;

/// Where a definition comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Somebody has just registered it.
    Api,
    /// Somebody had before a restart: it is saved already.
    Saved,
    /// A configuration file.
    File,
}

impl Source {
    fn origin(self) -> Origin {
        match self {
            Self::Api | Self::Saved => Origin::Api,
            Self::File => Origin::File,
        }
    }
}

enum Job {
    AddService {
        definition: Box<ServiceDefinition>,
        source: Source,
        replace: bool,
        prepared: Prepared,
    },
    RemoveService(ServiceId),
    AddCheck {
        definition: Box<CheckDefinition>,
        source: Source,
        prepared: Prepared,
    },
    RemoveCheck(CheckId),
    BeginMaintenance(Box<CheckDefinition>),
    EndMaintenance(Option<ServiceId>),
    SaveStatus {
        id: CheckId,
        status: Status,
        output: String,
    },
    /// Run a check with its program prepared anew.
    Renew(CheckId),
}

/// What the operator decides about checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Whose definitions may run commands.
    pub(crate) script_checks: ScriptChecks,
    /// How many bytes of an output are kept at the most.
    pub(crate) output_limit: usize,
}

/// A job, and who waits for it.
type Asked = (Job, oneshot::Sender<Result<()>>);

/// The door to the task.
#[derive(Clone)]
pub(crate) struct Registrar {
    jobs: mpsc::Sender<Asked>,
    local: Local,
    scheduler: Scheduler,
    script_checks: ScriptChecks,
    output_limit: usize,
}

impl Registrar {
    /// The registrar, and its task.
    pub(crate) fn new(
        local: Local,
        scheduler: Scheduler,
        aliases: Arc<Aliases>,
        files: Option<Files>,
        settings: Settings,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let Settings { script_checks, output_limit } = settings;
        let worker =
            Worker { local: local.clone(), scheduler: scheduler.clone(), aliases, files, output_limit };
        (Self { jobs, local, scheduler, script_checks, output_limit }, worker.run(queue, stop))
    }

    /// Registers a service that came over the HTTP API. Its programs are loaded first, so that
    /// their complaints reach whoever registers.
    pub(crate) async fn add_service(&self, definition: ServiceDefinition, replace: bool) -> Result<()> {
        let checks = self.local.read(|state| state.checks_of_definition(&definition))?;
        let mut prepared = Prepared::new();
        for (id, check, target) in checks {
            self.prepare(id, &check, target, &mut prepared).await?;
        }
        let definition = Box::new(definition);
        self.carry_out(Job::AddService { definition, source: Source::Api, replace, prepared }).await
    }

    /// Registers a check that came over the HTTP API.
    pub(crate) async fn add_check(&self, definition: CheckDefinition) -> Result<()> {
        let (id, target) = self.local.read(|state| state.target_of_definition(&definition))?;
        let mut prepared = Prepared::new();
        self.prepare(id, &definition, target, &mut prepared).await?;
        let definition = Box::new(definition);
        self.carry_out(Job::AddCheck { definition, source: Source::Api, prepared }).await
    }

    async fn prepare(
        &self,
        id: CheckId,
        definition: &CheckDefinition,
        target: Target,
        prepared: &mut Prepared,
    ) -> Result<()> {
        permit_scripts(definition, Origin::Api, self.script_checks)?;
        let invalid = |error: Error| Error::new(error.code, format!("Invalid check: {}", error.message));
        let spec = spec::lower(definition, target, Origin::Api, self.output_limit).map_err(invalid)?;
        if let Some(probe) = self.scheduler.prepare(&spec).await.map_err(invalid)? {
            prepared.insert(id, probe);
        }
        Ok(())
    }

    /// Has the checks prepared anew whose programs have been replaced, given by digest. They keep
    /// their status; one that cannot be prepared keeps its program.
    pub(crate) async fn renew(&self, replaced: &BTreeSet<String>) {
        for id in self.local.read(|state| state.run_by(replaced)) {
            if let Err(error) = self.carry_out(Job::Renew(id.clone())).await {
                tracing::error!(check = %id, %error, "a check goes on with the plugin from before the reload");
            }
        }
    }

    /// Cuts what a service reports of itself to what is kept of it.
    pub(crate) fn cut_output(&self, id: &CheckId, output: String) -> String {
        let limit = self.local.read(|state| {
            let definition = state.check_definition(id).map(|(definition, _)| definition);
            definition
                .map_or(self.output_limit, |definition| spec::output_limit(definition, self.output_limit))
        });
        cut_output(output, limit)
    }

    pub(crate) async fn remove_service(&self, id: ServiceId) -> Result<()> {
        self.carry_out(Job::RemoveService(id)).await
    }

    pub(crate) async fn remove_check(&self, id: CheckId) -> Result<()> {
        self.carry_out(Job::RemoveCheck(id)).await
    }

    /// Takes a service or the node out of service, or back into it.
    pub(crate) async fn maintain(
        &self,
        service: Option<ServiceId>,
        enable: bool,
        reason: &str,
    ) -> Result<()> {
        self.carry_out(if enable {
            Job::BeginMaintenance(Box::new(maintenance::definition(service.as_ref(), reason)))
        } else {
            Job::EndMaintenance(service)
        })
        .await
    }

    /// Keeps the last words of a check that only speaks when spoken to.
    pub(crate) async fn save_status(&self, id: CheckId, status: Status, output: String) -> Result<()> {
        self.carry_out(Job::SaveStatus { id, status, output }).await
    }

    /// The same for who cannot wait. A queue that is full leaves the words that were kept before.
    pub(crate) fn note_status(&self, id: CheckId, status: Status, output: String) {
        let (done, _) = oneshot::channel();
        if self.jobs.try_send((Job::SaveStatus { id, status, output }, done)).is_err() {
            tracing::warn!("the last words of a check could not be kept");
        }
    }

    /// Brings in the services saved before a restart. What cannot be brought in is logged and kept.
    pub(crate) async fn restore_services(&self, services: Vec<SavedService>) {
        for service in services {
            let definition = Box::new(service.definition);
            let name = definition.name.clone();
            let prepared = Prepared::new();
            let job = Job::AddService { definition, source: Source::Saved, replace: false, prepared };
            if let Err(error) = self.carry_out(job).await {
                tracing::error!(service = %name, %error, "a saved service cannot be registered again");
            }
        }
    }

    /// Brings in the checks saved before a restart, and what checks said then. The services of
    /// files must be there, since checks may belong to them; what files define stays as they say.
    pub(crate) async fn restore_checks(&self, checks: Vec<SavedCheck>) {
        for check in checks {
            let id = CheckId::from(check.id);
            let in_files = self
                .local
                .read(|state| state.check_definition(&id).is_some_and(|(_, origin)| origin == Origin::File));
            if let Some(definition) = check.definition.filter(|_| !in_files) {
                let definition = Box::new(definition);
                let job = if maintenance::is_definition(&definition) {
                    Job::BeginMaintenance(definition)
                } else {
                    Job::AddCheck { definition, source: Source::Saved, prepared: Prepared::new() }
                };
                if let Err(error) = self.carry_out(job).await {
                    tracing::error!(check = %id, %error, "a saved check cannot be registered again");
                }
            }
            if let Some((status, output)) = check.last {
                self.local.change(|state| state.restore_check(&id, status, output));
            }
        }
    }

    /// Brings in what configuration files define, and removes what they do not define any more.
    /// Programs are loaded when they first run, so that no file can keep the agent from starting.
    pub(crate) async fn apply_files(&self, config: &RuntimeConfig) -> Result<()> {
        validate(config)?;
        self.validate_owners(config)?;
        let (services, checks) = self.local.read(LocalState::from_files);
        let wanted: BTreeSet<ServiceId> =
            config.services.iter().map(ServiceDefinition::effective_id).collect();
        for definition in &config.services {
            let definition = Box::new(definition.clone());
            let prepared = Prepared::new();
            let job = Job::AddService { definition, source: Source::File, replace: true, prepared };
            self.carry_out(job).await?;
        }
        let mut wanted_checks = BTreeSet::new();
        for definition in &config.checks {
            let (id, _) = self.local.read(|state| state.target_of_definition(definition))?;
            wanted_checks.insert(id);
            let definition = Box::new(definition.clone());
            let prepared = Prepared::new();
            self.carry_out(Job::AddCheck { definition, source: Source::File, prepared }).await?;
        }
        for id in services.into_iter().filter(|id| !wanted.contains(id)) {
            self.carry_out(Job::RemoveService(id)).await?;
        }
        for id in checks {
            let is_own = self.local.read(|state| {
                state
                    .check(&id)
                    .is_some_and(|check| check.service_id.is_empty() || !wanted.contains(&check.service_id))
            });
            if is_own && !wanted_checks.contains(&id) {
                self.carry_out(Job::RemoveCheck(id)).await?;
            }
        }
        Ok(())
    }

    /// Whether every check belongs to a service that will be there.
    fn validate_owners(&self, config: &RuntimeConfig) -> Result<()> {
        for check in config.checks.iter().filter(|check| !check.service_id.is_empty()) {
            let owner = ServiceId::from(check.service_id.as_str());
            let in_files = config.services.iter().any(|service| service.effective_id() == owner);
            let from_api = self
                .local
                .read(|state| state.service_origin(&owner).is_some_and(|origin| origin == Origin::Api));
            if !in_files && !from_api {
                let (name, owner) = (&check.name, owner.as_str());
                return Err(Error::invalid(format!("check {name:?}: ServiceID {owner:?} does not exist")));
            }
        }
        Ok(())
    }

    async fn carry_out(&self, job: Job) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.jobs.send((job, done)).await.map_err(|_| Error::stopping())?;
        outcome.await.map_err(|_| Error::stopping())?
    }
}

/// Whether a definition from there may run commands, if it wants to.
fn permit_scripts(definition: &CheckDefinition, origin: Origin, policy: ScriptChecks) -> Result<()> {
    if !definition.kinds().contains(&"script") {
        return Ok(());
    }
    match (policy, origin) {
        (ScriptChecks::Anyone, _) | (ScriptChecks::Files, Origin::File) => Ok(()),
        (_, Origin::Api) => Err(Error::failed(
            "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true",
        )),
        (ScriptChecks::Nobody, Origin::File) => Err(Error::failed(
            "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or 'enable_local_script_checks' to true",
        )),
    }
}

/// Whether everything that files define can be scheduled, so that nothing is half applied.
fn validate(config: &RuntimeConfig) -> Result<()> {
    let refuse = |what: String, error: Error| Error::new(error.code, format!("{what}: {}", error.message));
    for service in &config.services {
        let name = &service.name;
        service.to_service().map_err(|error| refuse(format!("service {name:?}"), error))?;
        for check in service.all_checks() {
            permit_scripts(check, Origin::File, config.script_checks)
                .and_then(|()| spec::lower(check, Target::default(), Origin::File, DEFAULT_OUTPUT_LIMIT))
                .map_err(|error| refuse(format!("service {name:?}: check {:?}", check.name), error))?;
        }
    }
    for check in &config.checks {
        permit_scripts(check, Origin::File, config.script_checks)
            .and_then(|()| spec::lower(check, Target::default(), Origin::File, DEFAULT_OUTPUT_LIMIT))
            .map_err(|error| refuse(format!("check {:?}", check.name), error))?;
    }
    Ok(())
}

/// Whether a check waits for reports.
pub(crate) fn is_ttl(definition: &CheckDefinition) -> bool {
    spec::lower(definition, Target::default(), Origin::Api, DEFAULT_OUTPUT_LIMIT)
        .is_ok_and(|spec| matches!(spec.kind, CheckKind::Ttl { .. }))
}
