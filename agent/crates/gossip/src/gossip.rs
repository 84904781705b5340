//! This agent's membership in a pool, as the rest of the agent has it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lictor_model::coordinate::Coordinate;
use lictor_model::local::Member;
use lictor_sys::clock::Clock;
use lictor_sys::net::{self, Sharing};
use lictor_sys::random;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::driver::{Driver, EVENTS, Published, REQUESTS, Request};
use crate::event::MemberEvent;
use crate::keyring::KeyRequest;
use crate::options::Options;
use crate::places::Places;
use crate::pool::{Figures, FireError, Fired, Output, Pool, Unjoined};
use crate::record::RecordError;
use crate::talk::KeyReport;

/// How long leaving may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);
/// How often a port is looked for that is free for packets and for streams.
const PORT_TRIES: usize = 32;

/// The pool has been left or shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gossip has stopped")]
pub struct Stopped;

/// Why nobody was joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// At none of the addresses somebody was met; each with why.
    #[error("{}", listed(.0.iter().map(|(address, why)| format!("Failed to join {address}: {why}"))))]
    Nobody(Vec<(SocketAddr, Unjoined)>),
    /// The pool has been left or shut down.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Several problems as one text, as operators know it.
pub fn listed(problems: impl ExactSizeIterator<Item = String>) -> String {
    let count = problems.len();
    let noun = if count == 1 { "error" } else { "errors" };
    let lines: String = problems.map(|problem| format!("\t* {problem}\n")).collect();
    format!("{count} {noun} occurred:\n{lines}\n")
}

/// This agent's membership in a gossip pool.
pub struct Gossip {
    address: SocketAddr,
    advertised: SocketAddr,
    requests: mpsc::Sender<Request>,
    published: watch::Receiver<Published>,
    members: watch::Receiver<Arc<[Member]>>,
    left: watch::Receiver<bool>,
    events: Feed<MemberEvent>,
    fired: Feed<Fired>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What happens, for those who want to be told.
struct Feed<T> {
    sender: broadcast::WeakSender<T>,
    /// Has everything from the start on, for the first who asks.
    first: Mutex<Option<broadcast::Receiver<T>>>,
}

impl<T: Clone> Feed<T> {
    fn new() -> (broadcast::Sender<T>, Self) {
        let (sender, first) = broadcast::channel(EVENTS);
        let weak = sender.downgrade();
        (sender, Self { sender: weak, first: Mutex::new(Some(first)) })
    }

    fn subscribe(&self) -> broadcast::Receiver<T> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.or_else(|| self.sender.upgrade().map(|sender| sender.subscribe())).unwrap_or_else(|| {
            // The pool has stopped: an end without events.
            broadcast::channel(1).1
        })
    }
}

/// A socket for packets and one for streams with the same number.
fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let named = |error: io::Error, what: &str| {
        io::Error::new(error.kind(), format!("cannot gossip on {what} {address}: {error}"))
    };
    let mut tries = PORT_TRIES;
    loop {
        tries -= 1;
        let packets = net::bind_udp(address, Sharing::Exclusive).map_err(|error| named(error, "udp"))?;
        match net::listen_tcp(packets.local_addr()?) {
            Ok(streams) => return Ok((packets, streams)),
            Err(error) if address.port() == 0 && tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(named(error, "tcp")),
        }
    }
}

/// Where members were in an earlier life, if they are to be looked for.
fn before(options: &Options) -> Vec<SocketAddr> {
    let Some(path) = &options.members_file else { return Vec::new() };
    let places = Places::read(path);
    if places.left && !options.rejoin_after_leave {
        return Vec::new();
    }
    places.members.into_values().collect()
}

impl Gossip {
    /// Binds the sockets and starts a pool with this one member.
    ///
    /// # Errors
    /// Those of the sockets, tags that are too long, and keys that are none.
    pub fn start(mut options: Options, at: SocketAddr, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let (packets, streams) = bind(at)?;
        let address = packets.local_addr()?;
        if options.advertise.port() == 0 {
            options.advertise.set_port(address.port());
        }
        let mut pool = Pool::new(&options, clock.unix_millis(), random::seed(), clock.now())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (events, event_feed) = Feed::new();
        let (fired, fired_feed) = Feed::new();
        for output in pool.start() {
            if let Output::Event(event) = output {
                let _ = events.send(event);
            }
        }
        let (requests, receive_requests) = mpsc::channel(REQUESTS);
        let (publish, published) = watch::channel(Published::of(&pool));
        let (publish_members, members) = watch::channel(pool.members().into());
        let (publish_left, left) = watch::channel(false);
        let told = (events, fired);
        let driver =
            Driver::new(pool, &options, packets, clock, told, publish, publish_members, publish_left);
        let task = tokio::spawn(driver.run(receive_requests, streams, before(&options)));
        Ok(Self {
            address,
            advertised: options.advertise,
            requests,
            published,
            members,
            left,
            events: event_feed,
            fired: fired_feed,
            task: Mutex::new(Some(task)),
        })
    }

    /// Where the sockets are bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where others reach this node.
    #[must_use]
    pub fn advertised(&self) -> SocketAddr {
        self.advertised
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
        self.events.subscribe()
    }

    /// What users fire, each once and in the order in which it came. For readers as for
    /// [`Gossip::events`].
    #[must_use]
    pub fn fired(&self) -> broadcast::Receiver<Fired> {
        self.fired.subscribe()
    }

    /// Has everybody hear of an event.
    ///
    /// # Errors
    /// If it is too long, or there are too many; nobody hears of it then.
    pub async fn fire(&self, name: String, payload: Bytes) -> Result<(), FireError> {
        let (done, outcome) = oneshot::channel();
        self.request(Request::Fire(name, payload, done)).await.map_err(|_| FireError::Stopped)?;
        outcome.await.map_err(|_| FireError::Stopped)?
    }

    /// What has passed through.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.published.borrow().figures
    }

    /// Where this node is in the space in which distance is round-trip time.
    #[must_use]
    pub fn coordinate(&self) -> Coordinate {
        self.published.borrow().coordinate.clone()
    }

    /// Where members are, by name, as far as they have told this node; nobody once it has stopped.
    pub async fn coordinates(&self) -> BTreeMap<String, Coordinate> {
        let (done, outcome) = oneshot::channel();
        if self.request(Request::Coordinates(done)).await.is_err() {
            return BTreeMap::new();
        }
        outcome.await.unwrap_or_default()
    }

    /// Whether the pool has keys.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.published.borrow().is_encrypted
    }

    /// Meets the members at these addresses, and through them everyone else. Returns at how many
    /// of the addresses somebody was met; this node's own counts.
    ///
    /// # Errors
    /// If at none, each address with why.
    pub async fn join(&self, addresses: Vec<SocketAddr>) -> Result<usize, JoinError> {
        let waiting: BTreeSet<SocketAddr> = addresses.into_iter().collect();
        if waiting.is_empty() {
            return Ok(0);
        }
        let (met, mut meetings) = mpsc::channel(waiting.len());
        self.request(Request::Join(waiting.iter().copied().collect(), met)).await?;
        let (mut joined, mut problems) = (0, Vec::new());
        // Each has a time limit of its own.
        while joined + problems.len() < waiting.len() {
            match meetings.recv().await.ok_or(Stopped)? {
                (_, Ok(())) => joined += 1,
                (address, Err(why)) => problems.push((address, why)),
            }
        }
        if joined == 0 { Err(JoinError::Nobody(problems)) } else { Ok(joined) }
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

    /// Has everybody see a failed member as left, or forget it at once. One that lives says that
    /// it does. Returns whether there is a member of this name.
    pub async fn force_leave(&self, name: &str, prune: bool) -> bool {
        let is_known = self.members().iter().any(|member| member.name == name);
        is_known && self.request(Request::ForceLeave { name: name.to_owned(), prune }).await.is_ok()
    }

    /// Asks something of the keys of all members that are there.
    ///
    /// # Errors
    /// If the pool has stopped; what went wrong at members is in the report.
    pub async fn keys(&self, request: KeyRequest) -> Result<KeyReport, Stopped> {
        let (done, outcome) = oneshot::channel();
        self.request(Request::Keys(request, done)).await?;
        outcome.await.map_err(|_| Stopped)
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

    async fn request(&self, request: Request) -> Result<(), Stopped> {
        self.requests.send(request).await.map_err(|_| Stopped)
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}
