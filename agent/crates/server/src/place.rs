//! Where a request is carried out: here, or at the leader.

use std::net::SocketAddr;
use std::time::Duration;

use lictor_acl::{Authorizer, Resource};
use lictor_consensus::PeerInfo;
use lictor_model::cluster::{ServerAnswer, ServerOptions, ServerRequest};
use lictor_model::event::POOL_PREFIX;
use lictor_model::query::Consistency;
use lictor_model::{Code, Error, Result};
use lictor_rpc::message::{Answer, Request};
use tokio::time::Instant;

use crate::{Server, prepare};

/// How long to wait before looking for the leader again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How a request came to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// From an agent, or from this one itself.
    Directly,
    /// Another server took this one for the leader. It is not passed on a second time.
    Forwarded,
}

/// Where a request can be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Here,
    At(SocketAddr),
    /// No leader is known, or the one that is cannot answer yet.
    Nowhere,
}

/// What came of an attempt to carry out a request here.
pub(crate) enum Attempt<T> {
    Done(T),
    /// This server turned out not to be the right one. Nothing was done.
    Elsewhere,
}

impl<T> Attempt<T> {
    fn map<U>(self, then: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Self::Done(done) => Attempt::Done(then(done)),
            Self::Elsewhere => Attempt::Elsewhere,
        }
    }
}

/// What becomes of a request that went to a leader that leads no more: a read is asked again, a
/// write may have been agreed on.
fn superseded(request: &Request) -> Result<Option<Answer>> {
    if request.may_repeat() {
        return Ok(None);
    }
    let why = "leadership changed on the way; whether it was carried out is unknown";
    Err(Error::new(Code::Timeout, why))
}

impl Server {
    /// Where reads of this consistency are answered.
    pub(crate) fn place_for(&self, consistency: Consistency) -> Place {
        // Who has never heard of a leader may know nothing at all.
        if consistency == Consistency::Stale && self.consensus.last_contact().is_some() {
            return Place::Here;
        }
        if self.consensus.is_leader() {
            return if self.consensus.lease_is_valid() { Place::Here } else { Place::Nowhere };
        }
        self.consensus.leader().map_or(Place::Nowhere, |leader| Place::At(leader.address))
    }

    fn place_of(&self, request: &Request) -> Place {
        match request {
            Request::Read { options, .. } | Request::Save { options } => self.place_for(options.consistency),
            Request::Write { .. } | Request::Restore { .. } => self.place_for(Consistency::Default),
            Request::Servers { request, .. } if request.is_for_anyone() => Place::Here,
            // Any server can do it that belongs to a cluster.
            Request::Servers { request: ServerRequest::Fire { .. }, .. } => {
                self.place_for(Consistency::Stale)
            }
            // All else only a leader knows or can do, whatever the caller would put up with.
            Request::Servers { request: ServerRequest::RaftConfiguration, options } if options.stale => {
                self.place_for(Consistency::Stale)
            }
            Request::Servers { .. } => self.place_for(Consistency::Default),
        }
    }

    /// Has a request carried out at the right place, and looks for that place for as long as
    /// requests are held. [`Answer::NotLeader`] if it is elsewhere, and may not be passed on.
    ///
    /// # Errors
    /// [`NoLeader`](lictor_model::Code::NoLeader) once it was held for too long, and those of
    /// whoever carries it out.
    pub(crate) async fn carry_out(&self, came: Came, request: Request) -> Result<Answer> {
        let mut deadline = Instant::now() + self.settings.hold_timeout;
        let mut leadership = self.consensus.subscribe_leadership();
        // Also to remove the leader makes another one lead.
        let changes_leader = match &request {
            Request::Servers { request, .. } => {
                matches!(request, ServerRequest::TransferLeadership { .. } | ServerRequest::RemovePeer { .. })
            }
            _ => false,
        };
        loop {
            leadership.borrow_and_update();
            let started = Instant::now();
            match self.place_of(&request) {
                Place::Here => {
                    if let Attempt::Done(answer) = self.here(&request).await? {
                        return Ok(answer);
                    }
                }
                _ if came == Came::Forwarded => return Ok(Answer::NotLeader),
                Place::At(leader) => {
                    let answer = tokio::select! {
                        answer = lictor_rpc::forward(self.transport.as_ref(), leader, &request) => answer?,
                        // A connection may take long to notice what the majority has.
                        () = self.led_by_another(leader), if !changes_leader => superseded(&request)?,
                    };
                    if let Some(answer) = answer {
                        return Ok(answer);
                    }
                }
                Place::Nowhere => {}
            }
            if started.elapsed() > self.settings.hold_timeout {
                // A blocking read may have waited for long before the leader was lost.
                deadline = Instant::now() + self.settings.hold_timeout;
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Error::stopping()),
                changed = leadership.changed() => changed.map_err(|_| Error::stopping())?,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            if Instant::now() >= deadline {
                return Err(Error::no_leader());
            }
        }
    }

    /// Waits until somebody else is known to lead.
    async fn led_by_another(&self, former: SocketAddr) {
        let mut leadership = self.consensus.subscribe_leadership();
        let by_another = |leader: &PeerInfo| leader.address != former;
        if leadership.wait_for(|now| now.leader.as_ref().is_some_and(by_another)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn here(&self, request: &Request) -> Result<Attempt<Answer>> {
        let done = match request {
            Request::Read { query, options } => self.read_here(query, options).await?.map(Answer::Reply),
            Request::Write { command, options } => {
                let authorizer = self.resolver.resolve(&options.token);
                self.write_here(&authorizer, command.clone()).await?.map(Answer::Outcome)
            }
            Request::Servers { request, options } => {
                let authorizer = self.resolver.resolve(&options.token);
                self.about_servers_here(&authorizer, request).await?.map(Answer::Servers)
            }
            Request::Save { options } => self.save_here(options).await?.map(Answer::Opened),
            Request::Restore { options } => self.restore_here(options).await?.map(Answer::Opened),
        };
        Ok(done)
    }

    /// Answers a question about the servers, or does something about them.
    ///
    /// # Errors
    /// [`NoLeader`](lictor_model::Code::NoLeader) if it needs one and none is there in time, and
    /// what the leader refuses.
    pub async fn about_servers(
        &self,
        request: ServerRequest,
        options: ServerOptions,
    ) -> Result<ServerAnswer> {
        self.check_datacenter(options.datacenter.as_ref())?;
        match self.carry_out(Came::Directly, Request::Servers { request, options }).await? {
            Answer::Servers(answer) => Ok(answer),
            _ => Err(Error::mismatch()),
        }
    }

    async fn about_servers_here(
        &self,
        authorizer: &Authorizer,
        request: &ServerRequest,
    ) -> Result<Attempt<ServerAnswer>> {
        Ok(Attempt::Done(match request {
            ServerRequest::Leader => ServerAnswer::Leader(self.leader()),
            ServerRequest::Peers => {
                let servers = self.servers().servers;
                let peers = servers.iter().filter_map(|server| server.address.parse().ok());
                ServerAnswer::Peers(peers.collect())
            }
            ServerRequest::RaftConfiguration => ServerAnswer::RaftServers(self.servers()),
            ServerRequest::Keyring { request, local_only } => {
                ServerAnswer::Keyrings(self.keyrings(request, *local_only).await?)
            }
            ServerRequest::DatacenterCoordinates => {
                ServerAnswer::DatacenterCoordinates(self.datacenter_coordinates().await)
            }
            ServerRequest::Fire { name, payload } => {
                let event = name.strip_prefix(POOL_PREFIX).unwrap_or(name);
                prepare::permit(authorizer, Resource::Event(event))?;
                self.fire(name.clone(), payload.clone()).await?;
                ServerAnswer::Done
            }
            ServerRequest::Health => ServerAnswer::Health(self.health()),
            ServerRequest::RemovePeer { id, address } => {
                let removed = self.remove_peer(id.as_deref(), address.as_deref()).await?;
                return Ok(removed.map(|()| ServerAnswer::Done));
            }
            ServerRequest::TransferLeadership { id } => {
                let transferred = self.transfer_leadership(id.as_deref()).await?;
                return Ok(transferred.map(|()| ServerAnswer::Done));
            }
        }))
    }
}
