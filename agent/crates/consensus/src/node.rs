//! One server's part in the cluster's agreement.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lictor_model::RaftIndex;
use lictor_model::cluster::RaftServers;
use lictor_model::command::{Command, Outcome};
use lictor_rpc::Transport;
use lictor_store::Store;
use openraft::errors::{
    ClientWriteError, ForwardReason, ForwardToLeader, InitializeError, LinearizableReadError, RaftError,
};
use openraft::type_config::alias::WatchReceiverOf;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use openraft::{Instant as _, ReadPolicy};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::codec;
use crate::error::{OpenError, ProposeError};
use crate::follow::follow;
use crate::log::{Failure, LogStore, WriterThread};
use crate::machine::Machine;
use crate::mark::Mark;
use crate::network::book::AddressBook;
use crate::network::{self, Answer, Disk, Envelope, Message, Peers, Promise, Receiver};
use crate::opened::{Opened, open_storage};
use crate::options::{Options, Storage};
use crate::status::{self, Leadership, Status};
use crate::types::{Metrics, Payload, PeerInfo, Raft, TypeConfig, public_index};

/// The pause before asking a leader again that has just been elected and has no lease yet.
pub(crate) const BACKOFF: Duration = Duration::from_millis(5);
/// How long a server that starts alone waits to be leader before it asks to be one again.
const ELECT_AGAIN: Duration = Duration::from_millis(250);
/// How often it asks before it leaves that to Raft's own timer.
const ELECT_ATTEMPTS: usize = 8;

/// How long a disk may take for a write before its server counts as unfit to lead, at the least.
const DISK_PATIENCE: Duration = Duration::from_secs(1);
/// How long a request of a peer may take here, so that a disk that hangs does not gather them.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long the end may take.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// The largest command, such that it fits into one message between servers.
const MAX_COMMAND: usize = 4 * 1024 * 1024;
/// Commands that wait to be agreed on are counted in pieces of this many bytes.
const PIECE: usize = 1024;
/// How many such pieces may wait.
const MAX_WAITING: usize = 64 * 1024;

/// This server's part in the cluster's agreement. See the crate's front page.
pub struct Consensus {
    id: u64,
    node: PeerInfo,
    pub(crate) raft: Raft,
    pub(crate) metrics: WatchReceiverOf<TypeConfig, Metrics>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    disk: Failure,
    receiver: Receiver,
    pub(crate) lease: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) time_limit: Duration,
    /// When a leader was last heard.
    heard: Mark,
    /// The newest term in which this server has handed over leadership, or begun to.
    pub(crate) handed_over: AtomicU64,
    /// Room for commands that wait to be agreed on.
    room: Semaphore,
    /// Membership changes one at a time.
    pub(crate) turn: Semaphore,
    /// Held while a nomination is made or acted upon.
    pub(crate) ballot: Semaphore,
    /// Whether this server is about to leave the cluster.
    pub(crate) leaving: AtomicBool,
    /// Whether this server forms a cluster if it is nominated.
    pub(crate) stands: AtomicBool,
    pub(crate) transport: Arc<dyn Transport>,
    book: AddressBook,
    running: Mutex<Option<Running>>,
}

/// What has to be stopped.
struct Running {
    follow: JoinHandle<()>,
    /// The writer ends once all handles to the log are gone, this one included.
    log: LogStore,
    writer: WriterThread,
}

impl Consensus {
    /// Opens this server's log and snapshots, brings `store` to where they end, and takes part in
    /// the cluster they belong to; a server without any waits to be asked into one.
    ///
    /// # Errors
    /// If what is on the disk cannot be used; the message says what to do.
    pub async fn open(
        options: Options,
        storage: Storage,
        store: Arc<Store>,
        transport: Arc<dyn Transport>,
    ) -> Result<Arc<Self>, OpenError> {
        let opened = tokio::task::spawn_blocking(move || open_storage(&storage))
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))??;
        Self::start(options, opened, store, transport).await
    }

    pub(crate) async fn start(
        options: Options,
        (log, writer, snapshots): Opened,
        store: Arc<Store>,
        transport: Arc<dyn Transport>,
    ) -> Result<Arc<Self>, OpenError> {
        let id = log.raft_id();
        let disk = log.failure();
        let own_log = log.clone();
        let machine = Machine::new(store, snapshots);
        let config =
            options.raft_config().validate().map_err(|error| OpenError::Settings(error.to_string()))?;
        let book = AddressBook::default();
        let disk_health = Disk::new(log.writing(), options.lease().max(DISK_PATIENCE));
        let promise = Promise::new(id, log.vote(), options.lease());
        let peers = Peers {
            from: id,
            transport: Arc::clone(&transport),
            book: book.clone(),
            disk: disk_health,
            promise: promise.clone(),
        };
        let raft = Raft::new(id, Arc::new(config), peers, log, machine)
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))?;
        let metrics = raft.metrics();
        let (publish, leadership) = watch::channel(status::leadership(&metrics.borrow_watched()));
        let follow = tokio::spawn(follow(raft.clone(), options.node.clone(), book.clone(), publish));
        let consensus = Arc::new(Self {
            id,
            node: options.node.clone(),
            metrics,
            leadership,
            disk,
            receiver: Receiver::new(id, raft.clone(), promise),
            raft,
            lease: options.lease(),
            heartbeat: options.heartbeat(),
            time_limit: options.time_limit,
            heard: Mark::default(),
            handed_over: AtomicU64::new(0),
            room: Semaphore::new(MAX_WAITING),
            turn: Semaphore::new(1),
            ballot: Semaphore::new(1),
            leaving: AtomicBool::new(false),
            stands: AtomicBool::new(false),
            transport,
            book,
            running: Mutex::new(Some(Running { follow, log: own_log, writer })),
        });
        consensus.lead_if_alone().await;
        Ok(consensus)
    }

    /// This server's number in Raft, which is born with its data directory.
    #[must_use]
    pub fn raft_id(&self) -> u64 {
        self.id
    }

    /// What the cluster knows, or is to know, of this server.
    #[must_use]
    pub fn node(&self) -> &PeerInfo {
        &self.node
    }

    /// The log, while this server runs.
    pub(crate) fn log(&self) -> Option<LogStore> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().map(|running| running.log.clone())
    }

    /// Forms a cluster of this one server, unless it belongs to one already. Says whether it did;
    /// if so, this server leads.
    ///
    /// # Errors
    /// If this server has stopped.
    pub async fn bootstrap(&self) -> Result<bool, ProposeError> {
        let formed = self.bootstrap_with(BTreeMap::from([(self.id, self.node.clone())])).await?;
        if formed {
            let mut leadership = self.leadership.clone();
            let established = leadership.wait_for(|leadership| leadership.established);
            // A disk that is this slow is no reason to fail: the cluster is formed.
            if tokio::time::timeout(self.time_limit, established).await.is_err() {
                tracing::warn!("this server formed a cluster of its own but does not lead it yet");
            }
        }
        Ok(formed)
    }

    /// Forms a cluster of these servers, by Raft id, unless this one belongs to one already. The
    /// others must belong to none, and only one of them may be asked.
    ///
    /// # Errors
    /// If this server is not among them, or has stopped.
    pub async fn bootstrap_with(&self, servers: BTreeMap<u64, PeerInfo>) -> Result<bool, ProposeError> {
        match self.raft.initialize(servers).await {
            Ok(()) => Ok(true),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(false),
            Err(RaftError::APIError(InitializeError::NotInMembers(error))) => {
                Err(ProposeError::Invalid(error.to_string()))
            }
            Err(RaftError::Fatal(error)) => Err(self.stopped(&error)),
        }
    }

    /// A server that has the only vote need not wait whether someone else leads.
    async fn lead_if_alone(&self) {
        // Asked of Raft itself: its metrics say nothing before it has run for a moment.
        let id = self.id;
        let alone = self.raft.with_raft_state(move |state| {
            let mut voters = state.membership_state.effective().voter_ids();
            voters.next() == Some(id) && voters.next().is_none()
        });
        let alone = alone.await.unwrap_or(false);
        let mut leadership = self.leadership.clone();
        let attempts = if alone { ELECT_ATTEMPTS } else { 0 };
        for _ in 0..attempts {
            if self.raft.trigger().elect(false).await.is_err() {
                break;
            }
            let led = leadership.wait_for(|leadership| leadership.established);
            if tokio::time::timeout(ELECT_AGAIN, led).await.is_ok() {
                break;
            }
        }
    }

    /// Puts a command into the log. Once this returns, a quorum has it on disk and this server has
    /// applied it.
    ///
    /// # Errors
    /// See [`ProposeError`]; what was refused by the state machine is an [`Outcome`], not an error.
    pub async fn propose(&self, command: Command) -> Result<(RaftIndex, Outcome), ProposeError> {
        let payload = Payload::new(command)
            .map_err(|error| ProposeError::Invalid(format!("the command cannot be encoded: {error}")))?;
        let size = payload.encoded().len();
        if size > MAX_COMMAND {
            return Err(ProposeError::TooLarge { size, limit: MAX_COMMAND });
        }
        let pieces = u32::try_from(size / PIECE + 1).unwrap_or(u32::MAX);
        let _room = self.room.try_acquire_many(pieces).map_err(|_| ProposeError::Overloaded)?;
        let proposing = self.patiently(|| async {
            self.raft.client_write(payload.clone()).await.map_err(|error| match error {
                RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => Refusal::Forward(forward),
                RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => {
                    Refusal::Final(ProposeError::Unknown { reason: "leadership was lost".to_owned() })
                }
                RaftError::APIError(error) => {
                    Refusal::Final(ProposeError::Unavailable { reason: error.to_string() })
                }
                RaftError::Fatal(error) => Refusal::Final(self.stopped(&error)),
            })
        });
        let response = tokio::time::timeout(self.time_limit, proposing)
            .await
            .map_err(|_| ProposeError::too_slow(self.time_limit))??;
        Ok((public_index(response.log_id), response.data))
    }

    /// Waits until this server's state includes everything acknowledged anywhere before the call,
    /// and returns how far that is.
    ///
    /// # Errors
    /// If this server does not lead, or cannot make sure that it does.
    pub async fn linearize(&self) -> Result<RaftIndex, ProposeError> {
        let reading = self.patiently(|| async {
            self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map_err(|error| match error {
                RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
                    Refusal::Forward(forward)
                }
                RaftError::APIError(LinearizableReadError::QuorumNotEnough(error)) => {
                    Refusal::Final(ProposeError::Unavailable { reason: error.to_string() })
                }
                RaftError::Fatal(error) => Refusal::Final(self.stopped(&error)),
            })
        });
        tokio::time::timeout(self.time_limit, reading)
            .await
            .map_err(|_| ProposeError::too_slow(self.time_limit))??;
        Ok(self.metrics.borrow_watched().last_applied.map_or(RaftIndex(0), public_index))
    }

    /// Repeats what a leader refuses only because it has just been elected.
    pub(crate) async fn patiently<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, ProposeError>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        // A leader that has no lease after two of them is cut off from its quorum.
        let mut patience = self.lease * 2;
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(Refusal::Final(error)) => return Err(error),
                Err(Refusal::Forward(forward)) if forward.reason == ForwardReason::LeaseExpired => {
                    if patience.is_zero() {
                        return Err(ProposeError::Unavailable {
                            reason: "a majority of the servers does not answer this leader".to_owned(),
                        });
                    }
                }
                Err(Refusal::Forward(forward)) => {
                    return Err(ProposeError::NotLeader { leader: forward.leader_node });
                }
                Err(Refusal::Soon(reason)) if patience.is_zero() => {
                    return Err(ProposeError::Unavailable { reason });
                }
                Err(Refusal::Soon(_)) => {}
            }
            tokio::time::sleep(BACKOFF).await;
            patience = patience.saturating_sub(BACKOFF);
        }
    }

    pub(crate) fn stopped(&self, error: &openraft::errors::Fatal<TypeConfig>) -> ProposeError {
        let disk = self.disk.borrow().clone();
        ProposeError::Fatal(disk.map_or_else(|| error.to_string(), |reason| reason.to_string()))
    }

    /// Who leads, if anyone is known to. Cheap.
    #[must_use]
    pub fn leader(&self) -> Option<PeerInfo> {
        status::leader_of(&self.metrics.borrow_watched())
    }

    /// Whether this server leads, as far as it knows. Cheap.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.metrics.borrow_watched().state.is_leader()
    }

    /// Changes of leadership.
    #[must_use]
    pub fn subscribe_leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Whether this server may answer a read with default consistency right now: it leads, has
    /// applied all that former leaders acknowledged, and no other can have been elected. Cheap.
    #[must_use]
    pub fn lease_is_valid(&self) -> bool {
        let metrics = self.metrics.borrow_watched();
        if !status::is_established(&metrics) || self.disk.borrow().is_some() {
            return false;
        }
        let handed_over = self.handed_over.load(Ordering::SeqCst) >= metrics.current_term;
        if handed_over || !status::has_vote(&metrics) {
            return false;
        }
        // Some of the lease is left for clocks that do not run equally fast.
        status::is_alone(&metrics)
            || metrics.last_quorum_acked.is_some_and(|acked| acked.elapsed() < self.lease * 9 / 10)
    }

    /// How long ago this server heard from a leader, or `None` if never. A leader hears itself for as
    /// long as it has its lease; after that it counts from what a majority answered last.
    #[must_use]
    pub fn last_contact(&self) -> Option<Duration> {
        if self.lease_is_valid() {
            return Some(Duration::ZERO);
        }
        let metrics = self.metrics.borrow_watched();
        let acked = metrics.last_quorum_acked.filter(|_| metrics.state.is_leader());
        acked.map(|acked| acked.elapsed()).or_else(|| self.heard.elapsed())
    }

    /// The servers that Raft counts.
    #[must_use]
    pub fn servers(&self) -> RaftServers {
        status::servers(&self.metrics.borrow_watched())
    }

    /// Where this server is.
    #[must_use]
    pub fn status(&self) -> Status {
        status::status(&self.metrics.borrow_watched())
    }

    /// Takes up where servers are now, by their node ids, whatever the cluster's configuration says.
    pub fn note_addresses(&self, addresses: BTreeMap<String, SocketAddr>) {
        self.book.hear(addresses);
    }

    /// The last entry that is only in snapshots.
    #[cfg(test)]
    pub(crate) fn purged(&self) -> u64 {
        self.metrics.borrow_watched().purged.map_or(0, |log_id| log_id.index)
    }

    /// Answers a request of a peer's consensus.
    pub async fn handle(&self, request: &[u8]) -> Bytes {
        let (answer, heard_leader) = match codec::decode::<Envelope>(request) {
            Ok(Envelope { message: Message::Ask(question), .. }) => {
                (self.reply(question).await.map_or_else(Answer::Refused, Answer::Told), false)
            }
            Ok(Envelope { to, message }) => {
                let limit = if message.is_bulk() { network::INSTALL_LIMIT } else { ANSWER_LIMIT };
                let handled = tokio::time::timeout(limit, self.receiver.handle(to, message)).await;
                handled.unwrap_or_else(|_| (Answer::Refused(format!("it took longer than {limit:?}")), false))
            }
            Err(error) => (Answer::Refused(format!("the request cannot be read: {error}")), false),
        };
        if heard_leader {
            self.heard.set();
        }
        codec::encode(&answer)
            .or_else(|error| codec::encode(&Answer::Refused(error.to_string())))
            .unwrap_or_default()
    }

    /// Takes a snapshot soon, whether or not enough has been written since the last one.
    ///
    /// # Errors
    /// If this server has stopped.
    pub async fn trigger_snapshot(&self) -> Result<(), ProposeError> {
        self.raft.trigger().snapshot().await.map_err(|error| self.stopped(&error))
    }

    /// Resolves with the reason once this server can no longer take part. The agent must stop then.
    pub async fn fatal(&self) -> String {
        let mut disk = self.disk.clone();
        // Its sender ends together with Raft.
        let mut leadership = self.leadership.clone();
        loop {
            if let Some(reason) = &*disk.borrow_and_update() {
                return reason.to_string();
            }
            let open = tokio::select! {
                changed = disk.changed() => changed.is_ok(),
                changed = leadership.changed() => changed.is_ok(),
            };
            if !open && disk.borrow().is_none() {
                return match &self.metrics.borrow_watched().running_state {
                    Err(error) => error.to_string(),
                    Ok(()) => "raft has stopped".to_owned(),
                };
            }
        }
    }

    /// Stops taking part, and returns once everything is on disk and the files are closed.
    pub async fn shutdown(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { follow, log, writer }) = running else {
            return;
        };
        drop(log);
        let ending = async {
            if let Err(error) = self.raft.shutdown().await {
                tracing::warn!(%error, "raft did not stop in an orderly way");
            }
            follow.abort();
            // The thread ends when Raft's tasks have let go of the log. It is not joined before it
            // has, for that would wait for a disk that hangs.
            while !writer.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if writer.join().is_err() {
                tracing::warn!("the raft log's writer did not stop in an orderly way");
            }
        };
        if tokio::time::timeout(SHUTDOWN_LIMIT, ending).await.is_err() {
            tracing::warn!("the raft log did not close in time; does the disk hang?");
        }
    }
}

impl Drop for Consensus {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            // Holds the last handle to Raft, whose tasks end with it.
            running.follow.abort();
        }
    }
}

/// Why an attempt did not succeed.
pub(crate) enum Refusal {
    /// This server does not lead, or may not act as a leader yet.
    Forward(ForwardToLeader<TypeConfig>),
    /// Something else has to end first.
    Soon(String),
    Final(ProposeError),
}
