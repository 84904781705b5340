//! The task that carries registrations out, one after the other.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use futures::future::join_all;
use lictor_checks::{CheckKind, Scheduler, spec};
use lictor_local::persist::Files;
use lictor_local::{Local, LocalState, Registered, maintenance};
use lictor_model::check::Status;
use lictor_model::definition::{CheckDefinition, ServiceDefinition};
use lictor_model::probe::Origin;
use lictor_model::{CheckId, Error, Result, ServiceId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Asked, Job, Prepared, Source, is_ttl};
use crate::aliases::Aliases;

/// How many jobs are looked at together.
const AT_ONCE: usize = 64;

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

pub(super) struct Worker {
    pub(super) local: Local,
    pub(super) scheduler: Scheduler,
    pub(super) aliases: Arc<Aliases>,
    pub(super) files: Option<Files>,
    pub(super) output_limit: usize,
}

impl Worker {
    /// Carries jobs out until `stop` is cancelled.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Asked>, stop: CancellationToken) {
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
            .map_err(|error| Error::failed(format!("the registration cannot be saved in data_dir: {error}")))
    }

    async fn forget(&self, remove: impl FnOnce(&Files) -> io::Result<()> + Send + 'static) -> Result<()> {
        self.save(remove).await
    }
}
