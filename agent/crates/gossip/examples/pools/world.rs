//! A discrete-event simulation: pools, a network with delay that loses packets, streams, nodes
//! that are stopped and starved, and a clock that jumps.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use lictor_gossip::{
    Figures, FireError, Fired, Input, KeyReport, MemberEvent, Options, Output, Pool, Unjoined,
};
use lictor_model::coordinate::Coordinate;
use lictor_model::local::{Member, MemberStatus};
use lictor_sys::clock::Moment;
use rand_for_foca::rngs::StdRng;
use rand_for_foca::{RngExt, SeedableRng};

/// How many packets wait for a node that does not take them.
const BUFFER: usize = 500;
/// How long a stream waits before it sends again what was lost.
const RESEND: Duration = Duration::from_millis(200);

/// Where a node is at first.
pub(crate) fn address(number: usize) -> SocketAddr {
    let [.., a, b, c] = (number as u32 + 1).to_be_bytes();
    SocketAddr::from(([10, a, b, c], 8301))
}

fn number_at(address: SocketAddr) -> usize {
    match address.ip() {
        IpAddr::V4(ip) => (u32::from(ip) & 0x00ff_ffff) as usize - 1,
        IpAddr::V6(_) => usize::MAX,
    }
}

/// One node and what it has told.
struct Node {
    pool: Pool,
    running: bool,
    left: bool,
    /// How many members are there, as it was told.
    alive: usize,
    events: Vec<(Moment, MemberEvent)>,
    fired: Vec<Fired>,
    joined: Vec<(SocketAddr, Result<(), Unjoined>)>,
    reports: Vec<KeyReport>,
    /// The wake that is planned.
    wake: Option<Moment>,
    /// Until when it does nothing.
    blocked_until: Moment,
    /// Until when nothing comes to it or gets out of it.
    mute_until: Moment,
    waiting: usize,
    /// For how long it is mute and how long it is not in between.
    starved: Option<(Duration, Duration)>,
    /// Grows with every start: what was meant for an earlier life does not arrive.
    life: u64,
}

enum Happening {
    Packet { from: SocketAddr, data: Bytes },
    Asked { from: usize, ticket: u64, data: Bytes },
    Answered { ticket: u64, answer: Result<Bytes, String> },
    Wake,
    Mute,
}

struct Planned {
    at: Moment,
    /// What has come is heard before a clock.
    rank: u8,
    sequence: u64,
    node: usize,
    life: u64,
    happening: Happening,
}

impl Planned {
    fn key(&self) -> (Moment, u8, u64) {
        (self.at, self.rank, self.sequence)
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// See the module's documentation.
pub(crate) struct World {
    pub(crate) now: Moment,
    rng: StdRng,
    pub(crate) loss: f64,
    /// Pairs of halves that do not reach each other: nodes below and from this number on.
    pub(crate) cut: Option<usize>,
    nodes: Vec<Option<Node>>,
    moved: HashMap<SocketAddr, usize>,
    planned: BinaryHeap<Reverse<Planned>>,
    sequence: u64,
    /// Bytes of packets and of streams.
    pub(crate) traffic: (u64, u64),
    /// Whether events are kept; counts always are.
    pub(crate) keeps_events: bool,
    /// How many have been told that somebody says something new.
    pub(crate) updates: usize,
}

impl World {
    pub(crate) fn new(loss: f64, seed: u64) -> Self {
        Self {
            now: Moment::default(),
            rng: StdRng::seed_from_u64(seed),
            loss,
            cut: None,
            nodes: Vec::new(),
            moved: HashMap::new(),
            planned: BinaryHeap::new(),
            sequence: 0,
            traffic: (0, 0),
            keeps_events: true,
            updates: 0,
        }
    }

    /// Starts a node, or starts it again.
    pub(crate) fn start(&mut self, number: usize, options: &Options) {
        let born = 1_000_000 + self.now.since(Moment::default()).as_millis() as u64;
        let mut pool = Pool::new(options, born, self.rng.random(), self.now).expect("a pool that can be");
        let outputs = pool.start();
        if self.nodes.len() <= number {
            self.nodes.resize_with(number + 1, || None);
        }
        let life = self.nodes[number].as_ref().map_or(0, |node| node.life) + 1;
        self.moved.insert(options.advertise, number);
        self.nodes[number] = Some(Node {
            pool,
            running: true,
            left: false,
            alive: 0,
            events: Vec::new(),
            fired: Vec::new(),
            joined: Vec::new(),
            reports: Vec::new(),
            wake: None,
            blocked_until: Moment::default(),
            mute_until: Moment::default(),
            waiting: 0,
            starved: None,
            life,
        });
        self.carry_out(number, outputs);
    }

    fn node(&self, number: usize) -> &Node {
        self.nodes[number].as_ref().expect("a node that was started")
    }

    fn node_mut(&mut self, number: usize) -> &mut Node {
        self.nodes[number].as_mut().expect("a node that was started")
    }

    /// Ends a node without a word.
    pub(crate) fn kill(&mut self, number: usize) {
        self.node_mut(number).running = false;
    }

    /// Has a node do nothing for a while.
    pub(crate) fn block(&mut self, number: usize, time: Duration) {
        let until = self.now + time;
        self.node_mut(number).blocked_until = until;
    }

    /// Has a node process messages only now and then, as Lifeguard's measurements do: its clocks go
    /// on, but what comes to it and what it sends waits.
    pub(crate) fn starve(&mut self, number: usize, mute: Duration, running: Duration) {
        self.node_mut(number).starved = Some((mute, running));
        let first = self.now + (mute + running).mul_f64(self.rng.random());
        self.plan(first, number, 2, Happening::Mute);
    }

    pub(crate) fn tell(&mut self, number: usize, input: Input) {
        let now = self.now;
        let outputs = self.node_mut(number).pool.handle(input, now).expect("short tags");
        self.carry_out(number, outputs);
    }

    /// Has a node fire an event.
    pub(crate) fn fire(&mut self, number: usize, name: &str) {
        self.try_fire(number, name).expect("a short event");
    }

    /// The same, if it takes one.
    pub(crate) fn try_fire(&mut self, number: usize, name: &str) -> Result<(), FireError> {
        let now = self.now;
        let outputs = self.node_mut(number).pool.fire(name.to_owned(), Bytes::new(), now)?;
        self.carry_out(number, outputs);
        Ok(())
    }

    /// What a node has heard of, in order.
    pub(crate) fn fired(&self, number: usize) -> &[Fired] {
        &self.node(number).fired
    }

    /// A packet from nobody.
    pub(crate) fn inject(&mut self, number: usize, data: Vec<u8>) {
        self.tell(number, Input::Packet { from: address(999_999), data: data.into() });
    }

    fn plan(&mut self, at: Moment, number: usize, rank: u8, happening: Happening) {
        self.sequence += 1;
        let life = self.nodes.get(number).and_then(|node| Some(node.as_ref()?.life)).unwrap_or_default();
        let planned = Planned { at, rank, sequence: self.sequence, node: number, life, happening };
        self.planned.push(Reverse(planned));
    }

    fn delay(&mut self) -> Duration {
        Duration::from_micros(self.rng.random_range(200..2000))
    }

    fn place(&self, address: SocketAddr) -> usize {
        self.moved.get(&address).copied().unwrap_or_else(|| number_at(address))
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.is_some_and(|cut| (a < cut) != (b < cut))
    }

    /// How long a stream takes for one way, with what it has to send again; `None` if it never arrives.
    fn stream(&mut self, from: usize, to: usize) -> Option<Duration> {
        if self.is_cut(from, to) {
            return None;
        }
        let mut took = self.delay() * 2;
        let mut resend = RESEND;
        for _ in 0..8 {
            if !self.rng.random_bool(self.loss) {
                return Some(took);
            }
            took += resend;
            resend *= 2;
        }
        None
    }

    fn carry_out(&mut self, number: usize, outputs: Vec<Output>) {
        let happened = self.now;
        // When what it sends gets out.
        let now = happened.max(self.node(number).mute_until);
        for output in outputs {
            match output {
                Output::Send { to, data } => {
                    let target = self.place(to);
                    self.traffic.0 += data.len() as u64;
                    if self.rng.random_bool(self.loss) || self.is_cut(number, target) {
                        continue;
                    }
                    let at = now + self.delay();
                    self.plan(at, target, 0, Happening::Packet { from: address(number), data });
                }
                Output::Ask { ticket, to, data } => {
                    let target = self.place(to);
                    self.traffic.1 += data.len() as u64;
                    let listens = self
                        .nodes
                        .get(target)
                        .is_some_and(|node| node.as_ref().is_some_and(|node| node.running && !node.left));
                    match self.stream(number, target) {
                        Some(took) if listens => {
                            self.plan(now + took, target, 0, Happening::Asked { from: number, ticket, data });
                        }
                        Some(took) => {
                            let answer = Err(format!("dial tcp {to}: connect: connection refused"));
                            self.plan(now + took, number, 0, Happening::Answered { ticket, answer });
                        }
                        None => {
                            let answer = Err(format!("dial tcp {to}: i/o timeout"));
                            let at = now + Duration::from_secs(5);
                            self.plan(at, number, 0, Happening::Answered { ticket, answer });
                        }
                    }
                }
                // Questions carry both who asked and with which ticket.
                Output::Answer { ticket, data } => {
                    let (asker, ticket) = ((ticket >> 40) as usize, ticket & 0xff_ffff_ffff);
                    let answer = data.ok_or_else(|| "EOF".to_owned());
                    self.traffic.1 += answer.as_ref().map_or(0, |data| data.len() as u64);
                    let (took, answer) = match self.stream(number, asker) {
                        Some(took) => (took, answer),
                        None => (Duration::from_secs(10), Err("i/o timeout".to_owned())),
                    };
                    self.plan(now + took, asker, 0, Happening::Answered { ticket, answer });
                }
                Output::Event(event) => {
                    let keeps = self.keeps_events;
                    self.updates += usize::from(matches!(event, MemberEvent::Update(_)));
                    let node = self.node_mut(number);
                    match event {
                        MemberEvent::Join(_) => node.alive += 1,
                        MemberEvent::Leave(_) | MemberEvent::Failed(_) => node.alive -= 1,
                        MemberEvent::Update(_) | MemberEvent::Reap(_) => {}
                    }
                    if keeps {
                        node.events.push((happened, event));
                    }
                }
                Output::Fired(fired) => self.node_mut(number).fired.push(fired),
                Output::Joined { address, outcome } => self.node_mut(number).joined.push((address, outcome)),
                Output::Keys { report, .. } => self.node_mut(number).reports.push(report),
                Output::KeysChanged { revision, .. } => {
                    self.tell(number, Input::KeysKept { revision, outcome: Ok(()) });
                }
                Output::Left => self.node_mut(number).left = true,
            }
        }
        let node = self.node_mut(number);
        if let Some(wake) = node.pool.next_wake()
            && node.wake.is_none_or(|planned| wake < planned)
        {
            node.wake = Some(wake);
            self.plan(wake, number, 1, Happening::Wake);
        }
    }

    /// Lets the next thing happen, unless it is later than `end`.
    pub(crate) fn step(&mut self, end: Moment) -> bool {
        if self.planned.peek().is_none_or(|Reverse(planned)| planned.at > end) {
            self.now = end;
            return false;
        }
        let Some(Reverse(planned)) = self.planned.pop() else { return false };
        self.now = self.now.max(planned.at);
        let number = planned.node;
        let node = self.nodes.get_mut(number).and_then(Option::as_mut);
        let Some(node) = node.filter(|node| node.running && node.life == planned.life) else { return true };
        let until = match planned.happening {
            Happening::Mute => Moment::default(),
            Happening::Wake => node.blocked_until,
            _ => node.blocked_until.max(node.mute_until),
        };
        if until > self.now {
            // What there is no room for is lost.
            if matches!(planned.happening, Happening::Packet { .. }) {
                node.waiting += 1;
                if node.waiting > BUFFER {
                    return true;
                }
            }
            self.plan(until, number, planned.rank, planned.happening);
            return true;
        }
        if !matches!(planned.happening, Happening::Wake | Happening::Mute) {
            node.waiting = 0;
        }
        match planned.happening {
            Happening::Packet { from, data } => self.tell(number, Input::Packet { from, data }),
            Happening::Asked { from, ticket, data } => {
                let ticket = ((from as u64) << 40) | ticket;
                self.tell(number, Input::Asked { ticket, from: address(from), data });
            }
            Happening::Answered { ticket, answer } => self.tell(number, Input::Answered { ticket, answer }),
            Happening::Wake => {
                node.wake = None;
                self.tell(number, Input::Wake);
            }
            Happening::Mute => {
                if let Some((mute, running)) = node.starved {
                    node.mute_until = self.now + mute;
                    let next = self.now + mute + running;
                    self.plan(next, number, 2, Happening::Mute);
                }
            }
        }
        true
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Runs until something holds; returns how long that took, or `None` if it took longer than the limit.
    pub(crate) fn run_while(
        &mut self,
        limit: Duration,
        mut holds_not: impl FnMut(&Self) -> bool,
    ) -> Option<Duration> {
        let start = self.now;
        while holds_not(self) {
            if !self.step(start + limit) {
                return None;
            }
        }
        Some(self.now.since(start))
    }

    /// The same, looking only every 10 ms.
    pub(crate) fn run_while_every(
        &mut self,
        limit: Duration,
        mut holds_not: impl FnMut(&Self) -> bool,
    ) -> Option<Duration> {
        let start = self.now;
        while holds_not(self) {
            if self.now.since(start) > limit {
                return None;
            }
            self.run_for(Duration::from_millis(10));
        }
        Some(self.now.since(start))
    }

    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        what: &str,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Duration {
        self.run_while(limit, |world| !holds(world)).unwrap_or_else(|| panic!("not in time: {what}"))
    }

    pub(crate) fn members(&self, number: usize) -> Vec<Member> {
        self.node(number).pool.members()
    }

    /// How a node sees another by its name.
    pub(crate) fn status(&self, number: usize, name: &str) -> Option<MemberStatus> {
        self.members(number).iter().find(|member| member.name == name).map(|member| member.status)
    }

    /// How many members a node was told are there.
    pub(crate) fn alive(&self, number: usize) -> usize {
        self.node(number).alive
    }

    pub(crate) fn events(&self, number: usize) -> &[(Moment, MemberEvent)] {
        &self.node(number).events
    }

    pub(crate) fn joined(&self, number: usize) -> &[(SocketAddr, Result<(), Unjoined>)] {
        &self.node(number).joined
    }

    pub(crate) fn reports(&self, number: usize) -> &[KeyReport] {
        &self.node(number).reports
    }

    pub(crate) fn figures(&self, number: usize) -> Figures {
        self.node(number).pool.figures()
    }

    pub(crate) fn coordinate(&self, number: usize) -> &Coordinate {
        self.node(number).pool.coordinate()
    }

    pub(crate) fn has_left(&self, number: usize) -> bool {
        self.node(number).left
    }
}
