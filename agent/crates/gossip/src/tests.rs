//! Pools that talk to one another, in simulated time and over real sockets.

mod sockets;
mod world;

use std::time::Duration;

use lictor_model::local::MemberStatus;

use crate::event::MemberEvent;
use crate::pool::Input;
use crate::tests::world::{World, address};

const MINUTE: Duration = Duration::from_secs(60);

/// Starts that many nodes, which all join the first.
fn gathered(nodes: u16, loss: f64, seed: u64) -> World {
    let mut world = World::new(loss, seed);
    for number in 0..nodes {
        world.start(number);
        if number > 0 {
            world.tell(number, Input::Join(vec![address(0)]));
        }
    }
    world.run_until(MINUTE, "everyone to know everyone by name and tags", |world| {
        (0..nodes).all(|number| world.view(number).len() == usize::from(nodes))
            && (0..nodes).all(|number| {
                world
                    .view(number)
                    .values()
                    .all(|member| member.status == MemberStatus::Alive && member.tags.contains_key("role"))
            })
    });
    world
}

#[test]
fn a_node_alone_is_a_member_and_says_so() {
    let mut world = World::new(0.0, 1);
    world.start(0);
    let [MemberEvent::Join(me)] = world.events(0) else { panic!("{:?}", world.events(0)) };
    assert_eq!((me.name.as_str(), me.status, me.port), ("node-0", MemberStatus::Alive, 9000));
    assert_eq!((me.protocol_min, me.protocol_max, me.protocol_cur), (1, 5, 2));
    assert_eq!((me.delegate_min, me.delegate_max, me.delegate_cur), (2, 5, 4));
    world.run_for(MINUTE);
    assert_eq!(world.events(0).len(), 1);
    world.tell(0, Input::Leave);
    assert!(world.has_left(0), "nobody to wait for");
    assert_eq!(world.view(0)["node-0"].status, MemberStatus::Left);
}

#[test]
fn two_learn_one_anothers_names_and_tags() {
    let world = gathered(2, 0.0, 7);
    assert_eq!(world.view(1)["node-0"].tags["dc"], "dc0");
    assert_eq!(world.joined(1), [address(0)]);
    for number in 0..2 {
        let joins = world.events(number).iter().filter(|event| matches!(event, MemberEvent::Join(_)));
        assert_eq!(joins.count(), 2, "{:?}", world.events(number));
    }
}

#[test]
fn five_find_one_another_through_one_of_them_also_when_packets_are_lost() {
    for seed in 0..8 {
        gathered(5, 0.2, seed);
    }
}

#[test]
fn who_is_killed_has_failed_and_who_leaves_has_left() {
    for seed in 0..4 {
        let mut world = gathered(5, 0.02, seed);
        world.kill(3);
        world.tell(4, Input::Leave);
        world.run_until(MINUTE, "both to be noticed", |world| {
            (0..3).all(|number| {
                world.view(number)["node-3"].status == MemberStatus::Failed
                    && world.view(number)["node-4"].status == MemberStatus::Left
            })
        });
        assert!(world.has_left(4));
        for number in 0..3 {
            let about = |name: &str| -> Vec<&MemberEvent> {
                world.events(number).iter().filter(|event| event.member().name == name).collect()
            };
            assert!(matches!(about("node-3")[..], [MemberEvent::Join(_), MemberEvent::Failed(_)]));
            assert!(matches!(about("node-4")[..], [MemberEvent::Join(_), MemberEvent::Leave(_)]));
        }
    }
}

#[test]
fn new_tags_reach_everyone() {
    let mut world = gathered(5, 0.1, 3);
    let tags = [("role".to_owned(), "consul".to_owned()), ("build".to_owned(), "9".to_owned())];
    world.tell(2, Input::SetTags(tags.into()));
    world.run_until(MINUTE, "new tags everywhere", |world| {
        (0..5).all(|number| world.view(number)["node-2"].tags.contains_key("build"))
    });
    assert!(world.events(0).iter().any(|event| matches!(event, MemberEvent::Update(_))));
}

#[test]
fn a_node_that_comes_back_is_the_same_member_in_a_new_life() {
    let mut world = gathered(3, 0.0, 5);
    world.kill(2);
    world.run_until(MINUTE, "the failure to be noticed", |world| {
        world.view(0)["node-2"].status == MemberStatus::Failed
    });
    world.start(2);
    world.tell(2, Input::Join(vec![address(1)]));
    world.run_until(MINUTE, "it to be back", |world| {
        (0..3).all(|number| {
            world.view(number).len() == 3 && world.view(number)["node-2"].status == MemberStatus::Alive
        })
    });
    world.tell(2, Input::Leave);
    world.run_until(MINUTE, "it to leave", |world| world.view(0)["node-2"].status == MemberStatus::Left);
    world.start(2);
    world.tell(2, Input::Join(vec![address(0)]));
    world.run_until(MINUTE, "it to be back after leaving", |world| {
        (0..3).all(|number| world.view(number)["node-2"].status == MemberStatus::Alive)
    });
}

#[test]
fn who_is_away_for_long_is_forgotten() {
    let mut world = gathered(2, 0.0, 5);
    world.kill(1);
    world.run_until(MINUTE, "the failure to be noticed", |world| {
        world.view(0)["node-1"].status == MemberStatus::Failed
    });
    world.run_until(world::REAP_AFTER * 2, "it to be forgotten", |world| world.view(0).len() == 1);
    assert!(matches!(world.events(0).last(), Some(MemberEvent::Reap(member)) if member.name == "node-1"));
}

#[test]
fn garbage_is_counted_and_changes_nothing() {
    let mut world = gathered(2, 0.0, 9);
    let before = (world.view(0), world.events(0).len());
    let garbage = world.figures(0).garbage;
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for length in 0..1400_usize {
        let bytes: Vec<u8> = (0..length)
            .map(|position| {
                noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                match position {
                    0 => 1,
                    1 => (length % 4) as u8,
                    _ => (noise >> 56) as u8,
                }
            })
            .collect();
        world.inject(0, bytes);
    }
    assert!(world.figures(0).garbage > garbage + 900);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.view(0), before.0);
    assert_eq!(world.events(0).len(), before.1);
}
