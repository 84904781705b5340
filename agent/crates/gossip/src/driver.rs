//! A pool on its sockets: one task that owns both.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lictor_model::coordinate::Coordinate;
use lictor_model::local::Member;
use lictor_sys::clock::{Clock, Moment};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::door::Door;
use crate::event::MemberEvent;
use crate::keyring::KeyRequest;
use crate::options::Options;
use crate::places::{self, Places};
use crate::pool::{Figures, FireError, Fired, Input, Output, Pool, Unjoined, table};
use crate::record::RecordError;
use crate::streams::{self, Guard, Incoming};
use crate::talk::KeyReport;

/// How many requests may wait for the task.
pub(crate) const REQUESTS: usize = 16;
/// How many events a slow reader may be behind before it misses some.
pub(crate) const EVENTS: usize = 1024;
/// How long the task sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(60);
/// More than any packet, so that one that is too long is seen to be.
const BUFFER: usize = 2048;
/// How many packets are taken in before anything else gets its turn.
const PACKETS_AT_ONCE: usize = 128;
/// How many questions by stream are open at once; others wait.
const STREAMS_AT_ONCE: usize = 32;
/// How often the file of members is written at the most.
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// After which time keys that could not be written are tried again.
const KEYS_AGAIN: Duration = Duration::from_secs(5);

pub(crate) type Met = mpsc::Sender<(SocketAddr, Result<(), Unjoined>)>;

pub(crate) enum Request {
    Join(Vec<SocketAddr>, Met),
    SetTags(BTreeMap<String, String>, oneshot::Sender<Result<(), RecordError>>),
    ForceLeave { name: String, prune: bool },
    Keys(KeyRequest, oneshot::Sender<KeyReport>),
    Coordinates(oneshot::Sender<BTreeMap<String, Coordinate>>),
    Fire(String, Bytes, oneshot::Sender<Result<(), FireError>>),
    Leave,
    Stop,
}

/// What can be seen of a pool from outside, beside its members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) figures: Figures,
    pub(crate) coordinate: Coordinate,
    pub(crate) is_encrypted: bool,
}

impl Published {
    pub(crate) fn of(pool: &Pool) -> Self {
        Self {
            figures: pool.figures(),
            coordinate: pool.coordinate().clone(),
            is_encrypted: pool.is_encrypted(),
        }
    }
}

/// Keys that are to be in their file.
struct Keys {
    revision: u64,
    keys: Vec<String>,
    /// Not before then: they were tried before.
    not_before: Moment,
}

/// What became of writing keys.
type KeysWritten = (Keys, io::Result<()>);

/// Files that follow what the pool knows.
struct Kept {
    members: Option<PathBuf>,
    keys: Option<PathBuf>,
    /// The revision of the members in the file.
    written: u64,
    last: Moment,
    /// Keys that are not in their file yet.
    new_keys: Option<Keys>,
    /// One write after the other.
    writing: JoinSet<Option<KeysWritten>>,
}

impl Kept {
    fn write_members(&mut self, pool: &Pool, left: bool) {
        self.written = pool.revision();
        if let Some(path) = self.members.clone() {
            let places = Places::new(table::places(&pool.members()), left);
            self.writing.spawn_blocking(move || {
                if let Err(error) = places.write(&path) {
                    tracing::error!(%error, "the file of members cannot be written");
                }
                None
            });
        }
    }

    fn write_keys(&mut self, keys: Keys) {
        let path = self.keys.clone();
        self.writing.spawn_blocking(move || {
            let outcome = path.map_or(Ok(()), |path| places::write(&path, &keys.keys));
            Some((keys, outcome))
        });
    }

    /// Takes note of what became of keys; those that are not in their file are tried again.
    fn keys_written(&mut self, (keys, outcome): KeysWritten, now: Moment) -> (u64, Result<(), String>) {
        let revision = keys.revision;
        let outcome = outcome.map_err(|error| {
            tracing::error!(%error, "the keyring cannot be written");
            // There may be newer ones by now.
            self.new_keys.get_or_insert(Keys { not_before: now + KEYS_AGAIN, ..keys });
            error.to_string()
        });
        (revision, outcome)
    }

    /// Begins what is to be written next.
    fn go_on(&mut self, pool: &Pool, now: Moment) {
        if !self.writing.is_empty() {
            return;
        }
        if let Some(keys) = self.new_keys.take_if(|keys| keys.not_before <= now) {
            self.write_keys(keys);
        } else if self.written != pool.revision() && now.since(self.last) >= WRITE_EVERY {
            self.last = now;
            self.write_members(pool, false);
        }
    }

    async fn until_written(&mut self) {
        while let Some(written) = self.writing.join_next().await {
            if let Ok(Some(written)) = written {
                // Nobody waits for it any more.
                drop(self.keys_written(written, Moment::default()));
            }
        }
    }

    /// Writes what is still to be written; keys that failed get one more try.
    async fn finish(&mut self, pool: &Pool, left: bool) {
        self.until_written().await;
        if let Some(keys) = self.new_keys.take() {
            self.write_keys(keys);
        }
        if left || self.written != pool.revision() {
            self.write_members(pool, left);
        }
        self.until_written().await;
    }
}

pub(crate) struct Driver {
    pool: Pool,
    packets: UdpSocket,
    clock: Arc<dyn Clock>,
    events: broadcast::Sender<MemberEvent>,
    fired: broadcast::Sender<Fired>,
    published: watch::Sender<Published>,
    members: watch::Sender<Arc<[Member]>>,
    left: watch::Sender<bool>,
    /// Joins that wait for what becomes of an address.
    joining: Vec<(SocketAddr, Met)>,
    /// Who waits for what becomes of a request about keys.
    rounds: HashMap<u64, oneshot::Sender<KeyReport>>,
    next_round: u64,
    /// Whose questions by stream wait for an answer.
    asking: HashMap<u64, oneshot::Sender<Bytes>>,
    next_ticket: u64,
    /// Questions of this node's that are open.
    asked: JoinSet<(u64, Result<Bytes, String>)>,
    places: Arc<Semaphore>,
    guard: Arc<Guard>,
    /// The address that the sockets are bound to.
    source: IpAddr,
    /// Which revision of the members was published.
    revision: u64,
    kept: Kept,
}

impl Driver {
    #[expect(clippy::too_many_arguments, reason = "its parts, each once")]
    pub(crate) fn new(
        pool: Pool,
        options: &Options,
        packets: UdpSocket,
        clock: Arc<dyn Clock>,
        (events, fired): (broadcast::Sender<MemberEvent>, broadcast::Sender<Fired>),
        published: watch::Sender<Published>,
        members: watch::Sender<Arc<[Member]>>,
        left: watch::Sender<bool>,
    ) -> Self {
        let kept = Kept {
            members: options.members_file.clone(),
            keys: options.keyring_file.clone(),
            written: pool.revision(),
            last: clock.now(),
            new_keys: None,
            writing: JoinSet::new(),
        };
        Self {
            source: packets.local_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |at| at.ip()),
            pool,
            packets,
            clock,
            events,
            fired,
            published,
            members,
            left,
            joining: Vec::new(),
            rounds: HashMap::new(),
            next_round: 0,
            asking: HashMap::new(),
            next_ticket: 0,
            asked: JoinSet::new(),
            places: Arc::new(Semaphore::new(STREAMS_AT_ONCE)),
            guard: Arc::new(Guard::new(Door::of(options))),
            revision: 0,
            kept,
        }
    }

    /// Runs the pool until it is told to stop; `before` are the members of an earlier life.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        listener: TcpListener,
        before: Vec<SocketAddr>,
    ) {
        let (questions, mut incoming) = mpsc::channel(REQUESTS);
        let mut listening = JoinSet::new();
        listening.spawn(streams::listen(listener, questions, Arc::clone(&self.guard)));
        let mut buffer = vec![0; BUFFER];
        self.handle(Input::Rejoin(before));
        loop {
            // What has come is heard before anybody is blamed for not having said it.
            for _ in 0..PACKETS_AT_ONCE {
                let Ok((length, from)) = self.packets.try_recv_from(&mut buffer) else { break };
                self.packet(from, &buffer, length);
            }
            if self.pool.next_wake().is_some_and(|wake| wake <= self.clock.now()) {
                self.handle(Input::Wake);
            }
            self.publish();
            let wait = self.pool.next_wake().map_or(IDLE, |wake| wake.since(self.clock.now()));
            tokio::select! {
                received = self.packets.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => self.packet(from, &buffer, length),
                    // A peer's closed port is reported here; it says nothing about this socket.
                    Err(error) => tracing::debug!(%error, "receiving gossip"),
                },
                request = requests.recv() => match request {
                    Some(Request::Stop) | None => break,
                    Some(request) => self.requested(request),
                },
                Some(Incoming { from, question, answer }) = incoming.recv() => {
                    self.next_ticket += 1;
                    self.asking.insert(self.next_ticket, answer);
                    self.handle(Input::Asked { ticket: self.next_ticket, from, data: question });
                }
                Some(answered) = self.asked.join_next() => {
                    // A task that was ended has no one waiting for it either.
                    if let Ok((ticket, answer)) = answered {
                        self.handle(Input::Answered { ticket, answer });
                    }
                }
                Some(written) = self.kept.writing.join_next() => {
                    if let Ok(Some(written)) = written {
                        let (revision, outcome) = self.kept.keys_written(written, self.clock.now());
                        self.handle(Input::KeysKept { revision, outcome });
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
        let left = *self.left.borrow();
        self.kept.finish(&self.pool, left).await;
    }

    fn packet(&mut self, from: SocketAddr, buffer: &[u8], length: usize) {
        let data = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
        self.handle(Input::Packet { from, data });
    }

    fn requested(&mut self, request: Request) {
        match request {
            // Whoever asked sees that it has stopped.
            Request::Join(..) | Request::Keys(..) if *self.left.borrow() => {}
            Request::Join(addresses, met) => {
                self.joining.extend(addresses.iter().map(|address| (*address, met.clone())));
                self.handle(Input::Join(addresses));
            }
            Request::SetTags(tags, done) => {
                let outcome = self.pool.handle(Input::SetTags(tags), self.clock.now());
                let _ = done.send(outcome.map(|outputs| self.carry_out(outputs)));
            }
            Request::Fire(name, payload, done) => {
                let outcome = self.pool.fire(name, payload, self.clock.now());
                let _ = done.send(outcome.map(|outputs| self.carry_out(outputs)));
            }
            Request::ForceLeave { name, prune } => self.handle(Input::ForceLeave { name, prune }),
            Request::Keys(request, done) => {
                self.next_round += 1;
                self.rounds.insert(self.next_round, done);
                self.handle(Input::Keys { round: self.next_round, request });
            }
            // Whoever asked may have gone.
            Request::Coordinates(done) => drop(done.send(self.pool.coordinates())),
            Request::Leave => self.handle(Input::Leave),
            Request::Stop => {}
        }
    }

    fn handle(&mut self, input: Input) {
        match self.pool.handle(input, self.clock.now()) {
            Ok(outputs) => self.carry_out(outputs),
            Err(error) => tracing::warn!(%error, "gossip"),
        }
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { to, data } => {
                    // A packet that cannot go out right now is a lost packet.
                    if let Err(error) = self.packets.try_send_to(&data, to) {
                        tracing::debug!(%error, %to, "sending gossip");
                    }
                }
                Output::Ask { ticket, to, data } => {
                    let (places, source) = (Arc::clone(&self.places), self.source);
                    self.asked.spawn(async move {
                        // Nobody closes it.
                        let _place = places.acquire_owned().await;
                        (ticket, streams::ask(source, to, data).await)
                    });
                }
                Output::Answer { ticket, data } => {
                    if let (Some(asking), Some(data)) = (self.asking.remove(&ticket), data) {
                        // Whoever asked may have gone.
                        let _ = asking.send(data);
                    }
                }
                Output::Event(event) => {
                    // Nobody may be interested yet.
                    let _ = self.events.send(event);
                }
                Output::Fired(fired) => {
                    let _ = self.fired.send(fired);
                }
                Output::Joined { address, outcome } => {
                    for (_, met) in self.joining.extract_if(.., |(waiting, _)| *waiting == address) {
                        // There is room for all that it waits for.
                        let _ = met.try_send((address, outcome.clone()));
                    }
                }
                Output::Keys { round, report } => {
                    if let Some(done) = self.rounds.remove(&round) {
                        let _ = done.send(report);
                    }
                }
                Output::KeysChanged { revision, keys } => {
                    let not_before = Moment::default();
                    self.kept.new_keys = Some(Keys { revision, keys, not_before });
                }
                Output::Left => {
                    self.publish();
                    // Nothing comes of these any more; whoever waits sees that it has stopped.
                    self.joining.clear();
                    self.rounds.clear();
                    self.asking.clear();
                    self.left.send_replace(true);
                }
            }
        }
    }

    /// Lets everybody see how things are. A list of members is made only when it differs.
    fn publish(&mut self) {
        if self.pool.revision() != self.revision {
            self.revision = self.pool.revision();
            self.members.send_replace(self.pool.members().into());
        }
        self.published.send_if_modified(|published| {
            published.figures = self.pool.figures();
            published.is_encrypted = self.pool.is_encrypted();
            published.coordinate.clone_from(self.pool.coordinate());
            false
        });
        self.guard.resize(self.pool.size());
        self.kept.go_on(&self.pool, self.clock.now());
    }
}
