//! Pools whose packets and streams are sealed.

use crate::keyring::KeyRequest;
use crate::options::Options;
use crate::pool::{Input, Unjoined};
use crate::talk::KeyReport;
use crate::tests::world::{World, address};
use crate::tests::{MINUTE, know_each_other, options};

const ONE: &str = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=";
const TWO: &str = "9FY1lLIB9PYi9qsBdtyWRj6I7eE5rmHZuXNYVRIxh+k=";

fn with_key(number: usize, keys: &[&str]) -> Options {
    let mut options = options(number);
    options.keys = keys.iter().map(|&key| key.to_owned()).collect();
    options
}

fn sealed(nodes: usize) -> World {
    let mut world = World::new(0.02, 1);
    for number in 0..nodes {
        world.start(number, &with_key(number, &[ONE]));
        world.tell(number, Input::Join(vec![address(0)]));
    }
    know_each_other(&mut world, nodes);
    world
}

fn ask(world: &mut World, request: KeyRequest) -> KeyReport {
    let before = world.reports(0).len();
    world.tell(0, Input::Keys { round: before as u64, request });
    world.run_until(MINUTE, "all to say", |world| world.reports(0).len() > before);
    world.reports(0).last().unwrap().clone()
}

#[test]
fn only_those_with_the_key_are_members() {
    let mut world = sealed(3);
    for (number, keys) in [(3, vec![TWO]), (4, vec![])] {
        world.start(number, &with_key(number, &keys));
        world.tell(number, Input::Join(vec![address(0)]));
        world.tell(0, Input::Join(vec![address(number)]));
    }
    world.run_for(MINUTE);
    for number in [3, 4] {
        assert!(matches!(world.joined(number), [(_, Err(Unjoined::Failed(_)))]));
        assert_eq!(world.members(number).len(), 1);
    }
    assert_eq!(world.members(0).len(), 3);
    let why = |number: usize| world.joined(number)[0].1.as_ref().unwrap_err().to_string();
    assert_eq!(why(3), "No installed keys could decrypt the message");
    assert_eq!(why(4), "Remote state is encrypted and encryption is not configured");
}

#[test]
fn keys_are_changed_for_everybody_by_asking_one() {
    let mut world = sealed(5);
    let counts = |key: &str, count: usize| (key.to_owned(), count);
    let report = ask(&mut world, KeyRequest::List);
    assert_eq!((report.nodes, report.errors.len()), (5, 0));
    assert_eq!(report.keys, [counts(ONE, 5)].into());
    assert_eq!(ask(&mut world, KeyRequest::Remove(ONE.to_owned())).errors.len(), 5);
    assert!(ask(&mut world, KeyRequest::Install(TWO.to_owned())).errors.is_empty());
    assert_eq!(ask(&mut world, KeyRequest::List).primary, [counts(ONE, 5)].into());
    assert!(ask(&mut world, KeyRequest::Use(TWO.to_owned())).errors.is_empty());
    assert!(ask(&mut world, KeyRequest::Remove(ONE.to_owned())).errors.is_empty());
    let report = ask(&mut world, KeyRequest::List);
    assert_eq!(report.keys, [counts(TWO, 5)].into());
    assert_eq!(report.primary, report.keys);
    world.start(5, &with_key(5, &[TWO]));
    world.tell(5, Input::Join(vec![address(2)]));
    know_each_other(&mut world, 6);
    world.run_for(MINUTE);
    know_each_other(&mut world, 6);
}

#[test]
fn keys_are_sealed_even_while_other_things_are_not() {
    let mut world = World::new(0.0, 2);
    for number in 0..2 {
        let mut lax = with_key(number, &[ONE]);
        (lax.verify_incoming, lax.verify_outgoing) = (false, false);
        world.start(number, &lax);
        world.tell(number, Input::Join(vec![address(0)]));
    }
    let mut stranger = with_key(2, &[]);
    stranger.tags = crate::tests::tags("node");
    world.start(2, &stranger);
    world.tell(2, Input::Join(vec![address(0)]));
    know_each_other(&mut world, 3);
    let report = ask(&mut world, KeyRequest::Install(TWO.to_owned()));
    assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["node-2"], "{report:?}");
    assert_eq!(ask(&mut world, KeyRequest::List).keys[TWO], 2);
    world.tell(2, Input::Keys { round: 9, request: KeyRequest::List });
    world.run_until(MINUTE, "all to say", |world| !world.reports(2).is_empty());
    let report = &world.reports(2)[0];
    assert_eq!((report.keys.len(), report.errors.len()), (0, 3), "{report:?}");
}

#[test]
fn without_keys_there_is_nothing_to_change() {
    let mut world = crate::tests::gathered(2, 0.0, 1);
    let report = ask(&mut world, KeyRequest::List);
    let expected = "Keyring is empty (encryption not enabled)".to_owned();
    assert_eq!(
        report.errors,
        [("node-0".to_owned(), expected.clone()), ("node-1".to_owned(), expected)].into()
    );
}
