//! The protocol: foca, and around it what foca leaves out.
//!
//! * **Records** ([`inbox`]). What a member says of itself is too large for foca's identities,
//!   which are in every packet. A change is broadcast; and whoever sees a member without having
//!   its record asks for it by stream, again and again until it is there. So a lost packet only
//!   costs time.
//! * **Comparing everything** ([`syncing`]). On joining, and now and then with anyone, two members
//!   tell each other by stream all that they know. Failed members are tried again in the same way.
//! * **Probing** ([`probing`]). A probe that gets no answer by packet is repeated by stream; members
//!   who were asked to help say so if they got no answer either; who notices that it may itself be
//!   slow takes more time ([`crate::awareness`]). Answers also tell how far away others are.
//! * **Events** ([`events`]). What users fire is spread like records, and told once.
//! * **Leaving** ([`leaving`]). Who leaves first says so in its record and waits a moment for that
//!   to spread. A member that stops answering after that has left; any other has failed.
//! * **Names and forgetting** ([`table`]).
//! * **Keys** ([`keys`]).

mod engine;
pub(crate) mod events;
mod inbox;
mod inout;
mod keys;
mod leaving;
mod probing;
mod syncing;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use foca::{Foca, PostcardCodec, Timer};
use lictor_model::coordinate::Coordinate;
use lictor_model::local::Member;
use lictor_sys::clock::Moment;
use rand_for_foca::rngs::StdRng;
use rand_for_foca::{RngExt, SeedableRng};

use crate::awareness::Awareness;
use crate::door::Door;
use crate::keyring::Keyring;
use crate::options::{Options, Timing, foca_config};
use crate::pool::engine::{Kind, Note, Sending, Wishes};
pub use crate::pool::events::{FireError, Fired};
use crate::pool::inbox::{Inbox, Records};
pub use crate::pool::inout::{Figures, Input, Output, Unjoined};
use crate::pool::keys::{Keeping, KeyRounds};
use crate::pool::probing::Probing;
use crate::pool::syncing::Purpose;
use crate::pool::table::Table;
use crate::pool::timers::{Due, Timers};
use crate::record::{Id, Protocols, Record, RecordError, key_of};
use crate::vivaldi::Vivaldi;
use crate::wire::{Packet, Seal};

/// How often what is missing is asked for again.
const TICK: Duration = Duration::from_millis(500);

/// How far beyond its own a version of this node's record may be for it to have been its own in an
/// earlier life, in milliseconds: a century. A clock that begins at 1970 is behind by less.
const FARTHEST_VERSION: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// One node's view of its cluster. See the crate's front page.
pub struct Pool {
    options: Options,
    door: Door,
    timing: Timing,
    foca: Foca<Id, PostcardCodec, StdRng, Records>,
    wishes: Wishes,
    inbox: Arc<Mutex<Inbox>>,
    /// The pool's name.
    pool: String,
    seal: Seal,
    chance: StdRng,
    me: Record,
    encoded: Bytes,
    table: Table,
    timers: Timers,
    awareness: Awareness,
    probing: Probing,
    vivaldi: Vivaldi,
    /// What was asked by stream and not answered yet.
    asked: HashMap<u64, Purpose>,
    tickets: u64,
    /// Addresses that are being joined.
    joining: BTreeSet<SocketAddr>,
    /// Addresses where members were before a restart.
    past: Vec<SocketAddr>,
    /// Whose records were missing at the last tick.
    missing_before: BTreeSet<u64>,
    rounds: KeyRounds,
    keeping: Keeping,
    /// When everything is compared again, and how long after that once more.
    next_sync: Moment,
    sync_pause: Duration,
    sized_for: usize,
    leaving: bool,
    left: bool,
    figures: Figures,
    outputs: Vec<Output>,
}

/// Why there can be no such pool.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// What it says of itself cannot be said.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// One of the keys is none.
    #[error("gossip keys: {0}")]
    Key(#[from] crate::keyring::KeyError),
}

impl Pool {
    /// A pool with this one member. `born` is the wall clock in milliseconds, which makes a node
    /// that was restarted newer than it was before; all chance comes from `seed`.
    ///
    /// # Errors
    /// If the tags are too long, or a key is none.
    pub fn new(options: &Options, born: u64, seed: u64, now: Moment) -> Result<Self, PoolError> {
        let id = Id { address: options.advertise, key: key_of(&options.node_id), birth: born };
        let me = Record {
            id,
            version: born,
            name: options.name.clone(),
            tags: options.tags.clone().into(),
            leaving: false,
            pruned: false,
            protocols: Protocols::default(),
        };
        let encoded = Bytes::from(me.encode()?);
        let inbox = Arc::new(Mutex::new(Inbox::new(id.key, Door::of(options))));
        let mut chance = StdRng::seed_from_u64(seed);
        let timing = options.timing;
        let foca = Foca::with_custom_broadcast(
            id,
            foca_config(&timing, 1),
            StdRng::seed_from_u64(chance.random()),
            PostcardCodec,
            Records::new(Arc::clone(&inbox)),
        );
        let pool = options.admission.pool();
        let keys = Keyring::new(&options.keys)?;
        let mut this = Self {
            timing,
            foca,
            wishes: Wishes::default(),
            inbox,
            seal: Seal::new(&pool, keys, options.verify_incoming, options.verify_outgoing),
            pool,
            table: Table::new(me.clone(), options.reap_after),
            me,
            encoded,
            timers: Timers::default(),
            awareness: Awareness::new(options.health_awareness),
            probing: Probing::default(),
            vivaldi: Vivaldi::default(),
            asked: HashMap::new(),
            tickets: 0,
            joining: BTreeSet::new(),
            past: Vec::new(),
            missing_before: BTreeSet::new(),
            rounds: KeyRounds::default(),
            keeping: Keeping::default(),
            next_sync: now,
            sync_pause: timing.sync_interval,
            sized_for: 1,
            leaving: false,
            left: false,
            figures: Figures::default(),
            outputs: Vec::new(),
            chance,
            door: Door::of(options),
            options: options.clone(),
        };
        this.timers.set(now + TICK, Due::Tick);
        let (sync, reconnect) = (this.timing.sync_interval, this.timing.reconnect_interval);
        this.next_sync = now + sync.mul_f64(this.chance.random_range(0.5..1.0));
        this.timers.set(this.next_sync, Due::Sync);
        let first = reconnect.mul_f64(this.chance.random_range(0.5..1.0));
        this.timers.set(now + first, Due::Reconnect);
        this.broadcast_record();
        this.outputs.extend(this.table.changes(now).into_iter().map(Output::Event));
        Ok(this)
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

    /// How many members are there, this node included.
    pub(crate) fn size(&self) -> usize {
        self.foca.num_members() + 1
    }

    /// What has passed through.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures { doubt: self.awareness.score(), ..self.figures }
    }

    /// Where this node is in the space in which distance is round-trip time.
    #[must_use]
    pub fn coordinate(&self) -> &Coordinate {
        self.vivaldi.point()
    }

    /// Where members are, by name, as far as they have told this node.
    #[must_use]
    pub fn coordinates(&self) -> BTreeMap<String, Coordinate> {
        let others = self.table.others().filter_map(|id| {
            Some((self.table.record_of(id.key)?.name.clone(), self.vivaldi.of(id.key)?.clone()))
        });
        others.chain([(self.me.name.clone(), self.coordinate().clone())]).collect()
    }

    /// Whether what this node sends is encrypted, and what comes may be.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        !self.seal.keys.is_empty()
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
            // Nobody is to wait for an answer.
            return Ok(match input {
                Input::Asked { ticket, .. } => vec![Output::Answer { ticket, data: None }],
                _ => Vec::new(),
            });
        }
        match input {
            Input::Packet { from, data } => self.packet(from, &data, now),
            Input::Wake => self.wake(now),
            Input::Asked { ticket, from, data } => self.asked(ticket, from, &data, now),
            Input::Answered { ticket, answer } => self.answered(ticket, answer, now),
            Input::Join(addresses) => self.join(addresses),
            Input::Rejoin(addresses) => self.past = addresses,
            Input::SetTags(tags) => {
                let next = Record { tags: tags.into(), version: self.next_version(), ..self.me.clone() };
                next.encode()?;
                self.say(next);
            }
            Input::Keys { round, request } => self.ask_keys(round, request),
            Input::KeysKept { revision, outcome } => self.keys_kept(revision, &outcome),
            Input::ForceLeave { name, prune } => self.force_leave(&name, prune),
            Input::Leave => self.leave(now),
        }
        self.settle(now);
        Ok(std::mem::take(&mut self.outputs))
    }

    fn packet(&mut self, from: SocketAddr, data: &Bytes, now: Moment) {
        self.figures.received += 1;
        let packet = self.seal.open_packet(data).filter(|_| self.door.is_open_to(from.ip()));
        let sense = match packet {
            Some(Packet::Foca(body)) => self.feed(&body, None, now),
            Some(Packet::Answer(point, body)) => self.feed(&body, Some(&point), now),
            Some(Packet::Nack(number)) => {
                self.probing.nack(number);
                true
            }
            Some(Packet::Tell(body)) => match Record::decode(&body) {
                Some(record) => {
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

    /// Gives foca a packet; says whether it made sense.
    fn feed(&mut self, body: &[u8], point: Option<&Coordinate>, now: Moment) -> bool {
        let sense = match self.foca.handle_data(body, &mut self.wishes) {
            // A loop in the network, or a node that was started twice: no garbage.
            Ok(()) | Err(foca::Error::DataFromOurselves) => true,
            Err(_) => false,
        };
        self.heed(point, now);
        sense
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&mut self, to: SocketAddr, packet: &Packet) {
        self.figures.sent += 1;
        let data = self.seal.close_packet(packet, &mut self.chance);
        self.outputs.push(Output::Send { to, data });
    }

    fn wake(&mut self, now: Moment) {
        self.consider_lateness(now);
        while let Some(due) = self.timers.pop(now) {
            match due {
                Due::Foca(timer) => self.ring(timer, now),
                Due::Failed(timer, since) => self.fail(timer, since, now),
                Due::Nack(origin, target, number) => self.nack(origin, target, number),
                Due::Tick => {
                    self.timers.set(now + TICK, Due::Tick);
                    self.tick(now);
                }
                Due::Sync => self.sync_with_anyone(now),
                Due::Reconnect => self.reconnect(now),
                Due::Gone => self.gone(),
            }
        }
    }

    fn ring(&mut self, timer: Timer<Id>, now: Moment) {
        self.before_ringing(&timer);
        if let Err(error) = self.foca.handle_timer(timer, &mut self.wishes) {
            tracing::debug!(%error, "gossip timer");
        }
        self.heed(None, now);
        // What it schedules may be due at once.
        self.set_timers(now);
    }

    /// Asks again for what is missing, and forgets who has been away for long.
    fn tick(&mut self, now: Moment) {
        self.ask_for_records();
        self.rejoin();
        for key in self.table.reap(now) {
            self.inbox().forget(key);
            self.vivaldi.forget(key);
        }
    }

    /// The version of what this node says next.
    fn next_version(&self) -> u64 {
        self.me.version.saturating_add(1)
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
        let (record, encoded) = (self.me.clone(), self.encoded.clone());
        self.spread(&record, &encoded);
    }

    /// Has everybody hear of a record.
    fn spread(&mut self, record: &Record, encoded: &[u8]) {
        let spread = record
            .spread(encoded)
            .map_err(|error| error.to_string())
            .and_then(|news| self.foca.add_broadcast(&news).map_err(|error| error.to_string()));
        if let Err(error) = spread {
            tracing::warn!(%error, member = %record.name, "what is said of a member is not broadcast");
        }
    }

    fn set_timers(&mut self, now: Moment) {
        for (after, timer) in std::mem::take(&mut self.wishes.timers) {
            let (after, due) = match timer {
                // Who doubts itself takes more time for everything that judges others.
                Timer::ProbeRandomMember(_) | Timer::SendIndirectProbe { .. } => {
                    (self.awareness.stretch(after), Due::Foca(timer))
                }
                Timer::ChangeSuspectToDown { .. } => (self.awareness.stretch(after), Due::Failed(timer, now)),
                _ => (after, Due::Foca(timer)),
            };
            self.timers.set(now + after, due);
        }
    }

    /// Carries out what foca and the records that came ask for.
    fn settle(&mut self, now: Moment) {
        self.heed(None, now);
        let came = self.inbox().take();
        for record in came.records {
            self.table.record(record);
        }
        for notice in came.notices {
            self.ask_for_record(&notice);
        }
        let believable = self.next_version()..=self.me.version.saturating_add(FARTHEST_VERSION);
        if let Some(version) = came.refute.filter(|version| believable.contains(version)) {
            // Someone repeats what this node said in an earlier life, or says what it never did.
            let version = version.saturating_add(1);
            self.say(Record { version, leaving: self.leaving, pruned: false, ..self.me.clone() });
        }
        self.set_timers(now);
        for Sending { to, data, kind } in std::mem::take(&mut self.wishes.sends) {
            let packet = match kind {
                Kind::Answer => Packet::Answer(self.vivaldi.point().clone(), data),
                Kind::Ping(number) => {
                    self.probing.begin(number, to, data.clone(), now);
                    Packet::Foca(data)
                }
                Kind::PingRequest => {
                    self.probing.helper();
                    Packet::Foca(data)
                }
                Kind::Other => Packet::Foca(data),
            };
            self.send(to.address, &packet);
        }
        self.resize();
        self.note_backlog();
        self.outputs.extend(came.events.into_iter().map(Output::Fired));
        let changes = self.table.changes(now);
        self.outputs.extend(changes.into_iter().map(Output::Event));
        self.complain();
        if self.left {
            self.outputs.push(Output::Left);
        }
    }

    /// Tells of members with one name.
    fn complain(&mut self) {
        for conflict in std::mem::take(&mut self.table.conflicts) {
            let (keeps, hidden) = (conflict.keeps.id, conflict.hidden.id);
            let name = &conflict.hidden.name;
            if hidden.key == self.me.id.key {
                tracing::error!(
                    "the node name '{name}' is taken by the member at {}: this agent is not in the cluster; give it another name",
                    keeps.address
                );
            } else {
                tracing::error!(
                    "two members are called '{name}': the one at {} keeps the name, the one at {} is not listed",
                    keeps.address,
                    hidden.address
                );
            }
        }
    }

    /// What foca has noticed.
    fn heed(&mut self, point: Option<&Coordinate>, now: Moment) {
        for note in std::mem::take(&mut self.wishes.notes) {
            match note {
                Note::Up(id) => self.table.up(id),
                Note::Down(id) => self.table.down(id),
                Note::Renamed(old, new) => self.table.replaced(old, new),
                Note::Reborn(id) => {
                    self.awareness.worse(1);
                    self.table.up(id);
                    self.say(Record { id, version: self.next_version(), ..self.me.clone() });
                }
                other => self.heed_probe(other, point, now),
            }
        }
    }

    /// Larger pools need more retransmissions and more patience.
    fn resize(&mut self) {
        let members = self.size();
        if members * 4 > self.sized_for * 5 || members * 2 < self.sized_for {
            match self.foca.set_config(foca_config(&self.timing, members)) {
                Ok(()) => self.sized_for = members,
                Err(error) => tracing::debug!(%error, "gossip keeps its settings"),
            }
        }
    }
}
