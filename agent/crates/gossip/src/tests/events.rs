//! Events that users fire.

use std::time::Duration;

use crate::options::Options;
use crate::pool::Input;
use crate::tests::large::all_join_the_first;
use crate::tests::world::{World, address};
use crate::tests::{MINUTE, gathered, options};

const KEY: &str = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=";

fn names(world: &World, number: usize) -> Vec<&str> {
    world.fired(number).iter().map(|fired| fired.name.as_str()).collect()
}

fn all_have_heard(world: &World, mut nodes: std::ops::Range<usize>, count: usize) -> bool {
    nodes.all(|number| world.fired(number).len() >= count)
}

#[test]
fn an_event_reaches_all_of_two_hundred_although_packets_are_lost() {
    let nodes = 200;
    let (mut world, _) = all_join_the_first(nodes, 0.02, true);
    world.run_for(Duration::from_secs(10));
    world.fire(17, "deploy");
    assert_eq!(world.fired(17).len(), 1, "who fires it hears of it at once");
    let heard = |world: &World| (0..nodes).filter(|number| !world.fired(*number).is_empty()).count();
    let most = world.run_while_every(MINUTE, |world| heard(world) < nodes * 98 / 100);
    let most = most.expect("nearly all to hear of it by broadcast");
    assert!(most < Duration::from_secs(3), "{most:?}");
    let all = world.run_while_every(MINUTE * 3, |world| heard(world) < nodes);
    assert!(all.is_some(), "{} of {nodes} have heard of it", heard(&world));
    world.run_for(Duration::from_secs(10));
    assert!((0..nodes).all(|number| world.fired(number).len() == 1), "each once");
}

#[test]
fn events_of_several_have_one_order_by_time() {
    let mut world = gathered(5, 0.05, 2);
    for round in 0..10 {
        world.fire(round % 5, &format!("e{round}"));
        world.run_until(MINUTE, "all to hear of it", |world| all_have_heard(world, 0..5, round + 1));
    }
    for number in 0..5 {
        let times: Vec<u64> = world.fired(number).iter().map(|fired| fired.time).collect();
        assert!(times.is_sorted_by(|earlier, later| earlier < later), "{times:?}");
    }
}

#[test]
fn who_comes_late_or_comes_back_is_not_told_what_is_over() {
    let mut world = gathered(3, 0.0, 3);
    world.fire(0, "before");
    world.run_until(MINUTE, "all to hear of it", |world| all_have_heard(world, 0..3, 1));
    world.kill(2);
    world.fire(0, "meanwhile");
    world.run_for(Duration::from_secs(20));
    world.start(2, &options(2));
    world.tell(2, Input::Rejoin(vec![address(0)]));
    world.start(3, &options(3));
    world.tell(3, Input::Join(vec![address(1)]));
    world.run_for(MINUTE * 2);
    assert!(names(&world, 2).is_empty() && names(&world, 3).is_empty());
    world.fire(3, "after");
    world.run_until(MINUTE, "all to hear of it", |world| {
        (0..4).all(|number| names(world, number).last() == Some(&"after"))
    });
    assert_eq!(names(&world, 2), ["after"]);
}

#[test]
fn who_is_found_by_others_before_it_finds_them_is_not_told_either() {
    let mut world = gathered(3, 0.0, 4);
    world.fire(0, "before");
    world.run_for(Duration::from_secs(10));
    world.kill(2);
    world.run_for(Duration::from_secs(20));
    // The others try it again by themselves.
    world.start(2, &options(2));
    world.run_until(MINUTE * 5, "it to be found", |world| world.members(2).len() == 3);
    world.run_for(MINUTE * 2);
    assert!(names(&world, 2).is_empty());
}

#[test]
fn what_was_fired_during_a_split_is_heard_once_it_heals() {
    let mut world = gathered(6, 0.0, 5);
    world.cut = Some(3);
    world.run_for(Duration::from_secs(15));
    world.fire(0, "left");
    world.fire(5, "right");
    world.run_for(Duration::from_secs(15));
    assert_eq!(names(&world, 1), ["left"]);
    assert_eq!(names(&world, 4), ["right"]);
    world.cut = None;
    world.run_until(MINUTE * 5, "all to hear of both", |world| all_have_heard(world, 0..6, 2));
    world.run_for(MINUTE);
    assert!((0..6).all(|number| world.fired(number).len() == 2));
}

#[test]
fn a_flood_is_bounded_and_does_not_hold_up_who_is_there() {
    let mut world = gathered(10, 0.0, 6);
    let mut refused = 0;
    for number in 0..2000 {
        if world.try_fire(0, &format!("e{number}")).is_err() {
            refused += 1;
        }
    }
    assert!(refused > 0, "no bound was met");
    world.run_for(Duration::from_secs(20));
    assert!((0..10).all(|number| world.members(number).len() == 10 && world.alive(number) == 10));
    world.fire(3, "later");
    world.run_until(MINUTE, "all to hear of it", |world| {
        (0..10).all(|number| names(world, number).last() == Some(&"later"))
    });
}

#[test]
fn who_is_alone_fires_as_much_as_it_likes() {
    let mut world = gathered(1, 0.0, 8);
    for number in 0..2000 {
        world.fire(0, &format!("e{number}"));
    }
    assert_eq!(world.fired(0).len(), 2000);
    world.start(1, &options(1));
    world.tell(1, Input::Join(vec![address(0)]));
    world.run_for(MINUTE);
    assert!(names(&world, 1).is_empty());
    world.fire(1, "after");
    world.run_until(MINUTE, "both to hear of it", |world| names(world, 0).last() == Some(&"after"));
}

#[test]
fn an_encrypted_pool_takes_only_what_is_sealed() {
    let sealed = |number| Options { keys: vec![KEY.to_owned()], ..options(number) };
    let mut world = World::new(0.0, 7);
    for number in 0..3 {
        world.start(number, &sealed(number));
        world.tell(number, Input::Join(vec![address(0)]));
    }
    world.run_until(MINUTE, "all to be there", |world| (0..3).all(|number| world.alive(number) == 3));
    // Somebody without a key, who sends to all of them.
    world.start(3, &options(3));
    world.tell(3, Input::Join(vec![address(0), address(1)]));
    world.fire(3, "forged");
    world.fire(1, "real");
    world.run_until(MINUTE, "all to hear of it", |world| all_have_heard(world, 0..3, 1));
    world.run_for(MINUTE);
    assert!((0..3).all(|number| names(&world, number) == ["real"]));
}
