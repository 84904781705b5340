//! Joining, leaving, coming back.

use std::time::Duration;

use lictor_model::local::MemberStatus;

use crate::event::MemberEvent;
use crate::options::Admission;
use crate::pool::{Input, Unjoined};
use crate::tests::world::{World, address};
use crate::tests::{MINUTE, REAP_AFTER, about, gathered, options, tags};

#[test]
fn a_node_alone_is_a_member_and_says_so() {
    let mut world = World::new(0.0, 1);
    world.start(0, &options(0));
    let [(_, MemberEvent::Join(me))] = world.events(0) else { panic!("{:?}", world.events(0)) };
    assert_eq!((me.name.as_str(), me.status, me.port), ("node-0", MemberStatus::Alive, 8301));
    assert_eq!((me.protocol_min, me.protocol_max, me.protocol_cur), (1, 5, 2));
    assert_eq!((me.delegate_min, me.delegate_max, me.delegate_cur), (2, 5, 4));
    world.run_for(MINUTE);
    assert_eq!(world.events(0).len(), 1);
    world.tell(0, Input::Leave);
    assert!(world.has_left(0), "nobody to wait for");
    assert_eq!(world.status(0, "node-0"), Some(MemberStatus::Left));
}

#[test]
fn two_learn_one_anothers_names_and_tags() {
    let world = gathered(2, 0.0, 7);
    assert_eq!(world.members(1)[0].tags["dc"], "dc1");
    assert_eq!(world.joined(1), [(address(0), Ok(()))]);
    for number in 0..2 {
        let joins = world.events(number).iter().filter(|(_, event)| matches!(event, MemberEvent::Join(_)));
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
fn where_nobody_is_joining_fails_at_once() {
    let mut world = gathered(1, 0.0, 1);
    world.tell(0, Input::Join(vec![address(7), address(0)]));
    world.run_for(Duration::from_millis(50));
    let [(own, Ok(())), (other, Err(Unjoined::Failed(why)))] = world.joined(0) else {
        panic!("{:?}", world.joined(0))
    };
    assert_eq!((*own, *other), (address(0), address(7)));
    assert_eq!(why, "dial tcp 10.0.0.8:8301: connect: connection refused");
}

#[test]
fn members_of_other_datacenters_and_pools_are_refused() {
    let mut world = gathered(2, 0.0, 2);
    let mut foreign = options(2);
    foreign.admission = Admission::Datacenter("dc2".to_owned());
    foreign.tags.insert("dc".to_owned(), "dc2".to_owned());
    let mut wan = options(3);
    wan.admission = Admission::Servers;
    for (number, options, expected) in [
        (2, foreign, "Member 'node-0' part of wrong datacenter 'dc1'"),
        (3, wan, "Member 'node-0' is not in the pool 'wan'"),
    ] {
        world.start(number, &options);
        world.tell(number, Input::Join(vec![address(0)]));
        world.run_for(MINUTE);
        assert_eq!(world.joined(number), [(address(0), Err(Unjoined::Failed(expected.to_owned())))]);
        assert_eq!(world.members(number).len(), 1);
    }
    assert_eq!(world.members(0).len(), 2);
    assert_eq!(world.members(1).len(), 2);
}

#[test]
fn only_addresses_that_are_allowed_may_join() {
    let mut world = World::new(0.0, 3);
    let mut strict = options(0);
    strict.allowed = vec!["10.0.0.0/30".parse().unwrap()];
    world.start(0, &strict);
    for number in [1, 9] {
        world.start(number, &options(number));
        world.tell(number, Input::Join(vec![address(0)]));
    }
    world.run_for(MINUTE);
    assert_eq!(world.members(0).len(), 2);
    assert_eq!(world.members(9).len(), 1);
    assert_eq!(world.joined(9), [(address(0), Err(Unjoined::Failed("EOF".to_owned())))]);
}

#[test]
fn new_tags_reach_everyone_also_large_ones() {
    let mut world = gathered(5, 0.1, 3);
    for length in [1, 5_000, 20_000] {
        let mut tags = tags("node");
        tags.insert("build".to_owned(), "9".repeat(length));
        world.tell(2, Input::SetTags(tags));
        world.run_until(MINUTE, "new tags everywhere", |world| {
            (0..5).all(|number| {
                let members = world.members(number);
                members.iter().any(|member| member.tags.get("build").is_some_and(|tag| tag.len() == length))
            })
        });
    }
    let updates = about(&world, 0, "node-2");
    assert!(matches!(
        updates[..],
        [_, MemberEvent::Update(_), MemberEvent::Update(_), MemberEvent::Update(_)]
    ));
    world.tell(2, Input::Leave);
    world.run_until(MINUTE, "it to leave", |world| world.status(0, "node-2") == Some(MemberStatus::Left));
}

#[test]
fn a_node_that_comes_back_is_the_same_member_in_a_new_life() {
    let mut world = gathered(3, 0.0, 5);
    world.kill(2);
    world.run_until(MINUTE, "the failure to be noticed", |world| {
        world.status(0, "node-2") == Some(MemberStatus::Failed)
    });
    world.start(2, &options(2));
    world.tell(2, Input::Join(vec![address(1)]));
    crate::tests::know_each_other(&mut world, 3);
    world.tell(2, Input::Leave);
    world.run_until(MINUTE, "it to leave", |world| world.status(0, "node-2") == Some(MemberStatus::Left));
    world.start(2, &options(2));
    world.tell(2, Input::Join(vec![address(0)]));
    crate::tests::know_each_other(&mut world, 3);
    use MemberEvent::{Failed, Join, Leave};
    assert!(matches!(about(&world, 0, "node-2")[..], [Join(_), Failed(_), Join(_), Leave(_), Join(_)]));
}

#[test]
fn members_of_an_earlier_life_are_found_again() {
    let mut world = gathered(3, 0.0, 6);
    world.kill(2);
    world.start(2, &options(2));
    world.tell(2, Input::Rejoin(vec![address(8), address(2), address(1)]));
    crate::tests::know_each_other(&mut world, 3);
    assert_eq!(world.joined(2), [], "nobody asked for it");
}

#[test]
fn who_is_away_for_long_is_forgotten() {
    let mut world = gathered(2, 0.0, 5);
    world.kill(1);
    world.run_until(MINUTE, "the failure to be noticed", |world| {
        world.status(0, "node-1") == Some(MemberStatus::Failed)
    });
    world.run_until(REAP_AFTER * 2, "it to be forgotten", |world| world.members(0).len() == 1);
    assert!(
        matches!(world.events(0).last(), Some((_, MemberEvent::Reap(member))) if member.name == "node-1")
    );
    world.start(1, &options(1));
    world.tell(1, Input::Join(vec![address(0)]));
    crate::tests::know_each_other(&mut world, 2);
}

#[test]
fn garbage_is_counted_and_changes_nothing() {
    let mut world = gathered(2, 0.0, 9);
    let before = (world.members(0), world.events(0).len());
    let garbage = world.figures(0).garbage;
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for length in 0..1400_usize {
        let bytes: Vec<u8> = (0..length)
            .map(|position| {
                noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                match position {
                    0 => 2,
                    5 => (length % 4) as u8,
                    _ => (noise >> 56) as u8,
                }
            })
            .collect();
        world.inject(0, bytes.clone());
        let data = bytes.into();
        world.tell(0, Input::Asked { ticket: 1 << 40, from: address(1), data });
    }
    assert!(world.figures(0).garbage > garbage + 2400);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.members(0), before.0);
    assert_eq!(world.events(0).len(), before.1);
}
