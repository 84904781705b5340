//! Pools that talk to one another, in simulated time and over real sockets.

mod events;
mod failing;
mod joining;
mod keys;
mod large;
mod names;
mod sockets;
#[path = "../examples/pools/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use lictor_model::local::MemberStatus;

use crate::event::MemberEvent;
use crate::options::{Admission, Options};
use crate::pool::Input;
use crate::tests::world::{World, address};

const MINUTE: Duration = Duration::from_secs(60);
const REAP_AFTER: Duration = Duration::from_secs(600);

fn tags(role: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("role".to_owned(), role.to_owned()), ("dc".to_owned(), "dc1".to_owned())])
}

fn options(number: usize) -> Options {
    let mut options = Options::new(format!("node-{number}"), format!("id-of-{number}"), address(number));
    options.tags = tags("node");
    options.admission = Admission::Datacenter("dc1".to_owned());
    options.reap_after = REAP_AFTER;
    options
}

/// Starts that many nodes, which all join the first.
fn gathered(nodes: usize, loss: f64, seed: u64) -> World {
    let mut world = World::new(loss, seed);
    for number in 0..nodes {
        world.start(number, &options(number));
        if number > 0 {
            world.tell(number, Input::Join(vec![address(0)]));
        }
    }
    know_each_other(&mut world, nodes);
    world
}

fn know_each_other(world: &mut World, nodes: usize) {
    world.run_until(MINUTE, "everyone to know everyone by name and tags", |world| {
        (0..nodes).all(|number| {
            let members = world.members(number);
            members.len() == nodes
                && members
                    .iter()
                    .all(|member| member.status == MemberStatus::Alive && member.tags.contains_key("role"))
        })
    });
}

fn about(world: &World, number: usize, name: &str) -> Vec<MemberEvent> {
    let events = world.events(number).iter().map(|(_, event)| event.clone());
    events.filter(|event| event.member().name == name).collect()
}
