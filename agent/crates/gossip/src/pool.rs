//! The protocol: foca, and around it what foca leaves out.
//!
//! * **Records.** What a member says of itself is too large for foca's identities, which are in
//!   every packet. A change is broadcast; and whoever sees a member without having its record asks
//!   for it, again and again until it is there. So a lost packet only costs time.
//! * **Joining.** A join asks the given address for its record, which tells whom to announce to,
//!   and announces until that member is active: foca's announcement is a single packet.
//! * **Leaving.** Who leaves first says so in its record and waits a moment for that to spread. A
//!   member that stops answering after that has left; any other has failed.
//! * **Forgetting.** Who has been away for long is removed by our own clock.

mod table;
mod timers;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use foca::{AccumulatingRuntime, Foca, OwnedNotification, PostcardCodec};
use lictor_model::local::Member;
use lictor_sys::clock::Moment;
use rand_for_foca::SeedableRng;
use rand_for_foca::rngs::StdRng;

use crate::event::MemberEvent;
use crate::options::{Options, foca_config};
use crate::pool::table::{Inbox, Records, Table};
use crate::pool::timers::{Due, Timers};
use crate::record::{Id, Record, RecordError, key_of};
use crate::wire::{self, Packet};

/// How often what is missing is asked for again.
const TICK: Duration = Duration::from_millis(500);
/// How long a member that leaves stays so that others hear of it.
const LEAVE_LINGER: Duration = Duration::from_secs(1);
/// How many members are told directly that one leaves; the others hear it from them.
const LEAVE_FANOUT: usize = 64;
/// How many records are asked for at once.
const ASK_AT_ONCE: usize = 64;

/// What a pool is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A packet came.
    Packet {
        /// Where from.
        from: SocketAddr,
        /// What it holds.
        data: Bytes,
    },
    /// The moment of [`Pool::next_wake`] has come.
    Wake,
    /// Meet the members at these addresses, and through them everyone else.
    Join(Vec<SocketAddr>),
    /// Stop trying to meet the members at these addresses that were not met yet.
    StopJoining(Vec<SocketAddr>),
    /// Say something else of this node.
    SetTags(BTreeMap<String, String>),
    /// Leave the pool; [`Output::Left`] tells when that is done.
    Leave,
}

/// What a pool wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a packet.
    Send {
        /// Where to.
        to: SocketAddr,
        /// What to send.
        data: Bytes,
    },
    /// Tell whoever is interested.
    Event(MemberEvent),
    /// An address that was to be joined has been.
    Joined(SocketAddr),
    /// This node has left; the pool does nothing any more.
    Left,
}

/// Figures of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Packets that came.
    pub received: u64,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that came and made no sense.
    pub garbage: u64,
}

/// An address that is being joined.
#[derive(Clone, Copy)]
enum Seed {
    /// Nothing came from there yet.
    Unknown,
    /// This member is there; it is announced to until it is active.
    Met(Id),
}

/// One node's view of its cluster. See the crate's front page.
pub struct Pool {
    foca: Foca<Id, PostcardCodec, StdRng, Records>,
    runtime: AccumulatingRuntime<Id>,
    inbox: Arc<Mutex<Inbox>>,
    me: Record,
    encoded: Bytes,
    table: Table,
    timers: Timers,
    seeds: BTreeMap<SocketAddr, Seed>,
    sized_for: usize,
    leaving: bool,
    left: bool,
    figures: Figures,
    outputs: Vec<Output>,
}

impl Pool {
    /// A pool with this one member. `born` is the wall clock in milliseconds, which makes a node
    /// that was restarted newer than it was before; all chance comes from `seed`.
    ///
    /// # Errors
    /// If the tags are too long.
    pub fn new(options: &Options, born: u64, seed: u64, now: Moment) -> Result<Self, RecordError> {
        let id = Id { address: options.advertise, key: key_of(&options.node_id), birth: born };
        let me = Record {
            id,
            version: born,
            name: options.name.clone(),
            tags: options.tags.clone(),
            leaving: false,
            protocols: crate::record::Protocols::default(),
        };
        let encoded = Bytes::from(me.encode()?);
        let inbox = Arc::new(Mutex::new(Inbox::new(id.key)));
        let foca = Foca::with_custom_broadcast(
            id,
            foca_config(1),
            StdRng::seed_from_u64(seed),
            PostcardCodec,
            Records::new(Arc::clone(&inbox)),
        );
        let mut pool = Self {
            foca,
            runtime: AccumulatingRuntime::new(),
            inbox,
            table: Table::new(me.clone(), options.reap_after),
            me,
            encoded,
            timers: Timers::default(),
            seeds: BTreeMap::new(),
            sized_for: 1,
            leaving: false,
            left: false,
            figures: Figures::default(),
            outputs: Vec::new(),
        };
        pool.timers.set(now + TICK, Due::Tick);
        pool.broadcast_record();
        pool.outputs.extend(pool.table.changes(now).into_iter().map(Output::Event));
        Ok(pool)
    }

    /// All members that are known, this node included, in the order of their names.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.table.members()
    }

    /// Grows whenever [`Pool::members`] gives something else than before.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.table.revision
    }

    /// What has passed through.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// When the pool wants [`Input::Wake`].
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        if self.left { None } else { self.timers.next() }
    }

    /// What [`Pool::new`] wants done.
    pub fn start(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Takes one input and returns what is to be done about it.
    ///
    /// # Errors
    /// If new tags are too long; the old ones stay then.
    pub fn handle(&mut self, input: Input, now: Moment) -> Result<Vec<Output>, RecordError> {
        if self.left {
            return Ok(Vec::new());
        }
        match input {
            Input::Packet { from, data } => self.packet(from, &data),
            Input::Wake => self.wake(now),
            Input::Join(addresses) => self.join(addresses),
            Input::StopJoining(addresses) => {
                for address in addresses {
                    self.seeds.remove(&address);
                }
            }
            Input::SetTags(tags) => {
                let next = Record { tags, version: self.me.version + 1, ..self.me.clone() };
                next.encode()?;
                self.say(next);
            }
            Input::Leave => self.leave(now),
        }
        self.settle(now);
        Ok(std::mem::take(&mut self.outputs))
    }

    fn packet(&mut self, from: SocketAddr, data: &[u8]) {
        self.figures.received += 1;
        let sense = match wire::open(data) {
            Some(Packet::Foca(body)) => match self.foca.handle_data(body, &mut self.runtime) {
                // A loop in the network, or a node that was started twice: no garbage.
                Ok(()) | Err(foca::Error::DataFromOurselves) => true,
                Err(_) => false,
            },
            Some(Packet::Ask) => {
                let record = self.encoded.clone();
                self.send(from, &Packet::Tell(&record));
                true
            }
            Some(Packet::Tell(body)) => match Record::decode(body) {
                Some(record) => {
                    if let Some(seed) = self.seeds.get_mut(&from) {
                        *seed = Seed::Met(record.id);
                        self.meet(record.id);
                    }
                    self.inbox().offer(record);
                    true
                }
                None => false,
            },
            None => false,
        };
        if !sense {
            self.figures.garbage += 1;
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&mut self, to: SocketAddr, packet: &Packet<'_>) {
        self.figures.sent += 1;
        self.outputs.push(Output::Send { to, data: packet.seal() });
    }

    /// Announces this node to a member that it is to join.
    fn meet(&mut self, id: Id) {
        if id.key == self.me.id.key || self.table.is_active(id.key) {
            return;
        }
        // Fails only where encoding into memory would; the next tick tries again.
        let _ = self.foca.announce(id, &mut self.runtime);
    }

    fn join(&mut self, addresses: Vec<SocketAddr>) {
        for address in addresses {
            self.seeds.insert(address, Seed::Unknown);
            self.send(address, &Packet::Ask);
        }
    }

    fn wake(&mut self, now: Moment) {
        while let Some(due) = self.timers.pop(now) {
            match due {
                Due::Foca(timer) => {
                    if let Err(error) = self.foca.handle_timer(timer, &mut self.runtime) {
                        tracing::debug!(%error, "gossip timer");
                    }
                    // What it schedules may be due at once.
                    self.drain_timers(now);
                }
                Due::Tick => {
                    self.timers.set(now + TICK, Due::Tick);
                    self.tick(now);
                }
                Due::Gone => self.gone(),
            }
        }
    }

    /// Asks again for what is missing.
    fn tick(&mut self, now: Moment) {
        for (address, seed) in self.seeds.clone() {
            match seed {
                Seed::Unknown => self.send(address, &Packet::Ask),
                Seed::Met(id) => self.meet(id),
            }
        }
        for address in self.table.without_record(ASK_AT_ONCE) {
            self.send(address, &Packet::Ask);
        }
        self.table.reap(now);
    }

    /// Changes what this node says of itself and tells the others.
    fn say(&mut self, record: Record) {
        match record.encode() {
            Ok(encoded) => {
                self.encoded = encoded.into();
                self.me = record;
                self.table.record(self.me.clone());
                self.broadcast_record();
            }
            Err(error) => tracing::warn!(%error, "what this node says of itself stays as it was"),
        }
    }

    fn broadcast_record(&mut self) {
        if let Err(error) = self.foca.add_broadcast(&self.encoded) {
            tracing::warn!(%error, "what this node says of itself is not broadcast");
        }
    }

    fn leave(&mut self, now: Moment) {
        if self.leaving {
            return;
        }
        self.leaving = true;
        self.seeds.clear();
        self.say(Record { leaving: true, version: self.me.version + 1, ..self.me.clone() });
        let others: Vec<SocketAddr> = self.table.active_addresses().take(LEAVE_FANOUT).collect();
        let linger = if others.is_empty() { Duration::ZERO } else { LEAVE_LINGER };
        let record = self.encoded.clone();
        for address in others {
            self.send(address, &Packet::Tell(&record));
        }
        self.timers.set(now + linger, Due::Gone);
        if linger.is_zero() {
            self.wake(now);
        }
    }

    fn gone(&mut self) {
        if let Err(error) = self.foca.leave_cluster(&mut self.runtime) {
            tracing::debug!(%error, "leaving the gossip pool");
        }
        self.table.down(self.me.id);
        self.left = true;
    }

    fn drain_timers(&mut self, now: Moment) {
        while let Some((after, timer)) = self.runtime.to_schedule() {
            self.timers.set(now + after, Due::Foca(timer));
        }
    }

    /// Carries out what foca and the records that came ask for.
    fn settle(&mut self, now: Moment) {
        while let Some(notification) = self.runtime.to_notify() {
            match notification {
                OwnedNotification::MemberUp(id) => self.table.up(id),
                OwnedNotification::MemberDown(id) => self.table.down(id),
                OwnedNotification::Rename(_, id) => self.table.up(id),
                OwnedNotification::Rejoin(id) => {
                    // Others took this node for dead; it is someone new to them now.
                    self.table.up(id);
                    self.say(Record { id, version: self.me.version + 1, ..self.me.clone() });
                }
                OwnedNotification::Active | OwnedNotification::Idle | OwnedNotification::Defunct => {}
            }
        }
        let (records, refute) = self.inbox().take();
        for record in records {
            self.table.record(record);
        }
        if let Some(version) = refute.filter(|version| *version >= self.me.version) {
            // Someone repeats what this node said in an earlier life.
            self.say(Record { version: version.saturating_add(1), ..self.me.clone() });
        }
        self.drain_timers(now);
        while let Some((id, data)) = self.runtime.to_send() {
            self.send(id.address, &Packet::Foca(&data));
        }
        self.note_joined();
        self.resize();
        let changes = self.table.changes(now);
        self.outputs.extend(changes.into_iter().map(Output::Event));
        if self.left {
            self.outputs.push(Output::Left);
        }
    }

    fn note_joined(&mut self) {
        let me = self.me.id.key;
        let table = &self.table;
        let joined: BTreeSet<SocketAddr> = self
            .seeds
            .iter()
            .filter(|(_, seed)| matches!(seed, Seed::Met(id) if id.key == me || table.is_active(id.key)))
            .map(|(address, _)| *address)
            .collect();
        for address in joined {
            self.seeds.remove(&address);
            self.outputs.push(Output::Joined(address));
        }
    }

    /// Larger pools need more retransmissions and more patience.
    fn resize(&mut self) {
        let members = self.foca.num_members() + 1;
        if members > self.sized_for * 2 || members * 4 < self.sized_for {
            match self.foca.set_config(foca_config(members)) {
                Ok(()) => self.sized_for = members,
                Err(error) => tracing::debug!(%error, "gossip keeps its settings"),
            }
        }
    }
}
