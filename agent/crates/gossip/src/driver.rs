//! A pool on a UDP socket: one task that owns both.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lictor_model::local::Member;
use lictor_sys::clock::Clock;
use lictor_sys::net::{self, Sharing};
use lictor_sys::random;
use tokio::net::UdpSocket;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::event::MemberEvent;
use crate::options::Options;
use crate::pool::{Figures, Input, Output, Pool};
use crate::record::RecordError;

/// How many requests may wait for the task.
const REQUESTS: usize = 16;
/// How many events a slow reader may be behind before it misses some.
const EVENTS: usize = 1024;
/// How long a join tries before it reports who was met.
const JOIN_LIMIT: Duration = Duration::from_secs(10);
/// How long leaving may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);
/// How long the task sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(60);
/// More than any packet, so that one that is too long is seen to be.
const BUFFER: usize = 2048;

/// Why nobody was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// None of the addresses answered in time.
    #[error("none of the {0} addresses answered within {JOIN_LIMIT:?}")]
    NobodyAnswered(usize),
    /// The pool has been left or shut down.
    #[error("gossip has stopped")]
    Stopped,
}

enum Request {
    Join(Vec<SocketAddr>, mpsc::Sender<SocketAddr>),
    StopJoining(Vec<SocketAddr>),
    SetTags(BTreeMap<String, String>, oneshot::Sender<Result<(), RecordError>>),
    Leave,
    Stop,
}

/// This agent's membership in a gossip pool.
pub struct Gossip {
    address: SocketAddr,
    requests: mpsc::Sender<Request>,
    members: watch::Receiver<Arc<[Member]>>,
    figures: watch::Receiver<Figures>,
    left: watch::Receiver<bool>,
    events: broadcast::WeakSender<MemberEvent>,
    /// Has everything from the start on, for the first who asks.
    first: Mutex<Option<broadcast::Receiver<MemberEvent>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Gossip {
    /// Binds the UDP socket and starts a pool with this one member.
    ///
    /// # Errors
    /// Those of the socket, and tags that are too long.
    pub fn start(mut options: Options, bind: SocketAddr, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let socket = net::bind_udp(bind, Sharing::Exclusive)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot gossip on udp {bind}: {error}")))?;
        let address = socket.local_addr()?;
        if options.advertise.port() == 0 {
            options.advertise.set_port(address.port());
        }
        let mut pool = Pool::new(&options, clock.unix_millis(), random::seed(), clock.now())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (events, first) = broadcast::channel(EVENTS);
        for output in pool.start() {
            if let Output::Event(event) = output {
                let _ = events.send(event);
            }
        }
        let (requests, receive_requests) = mpsc::channel(REQUESTS);
        let (publish_members, members) = watch::channel(pool.members().into());
        let (publish_figures, figures) = watch::channel(pool.figures());
        let (publish_left, left) = watch::channel(false);
        let weak_events = events.downgrade();
        let driver = Driver {
            pool,
            socket,
            clock,
            events,
            members: publish_members,
            figures: publish_figures,
            left: publish_left,
            joining: Vec::new(),
            revision: 0,
        };
        let task = tokio::spawn(driver.run(receive_requests));
        Ok(Self {
            address,
            requests,
            members,
            figures,
            left,
            events: weak_events,
            first: Mutex::new(Some(first)),
            task: Mutex::new(Some(task)),
        })
    }

    /// Where the socket is bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// All members that are known, this node included, in the order of their names.
    #[must_use]
    pub fn members(&self) -> Arc<[Member]> {
        Arc::clone(&self.members.borrow())
    }

    /// The same, to be told when it changes.
    #[must_use]
    pub fn watch_members(&self) -> watch::Receiver<Arc<[Member]>> {
        self.members.clone()
    }

    /// What happens to members, this node included. The first caller gets everything since the
    /// start, so its own join too; later ones get what happens from then on. Who reads too slowly
    /// is told how much it missed and should look at [`Gossip::members`] again.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<MemberEvent> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.or_else(|| self.events.upgrade().map(|events| events.subscribe())).unwrap_or_else(|| {
            // The pool has stopped: an end without events.
            broadcast::channel(1).1
        })
    }

    /// What has passed through.
    #[must_use]
    pub fn figures(&self) -> Figures {
        *self.figures.borrow()
    }

    /// Meets the members at these addresses, and through them everyone else. Returns how many of
    /// the addresses were met within ten seconds.
    ///
    /// # Errors
    /// If none was.
    pub async fn join(&self, addresses: Vec<SocketAddr>) -> Result<usize, JoinError> {
        let mut waiting: BTreeSet<SocketAddr> = addresses.into_iter().collect();
        let wanted = waiting.len();
        if wanted == 0 {
            return Ok(0);
        }
        let (met, mut meetings) = mpsc::channel(wanted);
        self.request(Request::Join(waiting.iter().copied().collect(), met)).await?;
        let meeting = async {
            while !waiting.is_empty() {
                match meetings.recv().await {
                    Some(address) => waiting.remove(&address),
                    None => return Err(JoinError::Stopped),
                };
            }
            Ok(())
        };
        let outcome = tokio::time::timeout(JOIN_LIMIT, meeting).await;
        let joined = wanted - waiting.len();
        match outcome {
            Ok(Ok(())) => Ok(joined),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.request(Request::StopJoining(waiting.into_iter().collect())).await?;
                if joined == 0 { Err(JoinError::NobodyAnswered(wanted)) } else { Ok(joined) }
            }
        }
    }

    /// Says something else of this node.
    ///
    /// # Errors
    /// If the tags are too long; the old ones stay then.
    pub async fn set_tags(&self, tags: BTreeMap<String, String>) -> Result<(), RecordError> {
        let (done, outcome) = oneshot::channel();
        if self.request(Request::SetTags(tags, done)).await.is_err() {
            return Ok(());
        }
        outcome.await.unwrap_or(Ok(()))
    }

    /// Leaves the pool, such that others see this node as left and not as failed. Returns once
    /// they had a moment to hear of it; [`Gossip::shutdown`] comes after that.
    pub async fn leave(&self) {
        if self.request(Request::Leave).await.is_err() {
            return;
        }
        let mut left = self.left.clone();
        let leaving = left.wait_for(|left| *left);
        if tokio::time::timeout(LEAVE_LIMIT, leaving).await.is_err() {
            tracing::warn!("leaving the gossip pool took too long, others may see a failure");
        }
    }

    /// Stops without a word. Others will see this node as failed, unless it has left.
    pub async fn shutdown(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(task) = task else {
            return;
        };
        let _ = self.request(Request::Stop).await;
        if task.await.is_err() {
            tracing::warn!("gossip did not stop in an orderly way");
        }
    }

    async fn request(&self, request: Request) -> Result<(), JoinError> {
        self.requests.send(request).await.map_err(|_| JoinError::Stopped)
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

struct Driver {
    pool: Pool,
    socket: UdpSocket,
    clock: Arc<dyn Clock>,
    events: broadcast::Sender<MemberEvent>,
    members: watch::Sender<Arc<[Member]>>,
    figures: watch::Sender<Figures>,
    left: watch::Sender<bool>,
    joining: Vec<Joining>,
    /// Which revision of the members was published.
    revision: u64,
}

/// A join that waits for its addresses to be met.
struct Joining {
    addresses: BTreeSet<SocketAddr>,
    met: mpsc::Sender<SocketAddr>,
}

impl Driver {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut buffer = vec![0; BUFFER];
        loop {
            let wait = self.pool.next_wake().map_or(IDLE, |wake| wake.since(self.clock.now()));
            let input = tokio::select! {
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => {
                        let data = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                        Input::Packet { from, data }
                    }
                    // A peer's closed port is reported here; it says nothing about this socket.
                    Err(error) => {
                        tracing::debug!(%error, "receiving gossip");
                        continue;
                    }
                },
                request = requests.recv() => match request {
                    Some(Request::Join(addresses, met)) => {
                        let waiting = addresses.iter().copied().collect();
                        self.joining.push(Joining { addresses: waiting, met });
                        Input::Join(addresses)
                    }
                    Some(Request::StopJoining(mut addresses)) => {
                        self.joining.retain(|join| !join.met.is_closed());
                        // Another join may still want some of them.
                        addresses.retain(|address| {
                            !self.joining.iter().any(|join| join.addresses.contains(address))
                        });
                        Input::StopJoining(addresses)
                    }
                    Some(Request::SetTags(tags, done)) => {
                        let outcome = self.handle(Input::SetTags(tags));
                        let _ = done.send(outcome);
                        continue;
                    }
                    Some(Request::Leave) => Input::Leave,
                    Some(Request::Stop) | None => return,
                },
                () = tokio::time::sleep(wait) => Input::Wake,
            };
            if let Err(error) = self.handle(input) {
                tracing::warn!(%error, "gossip");
            }
        }
    }

    fn handle(&mut self, input: Input) -> Result<(), RecordError> {
        let outputs = self.pool.handle(input, self.clock.now())?;
        let mut left = false;
        for output in outputs {
            match output {
                Output::Send { to, data } => {
                    // A packet that cannot go out right now is a lost packet.
                    if let Err(error) = self.socket.try_send_to(&data, to) {
                        tracing::debug!(%error, %to, "sending gossip");
                    }
                }
                Output::Event(event) => {
                    // Nobody may be interested yet.
                    let _ = self.events.send(event);
                }
                Output::Joined(address) => {
                    self.joining.retain(|join| !join.met.is_closed());
                    for join in self.joining.iter().filter(|join| join.addresses.contains(&address)) {
                        // There is room for all that it waits for.
                        let _ = join.met.try_send(address);
                    }
                }
                Output::Left => left = true,
            }
        }
        // A list is made only when it differs, not for every packet.
        if self.pool.revision() != self.revision {
            self.revision = self.pool.revision();
            self.members.send_replace(self.pool.members().into());
        }
        if left {
            self.left.send_replace(true);
        }
        self.figures.send_replace(self.pool.figures());
        Ok(())
    }
}
