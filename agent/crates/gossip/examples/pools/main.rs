//! Large pools in simulated time, on the very code that agents run.
//!
//!     cargo run --release -p lictor-gossip --example pools -- 1000
//!
//! prints how long it takes until all members know of a join, of something said anew, of a failure
//! and of a leave, beside the figure that Serf's simulator gives for an event in a pool of a
//! thousand; then how often healthy members are taken for failed while a few are so starved that they
//! process messages only now and then, with and without health awareness. It fails if any of it takes
//! longer than it may.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a program for its output"
)]

#[expect(dead_code, reason = "tests do more with it")]
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use lictor_gossip::{Admission, Input, MemberEvent, Options};
use lictor_model::local::MemberStatus;
use lictor_sys::clock::{Clock, SystemClock};
use world::{World, address};

// As agents have it; thousands of tables of thousands of members take half the room with it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LIMIT: Duration = Duration::from_secs(600);
/// How long each may take until all know.
const LONGEST_JOIN: Duration = Duration::from_secs(30);
const LONGEST_NEWS: Duration = Duration::from_secs(10);
const LONGEST_FAILURE: Duration = Duration::from_secs(60);
/// With health awareness at most one in so many mistakes is left.
const FEWER: usize = 100;
/// How many packets of a hundred are lost while members join.
const LOSS: f64 = 0.02;
/// What Serf's simulator says for an event in a pool of a thousand, three at a time every 200 ms.
const SERF_EVENT: &str = "2.2 s for 1,000";
/// The pool of Lifeguard's measurements, and how many of it are starved.
const HEALTHY: usize = 124;
const STARVED: usize = 4;

fn options(number: usize) -> Options {
    let mut options = Options::new(format!("node-{number}"), format!("id-{number}"), address(number));
    options.admission = Admission::Datacenter("dc1".to_owned());
    options.tags = BTreeMap::from([("dc".to_owned(), "dc1".to_owned())]);
    options
}

fn main() -> ExitCode {
    let nodes = std::env::args().nth(1).map_or(Ok(1000), |count| count.parse::<usize>());
    let Ok(nodes) = nodes else {
        println!("usage: pools [MEMBERS]");
        return ExitCode::FAILURE;
    };
    let clock = SystemClock::default();
    let start = clock.now();
    let converges = convergence(nodes);
    println!("took {:.0?} of real time", clock.now().since(start));
    let [unaware, aware] = [false, true].map(starvation);
    if converges && aware <= unaware / FEWER { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How something spreads in a pool.
struct Spreading<'a> {
    world: &'a mut World,
    /// Whether all of it was quick enough so far.
    quick: bool,
}

impl Spreading<'_> {
    /// Waits until all of so many know, and says how long that took them, and nearly all of them:
    /// whom broadcasts miss hears of it when everything is compared.
    fn until_known(
        &mut self,
        what: &str,
        knowing: impl Fn(&World) -> usize,
        all: usize,
        longest: Duration,
        beside: &str,
    ) {
        let enough = all - all / 100;
        let most = self.world.run_while_every(LIMIT, |world| knowing(world) < enough);
        let rest = self.world.run_while_every(LIMIT, |world| knowing(world) < all);
        self.quick &= rest.is_some() && most.is_some_and(|most| most <= longest);
        match most.zip(rest) {
            Some((most, rest)) => println!(
                "{what:<44} 99 % know after {:>6.2} s, all after {:>6.2} s   {beside}",
                most.as_secs_f64(),
                (most + rest).as_secs_f64()
            ),
            None => println!("{what:<44} not within {LIMIT:?}"),
        }
    }
}

/// How long it takes until all know. Says whether none of it takes too long.
fn convergence(nodes: usize) -> bool {
    let mut world = World::new(LOSS, 1);
    world.keeps_events = false;
    for number in 0..nodes {
        world.start(number, &options(number));
        if number > 0 {
            world.tell(number, Input::Join(vec![address(0)]));
        }
    }
    let seeing =
        |count: usize| move |world: &World| (0..nodes).filter(|number| world.alive(*number) == count).count();
    println!("{nodes} members, {} % loss", LOSS * 100.0);
    let mut spreading = Spreading { world: &mut world, quick: true };
    spreading.until_known("all join at once through one", seeing(nodes), nodes, LONGEST_JOIN, "");
    spreading.world.run_for(Duration::from_secs(90));
    spreading.world.loss = 0.0;
    at_rest(spreading.world, nodes);

    spreading.world.updates = 0;
    let tags = [("dc", "dc1"), ("build", "9")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    spreading.world.tell(nodes / 2, Input::SetTags(tags.into()));
    spreading.until_known("one says something new", |world| world.updates, nodes, LONGEST_NEWS, SERF_EVENT);

    let newcomer = nodes;
    spreading.world.start(newcomer, &options(newcomer));
    spreading.world.tell(newcomer, Input::Join(vec![address(1)]));
    spreading.until_known("one more joins", seeing(nodes + 1), nodes, LONGEST_NEWS, "");

    spreading.world.kill(newcomer);
    let first = spreading.world.run_while_every(LIMIT, |world| seeing(nodes)(world) == 0);
    println!(
        "{:<44} {:>6.2} s",
        "it is killed: the first notices after",
        first.unwrap_or(LIMIT).as_secs_f64()
    );
    spreading.until_known("and from then on", seeing(nodes), nodes, LONGEST_FAILURE, "");

    spreading.world.tell(nodes - 1, Input::Leave);
    spreading.until_known("one leaves", seeing(nodes - 1), nodes - 1, LONGEST_NEWS, "");
    spreading.quick && first.is_some_and(|first| first <= LONGEST_FAILURE)
}

fn at_rest(world: &mut World, nodes: usize) {
    let (packets, streams) = world.traffic;
    world.run_for(Duration::from_secs(30));
    let each = |bytes: u64| bytes as f64 / 30.0 / nodes as f64;
    println!(
        "at rest, a member sends {:.0} B/s by packet and {:.0} B/s by stream",
        each(world.traffic.0 - packets),
        each(world.traffic.1 - streams)
    );
}

/// How often healthy members are taken for failed while others are starved.
fn starvation(aware: bool) -> usize {
    let nodes = HEALTHY + STARVED;
    let (mut of_healthy, mut at_healthy, mut refuted) = (0, 0, 0);
    // For how long they process no messages, and how long they do in between, in milliseconds.
    for (round, (blocked, running)) in
        [(2048, 4), (8192, 64), (16384, 64), (32768, 1024)].into_iter().enumerate()
    {
        let mut world = World::new(0.0, round as u64 + 1);
        for number in 0..nodes {
            world.start(number, &Options { health_awareness: aware, ..options(number) });
            world.tell(number, Input::Join(vec![address(0)]));
        }
        let everybody = |world: &World| (0..nodes).all(|number| world.alive(number) == nodes);
        world.run_while_every(LIMIT, |world| !everybody(world)).expect("all to know all");
        world.run_for(Duration::from_secs(30));
        for number in HEALTHY..nodes {
            world.starve(number, Duration::from_millis(blocked), Duration::from_millis(running));
        }
        let began = world.now;
        world.run_for(Duration::from_secs(300));
        for at in 0..nodes {
            let failures = world.events(at).iter().filter(|(when, event)| {
                let MemberEvent::Failed(member) = event else { return false };
                let number: usize = member.name.trim_start_matches("node-").parse().expect("its number");
                *when > began && number < HEALTHY
            });
            let failures = failures.count();
            of_healthy += failures;
            at_healthy += if at < HEALTHY { failures } else { 0 };
        }
        let seen = (0..HEALTHY).filter(|number| {
            let name = format!("node-{number}");
            world.status(0, &name) != Some(MemberStatus::Alive)
        });
        refuted += seen.count();
    }
    let with = if aware { "with" } else { "without" };
    println!(
        "{STARVED} of {nodes} starved, 4 times 5 minutes, {with} health awareness: healthy members taken for failed {of_healthy} times, {at_healthy} of these by healthy members; {refuted} still are at the end"
    );
    of_healthy
}
