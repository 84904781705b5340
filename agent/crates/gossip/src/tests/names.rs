//! Names: who has one, and what becomes of it.

use lictor_model::local::MemberStatus;

use crate::event::MemberEvent;
use crate::pool::{Input, Unjoined};
use crate::tests::world::{World, address};
use crate::tests::{MINUTE, about, gathered, know_each_other, options};

#[test]
fn a_name_that_a_living_member_has_is_refused() {
    let mut world = gathered(3, 0.0, 1);
    let mut twin = options(3);
    twin.name = "node-1".to_owned();
    world.start(3, &twin);
    world.tell(3, Input::Join(vec![address(0)]));
    world.run_for(MINUTE);
    let [(_, Err(Unjoined::NameTaken(why)))] = world.joined(3) else { panic!("{:?}", world.joined(3)) };
    assert_eq!(why, "the node name 'node-1' is taken by the member at 10.0.0.2:8301");
    assert_eq!(world.members(3).len(), 1);
    know_each_other(&mut world, 3);
    world.kill(1);
    world.run_until(MINUTE, "the first to be noticed", |world| {
        world.status(0, "node-1") == Some(MemberStatus::Failed)
    });
    world.tell(3, Input::Join(vec![address(0)]));
    world.run_until(MINUTE, "the name to be taken over", |world| {
        [0, 2, 3].iter().all(|number| {
            let members = world.members(*number);
            members.len() == 3 && members[1].addr == "10.0.0.4" && members[1].status == MemberStatus::Alive
        })
    });
    use MemberEvent::{Failed, Join};
    assert!(matches!(about(&world, 2, "node-1")[..], [Join(_), Failed(_), Join(_)]));
}

#[test]
fn a_node_may_come_back_at_another_address() {
    let mut world = gathered(3, 0.0, 2);
    world.kill(1);
    let mut moved = options(1);
    moved.advertise = address(5);
    world.start(5, &moved);
    world.tell(5, Input::Join(vec![address(0)]));
    world.run_until(MINUTE, "it to be there", |world| {
        [0, 2, 5].iter().all(|number| {
            let members = world.members(*number);
            members.len() == 3 && members[1].addr == "10.0.0.6" && members[1].status == MemberStatus::Alive
        })
    });
    world.run_for(MINUTE);
    assert_eq!(
        world.status(0, "node-1"),
        Some(MemberStatus::Alive),
        "what was at the old address is of no interest"
    );
}

#[test]
fn a_node_may_come_back_under_another_name_or_without_its_past() {
    for forgets in [false, true] {
        let mut world = gathered(3, 0.0, 3);
        world.kill(1);
        let mut renamed = options(1);
        renamed.name = "other".to_owned();
        if forgets {
            renamed.node_id = "born-again".to_owned();
        }
        world.start(1, &renamed);
        world.tell(1, Input::Join(vec![address(0)]));
        world.run_until(MINUTE, "it to be there", |world| {
            [0, 1, 2].iter().all(|number| world.status(*number, "other") == Some(MemberStatus::Alive))
        });
        world.run_for(MINUTE);
        let expected = if forgets { Some(MemberStatus::Failed) } else { None };
        assert_eq!(world.status(0, "node-1"), expected);
        assert_eq!(world.status(2, "node-1"), expected);
    }
}

#[test]
fn a_node_that_lost_its_past_keeps_its_name_at_the_same_address() {
    let mut world = gathered(3, 0.0, 4);
    world.kill(1);
    let mut wiped = options(1);
    wiped.node_id = "born-again".to_owned();
    world.start(1, &wiped);
    world.tell(1, Input::Join(vec![address(0)]));
    know_each_other(&mut world, 3);
    assert_eq!(world.joined(1), [(address(0), Ok(()))]);
}

#[test]
fn of_two_that_came_at_the_same_time_the_older_keeps_the_name() {
    let mut world = gathered(4, 0.0, 5);
    world.cut = Some(2);
    world.run_until(MINUTE, "the halves to lose each other", |world| {
        (0..4).all(|number| world.alive(number) == 2)
    });
    for (number, seed) in [(4, 3), (1, 0)] {
        let mut twin = options(number);
        twin.name = "twin".to_owned();
        twin.node_id = format!("twin-{number}");
        world.start(number, &twin);
        world.tell(number, Input::Join(vec![address(seed)]));
        world.run_for(MINUTE / 60);
    }
    world.cut = None;
    let listed = |world: &World, number: usize| {
        let members = world.members(number);
        members.into_iter().find(|member| member.name == "twin").map(|member| member.addr)
    };
    world.run_until(MINUTE * 2, "the older to have it", |world| {
        [0, 2, 3]
            .iter()
            .all(|number| listed(world, *number).as_deref() == Some("10.0.0.5") && world.alive(*number) >= 4)
    });
}

#[test]
fn one_node_id_at_two_places_is_refused() {
    let mut world = gathered(3, 0.0, 6);
    let mut copy = options(1);
    copy.name = "copy".to_owned();
    copy.advertise = address(3);
    world.start(3, &copy);
    world.tell(3, Input::Join(vec![address(0)]));
    world.run_for(MINUTE);
    let [(_, Err(Unjoined::Failed(why)))] = world.joined(3) else { panic!("{:?}", world.joined(3)) };
    assert_eq!(why, "Member 'copy' has conflicting node ID with member 'node-1'");
    know_each_other(&mut world, 3);
}
