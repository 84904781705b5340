//! Brings definitions to where they belong: files, local state and scheduler, in this order.
//!
//! One task carries registrations out, one after the other, so that two of the same service
//! cannot mix. Whatever takes long (loading a program) is done before, outside of the task.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use futures::future::join_all;
use lictor_checks::{CheckKind, Scheduler, spec};
use lictor_config::{RuntimeConfig, ScriptChecks};
use lictor_local::persist::{Files, SavedCheck, SavedService};
use lictor_local::{Local, LocalState, Registered, maintenance};
use lictor_model::check::{DEFAULT_OUTPUT_LIMIT, Status, cut_output};
use lictor_model::definition::{CheckDefinition, ServiceDefinition};
use lictor_model::probe::{Origin, Probe, Target};
use lictor_model::{CheckId, Error, Result, ServiceId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::aliases::Aliases;

/// How many registrations may wait.
const QUEUE: usize = 256;
/// How many are looked at together.
const AT_ONCE: usize = 64;

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
        (ScriptChecks::Files, Origin::Api) => Err(Error::failed(
            "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true",
        )),
        (ScriptChecks::Nobody, _) => Err(Error::failed(
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

/// How many of the jobs, from the first on, may be saved at the same time: registrations of
/// different services, or else a single job.
fn go_together(jobs: &[Asked]) -> usize {
    let mut services = BTreeSet::new();
    let is_next = |(job, _): &&Asked| match job {
        Job::AddService { definition, source: Source::Api, .. } => services.insert(definition.effective_id()),
        _ => false,
    };
    jobs.iter().take_while(is_next).count().max(1)
}

struct Worker {
    local: Local,
    scheduler: Scheduler,
    aliases: Arc<Aliases>,
    files: Option<Files>,
    output_limit: usize,
}

impl Worker {
    async fn run(self, mut queue: mpsc::Receiver<Asked>, stop: CancellationToken) {
        let mut jobs = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                count = queue.recv_many(&mut jobs, AT_ONCE) => if count == 0 { return },
            }
            while !jobs.is_empty() {
                let together = go_together(&jobs);
                self.carry_out_together(jobs.drain(..together).collect()).await;
            }
        }
    }

    /// Saves what is to be saved of all jobs at the same time, since waiting for the disk is most
    /// of the work, then carries them out one after the other.
    async fn carry_out_together(&self, jobs: Vec<Asked>) {
        let saved = join_all(jobs.iter().map(|(job, _)| self.save_ahead(job))).await;
        for ((job, done), saved) in jobs.into_iter().zip(saved) {
            let result = match saved {
                Ok(()) => self.carry_out(job).await,
                Err(error) => Err(error),
            };
            // Whoever asked may have stopped waiting.
            let _ = done.send(result);
        }
    }

    /// What is not on disk is not acknowledged; what cannot be registered is not put there.
    async fn save_ahead(&self, job: &Job) -> Result<()> {
        let Job::AddService { definition, source: Source::Api, replace, .. } = job else { return Ok(()) };
        definition.to_service()?;
        let definition = self.local.read(|state| state.definition_to_save(definition, *replace));
        self.save(move |files| files.save_service(&definition)).await
    }

    async fn carry_out(&self, job: Job) -> Result<()> {
        match job {
            Job::AddService { definition, source, replace, prepared } => {
                self.add_service(&definition, source, replace, prepared).await
            }
            Job::RemoveService(id) => {
                let removed = self.local.change(|state| state.remove_service(&id))?;
                self.forget({
                    let id = id.clone();
                    move |files| files.forget_service(&id)
                })
                .await?;
                self.drop_checks(removed).await
            }
            Job::AddCheck { definition, source, prepared } => {
                self.add_check(*definition, source, prepared).await
            }
            Job::RemoveCheck(id) => {
                if let Some(service) = self.local.read(|state| state.came_with_service(&id)) {
                    let id = id.clone();
                    self.save(move |files| files.forget_check_of(&service, &id)).await?;
                }
                self.local.change(|state| state.remove_check(&id))?;
                self.drop_checks(vec![id]).await
            }
            Job::BeginMaintenance(definition) => self.begin_maintenance(*definition).await,
            Job::EndMaintenance(service) => {
                self.local.change(|state| state.end_maintenance(service.as_ref()))?;
                let id = maintenance::check_id(service.as_ref());
                self.forget(move |files| files.forget_check(&id)).await
            }
            Job::SaveStatus { id, status, output } => self.save_status(id, status, output).await,
            Job::Renew(id) => self.renew(id).await,
        }
    }

    async fn add_service(
        &self,
        definition: &ServiceDefinition,
        source: Source,
        replace: bool,
        prepared: Prepared,
    ) -> Result<()> {
        definition.to_service()?;
        if source == Source::File {
            let id = definition.effective_id();
            self.forget(move |files| files.forget_service(&id)).await?;
        }
        let origin = source.origin();
        let registered = self.local.change(|state| state.add_service(definition, origin, replace))?;
        self.schedule(registered, origin, prepared).await
    }

    async fn add_check(&self, definition: CheckDefinition, source: Source, prepared: Prepared) -> Result<()> {
        let (id, _) = self.local.read(|state| state.target_of_definition(&definition))?;
        match source {
            Source::Api => {
                let (id, definition) = (id.clone(), definition.clone());
                // A check that is registered again keeps what it last said, here as in the file.
                let kept = || {
                    let said = |state: &LocalState| {
                        state.check(&id).map(|check| (check.status, check.output.clone()))
                    };
                    if is_ttl(&definition) && definition.status.is_empty() {
                        self.local.read(said)
                    } else {
                        None
                    }
                };
                let last = kept();
                self.save(move |files| files.save_check(&id, Some(&definition), last)).await?;
            }
            Source::Saved => {}
            Source::File => {
                let id = id.clone();
                self.save(move |files| files.forget_definition(&id)).await?;
            }
        }
        let origin = source.origin();
        let registered = self.local.change(|state| state.add_check(definition, origin))?;
        self.schedule(registered, origin, prepared).await
    }

    async fn begin_maintenance(&self, definition: CheckDefinition) -> Result<()> {
        let service = Some(ServiceId::from(definition.service_id.as_str())).filter(|id| !id.is_empty());
        if self.local.read(|state| state.in_maintenance(service.as_ref()))? {
            return Ok(());
        }
        let (id, saved) = (maintenance::check_id(service.as_ref()), definition.clone());
        self.save(move |files| files.save_check(&id, Some(&saved), None)).await?;
        self.local.change(|state| state.begin_maintenance(definition))
    }

    async fn schedule(&self, registered: Registered, origin: Origin, mut prepared: Prepared) -> Result<()> {
        self.drop_checks(registered.removed).await?;
        for (id, definition, target) in registered.checks {
            let spec = spec::lower(&definition, target, origin, self.output_limit)?;
            let probe = prepared.remove(&id);
            let alias = match &spec.kind {
                CheckKind::Alias(alias) => Some(alias.clone()),
                CheckKind::Ttl { .. } | CheckKind::Probe(_) => None,
            };
            self.aliases.forget(&id);
            self.scheduler.insert(id.clone(), spec, probe).await?;
            if let Some(alias) = alias {
                self.aliases.follow(id, alias);
            }
        }
        Ok(())
    }

    async fn renew(&self, id: CheckId) -> Result<()> {
        let known = self.local.read(|state| state.definition_and_target(&id));
        let Some((definition, origin, target)) = known else { return Ok(()) };
        let spec = spec::lower(&definition, target, origin, self.output_limit)?;
        let probe = self.scheduler.prepare(&spec).await?;
        self.scheduler.insert(id, spec, probe).await
    }

    async fn drop_checks(&self, checks: Vec<CheckId>) -> Result<()> {
        for id in checks {
            self.aliases.forget(&id);
            self.scheduler.remove(id.clone()).await?;
            self.forget(move |files| files.forget_check(&id)).await?;
        }
        Ok(())
    }

    async fn save_status(&self, id: CheckId, status: Status, output: String) -> Result<()> {
        let known = self.local.read(|state| {
            state.check_definition(&id).map(|(definition, origin)| {
                let of_service = state.check(&id).is_some_and(|check| !check.service_id.is_empty());
                (
                    definition.clone(),
                    origin == Origin::Api && (!of_service || !definition.service_id.is_empty()),
                )
            })
        });
        let Some((definition, is_own)) = known else { return Ok(()) };
        let last = Some((status, output));
        self.save(move |files| files.save_check(&id, is_own.then_some(&definition), last)).await
    }

    async fn save(&self, write: impl FnOnce(&Files) -> io::Result<()> + Send + 'static) -> Result<()> {
        let Some(files) = self.files.clone() else { return Ok(()) };
        let written = tokio::task::spawn_blocking(move || write(&files)).await;
        written
            .map_err(|_| Error::stopping())?
            .map_err(|error| Error::failed(format!("the registration cannot be saved: {error}")))
    }

    async fn forget(&self, remove: impl FnOnce(&Files) -> io::Result<()> + Send + 'static) -> Result<()> {
        self.save(remove).await
    }
}

/// Whether a check waits for reports.
pub(crate) fn is_ttl(definition: &CheckDefinition) -> bool {
    spec::lower(definition, Target::default(), Origin::Api, DEFAULT_OUTPUT_LIMIT)
        .is_ok_and(|spec| matches!(spec.kind, CheckKind::Ttl { .. }))
}
