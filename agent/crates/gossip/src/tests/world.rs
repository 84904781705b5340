//! A discrete-event simulation: pools, a lossy network with delay, and a clock that jumps.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use lictor_model::local::Member;
use lictor_sys::clock::Moment;
use rand_for_foca::rngs::StdRng;
use rand_for_foca::{RngExt, SeedableRng};

use crate::event::MemberEvent;
use crate::options::Options;
use crate::pool::{Figures, Input, Output, Pool};

pub(crate) const REAP_AFTER: Duration = Duration::from_secs(600);

pub(crate) fn address(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 9000 + number))
}

struct Node {
    pool: Pool,
    running: bool,
    left: bool,
    events: Vec<MemberEvent>,
    joined: Vec<SocketAddr>,
}

/// A packet on its way: when it arrives, in what order it was sent, to whom, from whom, what.
type Flying = (Moment, u64, u16, SocketAddr, Bytes);

/// See the module's documentation.
pub(crate) struct World {
    now: Moment,
    rng: StdRng,
    loss: f64,
    nodes: BTreeMap<u16, Node>,
    packets: BinaryHeap<Reverse<Flying>>,
    sent: u64,
}

impl World {
    pub(crate) fn new(loss: f64, seed: u64) -> Self {
        Self {
            now: Moment::default(),
            rng: StdRng::seed_from_u64(seed),
            loss,
            nodes: BTreeMap::new(),
            packets: BinaryHeap::new(),
            sent: 0,
        }
    }

    pub(crate) fn start(&mut self, number: u16) {
        let mut options = Options::new(format!("node-{number}"), format!("id-of-{number}"), address(number));
        options.tags =
            [("role".to_owned(), "node".to_owned()), ("dc".to_owned(), format!("dc{number}"))].into();
        options.reap_after = REAP_AFTER;
        let born = self.now.since(Moment::default()).as_millis() as u64 + 1_000_000;
        let mut pool = Pool::new(&options, born, self.rng.random(), self.now).unwrap();
        let outputs = pool.start();
        let node = Node { pool, running: true, left: false, events: Vec::new(), joined: Vec::new() };
        self.nodes.insert(number, node);
        self.carry_out(number, outputs);
    }

    pub(crate) fn kill(&mut self, number: u16) {
        self.nodes.get_mut(&number).unwrap().running = false;
    }

    pub(crate) fn tell(&mut self, number: u16, input: Input) {
        let outputs = self.nodes.get_mut(&number).unwrap().pool.handle(input, self.now).unwrap();
        self.carry_out(number, outputs);
    }

    /// A packet from nobody.
    pub(crate) fn inject(&mut self, number: u16, data: Vec<u8>) {
        self.tell(number, Input::Packet { from: address(999), data: data.into() });
    }

    fn carry_out(&mut self, number: u16, outputs: Vec<Output>) {
        for output in outputs {
            let node = self.nodes.get_mut(&number).unwrap();
            match output {
                Output::Send { to, data } => {
                    if self.rng.random_bool(self.loss) {
                        continue;
                    }
                    let Some(target) = to.port().checked_sub(9000) else { continue };
                    let delay = Duration::from_micros(self.rng.random_range(200..2000));
                    self.sent += 1;
                    let packet = (self.now + delay, self.sent, target, address(number), data);
                    self.packets.push(Reverse(packet));
                }
                Output::Event(event) => node.events.push(event),
                Output::Joined(address) => node.joined.push(address),
                Output::Left => node.left = true,
            }
        }
    }

    /// Lets the next thing happen, unless it is later than `end`.
    fn step(&mut self, end: Moment) -> bool {
        let running = self.nodes.iter().filter(|(_, node)| node.running);
        let wake = running.filter_map(|(number, node)| Some((node.pool.next_wake()?, *number))).min();
        let packet = self.packets.peek().map(|Reverse(packet)| packet.0);
        match (wake, packet) {
            (_, Some(at)) if at <= end && wake.is_none_or(|(wake, _)| at <= wake) => {
                let Reverse((at, _, target, from, data)) = self.packets.pop().unwrap();
                self.now = at;
                if self.nodes.get(&target).is_some_and(|node| node.running) {
                    self.tell(target, Input::Packet { from, data });
                }
                true
            }
            (Some((at, number)), _) if at <= end => {
                self.now = self.now.max(at);
                self.tell(number, Input::Wake);
                true
            }
            _ => {
                self.now = end;
                false
            }
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    pub(crate) fn run_until(&mut self, limit: Duration, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let end = self.now + limit;
        while !holds(self) {
            assert!(self.step(end), "not in time: {what}");
        }
    }

    pub(crate) fn view(&self, number: u16) -> BTreeMap<String, Member> {
        let members = self.nodes[&number].pool.members();
        members.into_iter().map(|member| (member.name.clone(), member)).collect()
    }

    pub(crate) fn events(&self, number: u16) -> &[MemberEvent] {
        &self.nodes[&number].events
    }

    pub(crate) fn joined(&self, number: u16) -> &[SocketAddr] {
        &self.nodes[&number].joined
    }

    pub(crate) fn figures(&self, number: u16) -> Figures {
        self.nodes[&number].pool.figures()
    }

    pub(crate) fn has_left(&self, number: u16) -> bool {
        self.nodes[&number].left
    }
}
