//! A large pool. The example `pools` has larger ones.

use std::time::Duration;

use crate::pool::Input;
use crate::tests::world::{World, address};
use crate::tests::{MINUTE, options};

#[test]
fn two_hundred_join_through_one_and_notice_a_failure() {
    let nodes = 200;
    let mut world = World::new(0.02, 1);
    world.keeps_events = false;
    for number in 0..nodes {
        world.start(number, &options(number));
        if number > 0 {
            world.tell(number, Input::Join(vec![address(0)]));
        }
    }
    let joined = world.run_until(MINUTE, "everyone to know everyone", |world| {
        (0..nodes).all(|number| world.alive(number) == nodes)
    });
    assert!(joined < Duration::from_secs(20), "{joined:?}");
    world.run_for(Duration::from_secs(20));
    world.kill(7);
    let noticed = world.run_until(MINUTE, "the failure to be noticed by all", |world| {
        (0..nodes).filter(|number| *number != 7).all(|number| world.alive(number) == nodes - 1)
    });
    assert!(noticed < Duration::from_secs(12), "{noticed:?}");
}
