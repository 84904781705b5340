//! Large pools, and some of whose members are slow. The example `pools` has larger ones.

use std::time::Duration;

use crate::event::MemberEvent;
use crate::options::Options;
use crate::pool::Input;
use crate::tests::world::{World, address};
use crate::tests::{MINUTE, options};

pub(super) fn all_join_the_first(nodes: usize, loss: f64, health_awareness: bool) -> (World, Duration) {
    let mut world = World::new(loss, 1);
    for number in 0..nodes {
        world.start(number, &Options { health_awareness, ..options(number) });
        world.tell(number, Input::Join(vec![address(0)]));
    }
    let joined = world.run_while_every(MINUTE, |world| (0..nodes).any(|number| world.alive(number) != nodes));
    (world, joined.expect("everyone to know everyone"))
}

#[test]
fn five_hundred_join_through_one_although_packets_are_lost() {
    let (_, joined) = all_join_the_first(500, 0.02, true);
    assert!(joined < Duration::from_secs(10), "{joined:?}");
}

#[test]
fn two_hundred_hear_of_what_is_new_and_of_a_failure() {
    let nodes = 200;
    let (mut world, _) = all_join_the_first(nodes, 0.0, true);
    world.run_for(Duration::from_secs(30));
    let before = world.traffic.0;
    world.run_for(Duration::from_secs(10));
    let each = (world.traffic.0 - before) / nodes as u64 / 10;
    assert!(each < 2000, "nothing happens, and each sends {each} bytes a second");
    world.updates = 0;
    world.tell(100, Input::SetTags(crate::tests::tags("consul")));
    // Broadcasts reach nearly all; whom they miss hears of it by comparing everything.
    let nearly_all = nodes - nodes / 50;
    let most = world.run_while_every(MINUTE, |world| world.updates < nearly_all).expect("most to hear of it");
    assert!(most < Duration::from_secs(2), "{most:?}");
    let heard = world.run_while_every(MINUTE * 2, |world| world.updates < nodes);
    assert!(heard.is_some(), "all hear of it");
    world.kill(7);
    let others = || (0..nodes).filter(|number| *number != 7);
    let noticed = world.run_while_every(MINUTE, |world| others().any(|number| world.alive(number) == nodes));
    let noticed = noticed.expect("all to notice");
    assert!(noticed < Duration::from_secs(12), "{noticed:?}");
}

/// How often healthy members were taken for failed while two of them were starved.
fn mistakes(health_awareness: bool) -> usize {
    let (healthy, nodes) = (30, 32);
    let (mut world, _) = all_join_the_first(nodes, 0.0, health_awareness);
    world.run_for(Duration::from_secs(10));
    let began = world.now;
    for number in healthy..nodes {
        world.starve(number, Duration::from_secs(16), Duration::from_millis(64));
    }
    world.run_for(MINUTE * 3);
    let failed = |event: &MemberEvent| {
        let MemberEvent::Failed(member) = event else { return false };
        (0..healthy).any(|number| member.name == format!("node-{number}"))
    };
    let events = (0..nodes).flat_map(|number| world.events(number));
    events.filter(|(when, event)| *when > began && failed(event)).count()
}

#[test]
fn who_is_starved_takes_the_others_for_dead_unless_it_doubts_itself() {
    let (unaware, aware) = (mistakes(false), mistakes(true));
    assert!(unaware >= 50, "only {unaware} mistakes: it is no test");
    assert!(aware * 20 <= unaware, "{aware} instead of {unaware}");
}
