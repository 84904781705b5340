//! The agent as its edges see it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use lictor_acl::{Access, Resolver, Resource};
use lictor_checks::Scheduler;
use lictor_gossip::Gossip;
use lictor_local::{Local, content_hash};
use lictor_model::check::Status;
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::filter::Filter;
use lictor_model::local::{LocalAnswer, LocalRequest};
use lictor_model::query::{Query, ReadOptions, Reply};
use lictor_model::seam::{Backend, ByteStream, Content, Saved, StreamRequest};
use lictor_model::{CheckId, Datacenter, Error, Result, ServiceId, Token};
use lictor_sandbox::Sandbox;
use lictor_sys::clock::Clock;
use lictor_sys::host;
use lictor_telemetry::log::{self, Log};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::events::Heard;
use crate::figures::Figures;
use crate::registrar::{Registrar, is_ttl};
use crate::upstream::Upstream;
use crate::{describe, events, joining, plugins};

/// How long a request waits for a change of a service if it does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(300);
/// How long it waits at the most.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// The node that is near whoever asks this very agent.
const THIS_AGENT: &str = "_agent";

/// What the agent's owner is asked to do.
pub enum Order {
    /// Read the configuration again.
    Reload(oneshot::Sender<Result<()>>),
    /// Leave the cluster and stop.
    Leave(oneshot::Sender<Result<()>>),
}

/// The rooms that requests lead to.
pub(crate) struct AgentBackend {
    pub(crate) local: Local,
    pub(crate) registrar: Registrar,
    pub(crate) scheduler: Scheduler,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) gossip: Arc<Gossip>,
    /// The pool between datacenters, which only servers are in.
    pub(crate) wan: Option<Arc<Gossip>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What tokens permit.
    pub(crate) resolver: Resolver,
    /// The events that have come for this node.
    pub(crate) heard: Arc<Heard>,
    /// What is measured.
    pub(crate) figures: Figures,
    /// Where replicated state is.
    pub(crate) upstream: Upstream,
    /// Where state is kept, if it is.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) log: Log,
    /// Ends the streams.
    pub(crate) stop: CancellationToken,
}

impl AgentBackend {
    fn check_datacenter(&self, wanted: Option<&Datacenter>) -> Result<()> {
        let own = self.local.read(|state| state.identity().datacenter.clone());
        match wanted {
            Some(wanted) if !wanted.is_empty() && *wanted != own => Err(Error::no_path()),
            _ => Ok(()),
        }
    }

    fn services(&self, filter: &Filter) -> Result<LocalAnswer> {
        let filter = filter.compile::<(&ServiceId, &Arc<lictor_model::service::Service>)>()?;
        let mut services = self.local.read(lictor_local::LocalState::services);
        services.retain(|id, service| filter.matches(&(id, &*service)));
        Ok(LocalAnswer::Services(services))
    }

    fn checks(&self, filter: &Filter) -> Result<LocalAnswer> {
        let filter = filter.compile::<(&CheckId, &lictor_model::check::Check)>()?;
        let checks: BTreeMap<_, _> = self
            .local
            .read(lictor_local::LocalState::checks)
            .into_iter()
            .filter(|(id, own)| filter.matches(&(id, &own.check)))
            .collect();
        Ok(LocalAnswer::Checks(checks))
    }

    async fn service(
        &self,
        id: &ServiceId,
        hash: Option<String>,
        max_wait: Option<Duration>,
    ) -> Result<LocalAnswer> {
        let mut changes = self.local.subscribe();
        let look = || {
            let service = self.local.read(|state| state.service(id).cloned());
            let service = service.ok_or_else(|| Error::not_found(format!("unknown service ID: {id}")))?;
            let hash = content_hash(&service);
            Ok(LocalAnswer::Service { service, hash })
        };
        let is_known = |answer: &Result<LocalAnswer>| matches!((answer, &hash), (Ok(LocalAnswer::Service { hash, .. }), Some(known)) if hash == known);
        let deadline = tokio::time::sleep(max_wait.unwrap_or(DEFAULT_WAIT).min(MAX_WAIT));
        let mut deadline = std::pin::pin!(deadline);
        loop {
            let answer = look();
            if !is_known(&answer) {
                return answer;
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| Error::stopping())?,
                () = &mut deadline => return look(),
            }
        }
    }

    async fn update_check(&self, id: CheckId, status: Status, output: String) -> Result<LocalAnswer> {
        self.local.read(|state| state.is_ttl_check(&id))?;
        let output = self.registrar.cut_output(&id, output);
        // First, so that the end of the time before cannot overwrite what is reported now.
        self.scheduler.refresh(id.clone()).await?;
        let now = self.clock.now();
        let changed = self.local.update_check(&id, Some(status), output.clone(), now).status_changed;
        let is_kept = self
            .local
            .read(|state| state.check_definition(&id).is_some_and(|(definition, _)| is_ttl(definition)));
        if changed && is_kept {
            self.registrar.save_status(id, status, output).await?;
        }
        Ok(LocalAnswer::Done)
    }

    async fn join(&self, address: &str, wan: bool) -> Result<LocalAnswer> {
        let pool = if wan { self.wan.as_ref() } else { Some(&self.gossip) };
        let pool = pool.ok_or_else(|| Error::failed("Must be a server to join WAN cluster"))?;
        joining::join(pool, address).await.map_err(Error::failed)?;
        Ok(LocalAnswer::Done)
    }

    async fn force_leave(&self, name: &str, prune: bool, wan: bool) -> Result<LocalAnswer> {
        let unknown = || Error::failed(format!("agent: No node found with name '{name}'"));
        if wan {
            let pool = self.wan.as_ref().ok_or_else(unknown)?;
            return if pool.force_leave(name, prune).await { Ok(LocalAnswer::Done) } else { Err(unknown()) };
        }
        if !self.gossip.force_leave(name, prune).await {
            return Err(unknown());
        }
        if let Some(pool) = &self.wan {
            let datacenter = self.local.read(|state| state.identity().datacenter.clone());
            // Only servers are there too.
            pool.force_leave(&format!("{name}.{datacenter}"), prune).await;
        }
        Ok(LocalAnswer::Done)
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<Result<()>>) -> Order) -> Result<LocalAnswer> {
        let (done, outcome) = oneshot::channel();
        self.orders.send(order(done)).await.map_err(|_| Error::stopping())?;
        outcome.await.map_err(|_| Error::stopping())??;
        Ok(LocalAnswer::Done)
    }
}

#[async_trait]
impl Backend for AgentBackend {
    async fn read(&self, mut query: Query, mut options: ReadOptions) -> Result<Reply> {
        let own_name = || self.local.read(|state| state.identity().name.clone());
        if options.near == THIS_AGENT {
            options.near = own_name().to_string();
        }
        if let Query::ExecutePrepared(execution) = &mut query {
            execution.agent = own_name();
        }
        self.check_datacenter(options.datacenter.as_ref())?;
        self.figures.measures.read(query, options, |query, options| self.upstream.read(query, options)).await
    }

    async fn write(&self, command: Command, options: WriteOptions) -> Result<Outcome> {
        self.check_datacenter(options.datacenter.as_ref())?;
        self.figures.measures.write(command, |command| self.upstream.write(command, options)).await
    }

    async fn agent(&self, request: LocalRequest, token: Token) -> Result<LocalAnswer> {
        match request {
            LocalRequest::Describe => Ok(LocalAnswer::Document(describe::agent(
                &self.local,
                self.upstream.own(),
                &self.gossip,
                self.wan.as_deref(),
            ))),
            LocalRequest::Metrics { prometheus: true } => {
                Ok(LocalAnswer::Text(self.figures.prometheus(self)))
            }
            LocalRequest::Metrics { prometheus: false } => {
                Ok(LocalAnswer::Document(self.figures.report(self)))
            }
            LocalRequest::Members { wan: false } => Ok(LocalAnswer::Members(self.gossip.members().to_vec())),
            LocalRequest::Members { wan: true } => {
                let members = self.wan.as_ref().map(|pool| pool.members().to_vec());
                Ok(LocalAnswer::Members(members.unwrap_or_default()))
            }
            LocalRequest::Plugins => {
                Ok(LocalAnswer::Document(plugins::document(self.sandbox.inventory().await?)))
            }
            LocalRequest::Services { filter } => self.services(&filter),
            LocalRequest::Service { id, hash, max_wait } => self.service(&id, hash, max_wait).await,
            LocalRequest::Checks { filter } => self.checks(&filter),
            LocalRequest::RegisterService { definition, replace_existing_checks } => {
                self.registrar.add_service(*definition, replace_existing_checks).await?;
                Ok(LocalAnswer::Done)
            }
            LocalRequest::DeregisterService { id } => {
                self.registrar.remove_service(id).await?;
                Ok(LocalAnswer::Done)
            }
            LocalRequest::RegisterCheck { definition } => {
                self.registrar.add_check(*definition).await?;
                Ok(LocalAnswer::Done)
            }
            LocalRequest::DeregisterCheck { id } => {
                self.registrar.remove_check(id).await?;
                Ok(LocalAnswer::Done)
            }
            LocalRequest::UpdateCheck { id, status, output } => self.update_check(id, status, output).await,
            LocalRequest::Maintain { service, enable, reason } => {
                self.registrar.maintain(service, enable, &reason).await?;
                Ok(LocalAnswer::Done)
            }
            LocalRequest::Health { selector } => {
                Ok(LocalAnswer::Health(self.local.read(|state| state.health(&selector))))
            }
            LocalRequest::Host => {
                let place = self.data_dir.clone().unwrap_or_else(|| PathBuf::from("/"));
                let looking = tokio::task::spawn_blocking(move || (host::look(), host::disk(&place)));
                let (host, disk) = looking.await.map_err(|_| Error::stopping())?;
                Ok(LocalAnswer::Document(describe::host(&host, &disk, self.clock.unix_millis())))
            }
            LocalRequest::Join { address, wan } => self.join(&address, wan).await,
            LocalRequest::ForceLeave { name, prune, wan } => self.force_leave(&name, prune, wan).await,
            LocalRequest::Reload => self.order(Order::Reload).await,
            LocalRequest::Leave => self.order(Order::Leave).await,
            LocalRequest::Servers { request, options } => {
                self.check_datacenter(options.datacenter.as_ref())?;
                self.upstream.about_servers(request, options).await.map(LocalAnswer::Servers)
            }
            LocalRequest::Fire { event, options } => {
                self.check_datacenter(options.datacenter.as_ref())?;
                events::fire(&self.upstream, *event, options).await
            }
            LocalRequest::Events { name, index, max_wait } => {
                let authorizer = self.resolver.resolve(&token);
                let may_read = |name: &str| authorizer.allows(Access::Read, Resource::Event(name));
                self.heard.list(&name, may_read, index, max_wait).await
            }
            LocalRequest::Datacenters => {
                let own = self.local.read(|state| state.identity().datacenter.clone());
                Ok(LocalAnswer::Datacenters(vec![own]))
            }
        }
    }

    async fn save(&self, options: ReadOptions) -> Result<Saved> {
        self.check_datacenter(options.datacenter.as_ref())?;
        self.upstream.save(options).await
    }

    async fn restore(&self, content: Content, options: WriteOptions) -> Result<()> {
        self.check_datacenter(options.datacenter.as_ref())?;
        self.upstream.restore(content, options).await
    }

    async fn stream(&self, request: StreamRequest, _token: Token) -> Result<ByteStream> {
        match request {
            StreamRequest::Monitor { level, json } => {
                let level = log::level(&level).map_err(Error::invalid)?;
                let lines = self.log.watch(level, json);
                Ok(Box::pin(lines.take_until(self.stop.clone().cancelled_owned())))
            }
        }
    }
}
