//! Large pools in simulated time, on the very code that agents run.
//!
//!     cargo run --release -p lictor-gossip --example pools -- 1000
//!
//! prints how long it takes until all members know of a join, of something said anew, of a failure
//! and of a leave, beside the figure that Serf's simulator gives for an event in a pool of a
//! thousand; then how often healthy members are taken for failed while a few are so starved that they
//! process messages only now and then, with and without health awareness.

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
    convergence(nodes);
    println!("took {:.0?} of real time", clock.now().since(start));
    for aware in [false, true] {
        starvation(aware);
    }
    ExitCode::SUCCESS
}

/// How long it takes until all know.
fn convergence(nodes: usize) {
    let mut world = World::new(LOSS, 1);
    world.keeps_events = false;
    for number in 0..nodes {
        world.start(number, &options(number));
        if number > 0 {
            world.tell(number, Input::Join(vec![address(0)]));
        }
    }
    let everybody = |world: &World, count: usize| (0..nodes).all(|number| world.alive(number) == count);
    let print = |what: &str, took: Option<Duration>, beside: &str| match took {
        Some(took) => println!("{what:<54} {:>7.2} s   {beside}", took.as_secs_f64()),
        None => println!("{what:<54} not within {LIMIT:?}"),
    };
    let until = |world: &mut World, holds: &dyn Fn(&World) -> bool| {
        world.run_while_every(LIMIT, |world| !holds(world))
    };
    println!("{nodes} members, {} % loss", LOSS * 100.0);
    let took = until(&mut world, &|world| everybody(world, nodes));
    print("all join at once through one: all know all", took, "");
    world.run_for(Duration::from_secs(90));
    world.loss = 0.0;
    let (packets, streams) = world.traffic;
    world.run_for(Duration::from_secs(30));
    let each = |bytes: u64| bytes as f64 / 30.0 / nodes as f64;
    println!(
        "at rest, a member sends {:.0} B/s by packet and {:.0} B/s by stream",
        each(world.traffic.0 - packets),
        each(world.traffic.1 - streams)
    );

    world.updates = 0;
    let tags = [("dc", "dc1"), ("build", "9")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    world.tell(nodes / 2, Input::SetTags(tags.into()));
    let took = until(&mut world, &|world| world.updates >= nodes);
    print("one says something new: all know", took, SERF_EVENT);

    let newcomer = nodes;
    world.start(newcomer, &options(newcomer));
    world.tell(newcomer, Input::Join(vec![address(1)]));
    let took = until(&mut world, &|world| everybody(world, nodes + 1));
    print("one more joins: all know", took, "");

    world.kill(newcomer);
    let took = until(&mut world, &|world| (0..nodes).any(|number| world.alive(number) == nodes));
    print("it is killed: the first notices", took, "");
    let more = until(&mut world, &|world| everybody(world, nodes));
    print("it is killed: all know", took.zip(more).map(|(took, more)| took + more), "");

    world.tell(nodes - 1, Input::Leave);
    let took = until(&mut world, &|world| (0..nodes - 1).all(|number| world.alive(number) == nodes - 1));
    print("one leaves: all know", took, "");
}

/// How often healthy members are taken for failed while others are starved.
fn starvation(aware: bool) {
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
}
