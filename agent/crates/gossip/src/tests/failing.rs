//! Members that fail, seem to, and are made to leave.

use std::time::Duration;

use lictor_model::local::MemberStatus;

use crate::event::MemberEvent;
use crate::pool::Input;
use crate::tests::world::{World, address};
use crate::tests::{MINUTE, about, gathered, know_each_other, options};

fn failures(world: &World, nodes: usize) -> usize {
    let events = (0..nodes).flat_map(|number| world.events(number));
    events.filter(|(_, event)| matches!(event, MemberEvent::Failed(_))).count()
}

#[test]
fn who_is_killed_has_failed_and_who_leaves_has_left() {
    for seed in 0..4 {
        let mut world = gathered(5, 0.02, seed);
        world.kill(3);
        world.tell(4, Input::Leave);
        world.run_until(MINUTE, "both to be noticed", |world| {
            (0..3).all(|number| {
                world.status(number, "node-3") == Some(MemberStatus::Failed)
                    && world.status(number, "node-4") == Some(MemberStatus::Left)
            })
        });
        assert!(world.has_left(4));
        for number in 0..3 {
            let [killed, left] = [about(&world, number, "node-3"), about(&world, number, "node-4")];
            assert!(matches!(killed[..], [MemberEvent::Join(_), MemberEvent::Failed(_)]), "{killed:?}");
            assert!(matches!(left[..], [MemberEvent::Join(_), MemberEvent::Leave(_)]), "{left:?}");
        }
    }
}

#[test]
fn a_killed_member_of_five_is_noticed_within_seconds() {
    let mut times: Vec<Duration> = (0..21)
        .map(|seed| {
            let mut world = gathered(5, 0.0, seed);
            world.run_for(Duration::from_secs(10) + Duration::from_millis(37 * seed));
            world.kill(2);
            world.run_until(MINUTE, "it to be noticed by all", |world| {
                [0, 1, 3, 4].iter().all(|number| world.alive(*number) == 4)
            })
        })
        .collect();
    times.sort();
    assert!(times[10] <= Duration::from_millis(3500), "{times:?}");
    assert!(times[20] <= Duration::from_secs(6), "{times:?}");
}

#[test]
fn nobody_is_taken_for_failed_because_packets_are_lost() {
    for seed in 0..3 {
        let mut world = gathered(5, 0.05, seed);
        world.run_for(MINUTE * 10);
        assert_eq!(failures(&world, 5), 0, "with seed {seed}");
    }
}

#[test]
fn a_member_that_was_stopped_blames_nobody_and_comes_back_by_itself() {
    let mut world = gathered(5, 0.0, 11);
    world.block(2, MINUTE);
    world.run_until(MINUTE, "it to be noticed", |world| {
        world.status(0, "node-2") == Some(MemberStatus::Failed)
    });
    world.run_for(MINUTE);
    know_each_other(&mut world, 5);
    assert_eq!(failures(&world, 5), 4, "by the others, of it");
    assert!(world.events(2).iter().all(|(_, event)| !matches!(event, MemberEvent::Failed(_))));
}

#[test]
fn two_halves_that_lost_each_other_become_one_again() {
    let mut world = gathered(6, 0.0, 12);
    world.cut = Some(2);
    world.run_until(MINUTE * 2, "the halves to lose each other", |world| {
        (0..6).all(|number| world.alive(number) == if number < 2 { 2 } else { 4 })
    });
    world.cut = None;
    know_each_other(&mut world, 6);
}

#[test]
fn a_failed_member_can_be_made_to_leave_and_to_be_forgotten() {
    let mut world = gathered(4, 0.0, 13);
    world.kill(3);
    world.run_until(MINUTE, "it to be noticed", |world| {
        world.status(0, "node-3") == Some(MemberStatus::Failed)
    });
    world.tell(0, Input::ForceLeave { name: "node-3".to_owned(), prune: false });
    world.run_until(MINUTE, "it to count as left", |world| {
        (0..3).all(|number| world.status(number, "node-3") == Some(MemberStatus::Left))
    });
    world.tell(1, Input::ForceLeave { name: "node-3".to_owned(), prune: true });
    world.run_until(MINUTE, "it to be forgotten", |world| {
        (0..3).all(|number| world.members(number).len() == 3)
    });
    world.run_for(MINUTE * 3);
    assert!((0..3).all(|number| world.members(number).len() == 3), "nobody brings it back");
    assert!(matches!(about(&world, 2, "node-3").last(), Some(MemberEvent::Reap(_))));
    world.start(3, &options(3));
    world.tell(3, Input::Join(vec![address(1)]));
    know_each_other(&mut world, 4);
}

#[test]
fn a_living_member_refutes_that_it_leaves() {
    for prune in [false, true] {
        let mut world = gathered(3, 0.0, 14);
        world.tell(0, Input::ForceLeave { name: "node-2".to_owned(), prune });
        world.run_for(Duration::from_secs(5));
        know_each_other(&mut world, 3);
        let seen = about(&world, 1, "node-2");
        assert!(matches!(seen[..], [MemberEvent::Join(_)]), "{seen:?}");
        world.tell(0, Input::ForceLeave { name: "node-0".to_owned(), prune });
        world.tell(0, Input::ForceLeave { name: "nobody".to_owned(), prune });
        world.run_for(Duration::from_secs(5));
        know_each_other(&mut world, 3);
    }
}

#[test]
fn answers_tell_how_far_others_are() {
    let mut world = gathered(4, 0.0, 15);
    world.run_for(MINUTE);
    for (a, b) in [(0, 1), (1, 2), (3, 0)] {
        // A packet takes between 0.2 and 2 ms.
        let round_trip = world.coordinate(a).distance(world.coordinate(b));
        assert!((0.0008..0.0045).contains(&round_trip), "{a} to {b}: {round_trip} s");
    }
}
