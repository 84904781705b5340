use lictor_model::check::Status;
use lictor_model::definition::{CheckDefinition, ServiceDefinition};
use lictor_model::duration::GoDuration;
use lictor_model::probe::Origin;
use proptest::prelude::*;

use super::*;
use crate::state::Identity;

const DELAY: Duration = Duration::from_secs(300);

fn agent() -> LocalState {
    let identity = Identity {
        id: "11111111-1111-1111-1111-111111111111".into(),
        name: "n1".into(),
        datacenter: "dc1".into(),
        address: "127.0.0.1".to_owned(),
        ..Identity::default()
    };
    LocalState::new(identity, DELAY)
}

fn at(seconds: u64) -> Moment {
    Moment::from_origin(Duration::from_secs(seconds))
}

fn service(name: &str, port: u16, checks: u8) -> ServiceDefinition {
    let check = CheckDefinition { ttl: GoDuration(DELAY), ..CheckDefinition::default() };
    ServiceDefinition {
        name: name.to_owned(),
        port,
        checks: vec![check; usize::from(checks)],
        ..ServiceDefinition::default()
    }
}

/// A catalog that does what it is told.
fn carry_out(remote: &mut Remote, command: &Command) {
    match command {
        Command::Register(registration) => {
            if !registration.skip_node_update || remote.node.is_none() {
                remote.node = Some(Arc::new(Node {
                    id: registration.id.clone(),
                    name: registration.node.clone(),
                    address: registration.address.clone(),
                    ..Node::default()
                }));
            }
            if let Some(service) = &registration.service {
                remote.services.retain(|known| known.id != service.id);
                remote.services.push(Arc::clone(service));
            }
            for check in &registration.checks {
                remote.checks.retain(|known| known.id != check.id);
                remote.checks.push(Arc::clone(check));
            }
        }
        Command::Deregister(what) if !what.check_id.is_empty() => {
            remote.checks.retain(|known| known.id != what.check_id);
        }
        Command::Deregister(what) => {
            remote.services.retain(|known| known.id != what.service_id);
            remote.checks.retain(|known| known.service_id != what.service_id);
        }
        _ => unreachable!("anti-entropy writes the catalog and nothing else"),
    }
}

fn sync(agent: &mut LocalState, remote: &mut Remote, now: Moment) -> usize {
    let steps = agent.pending(now);
    for step in &steps {
        carry_out(remote, &step.command);
        agent.made(step);
    }
    steps.len()
}

#[test]
fn a_changed_output_alone_costs_no_write_until_its_delay_is_over() {
    let (mut agent, mut remote) = (agent(), Remote::default());
    agent.add_service(&service("web", 1, 1), Origin::Api, false).unwrap();
    let id = CheckId::from("service:web");
    assert!(agent.update_check(&id, Some(Status::Passing), "first".to_owned(), at(0)).is_due);
    assert_eq!(sync(&mut agent, &mut remote, at(0)), 2);
    for second in 1..299 {
        let update = agent.update_check(&id, Some(Status::Passing), format!("took {second} ms"), at(second));
        let is_next = second == 1;
        assert_eq!(update, crate::Update { is_next, ..crate::Update::default() });
        assert_eq!(sync(&mut agent, &mut remote, at(second)), 0);
    }
    agent.compare(&remote);
    assert_eq!(sync(&mut agent, &mut remote, at(299)), 0, "a full comparison does not push it either");
    assert_eq!(agent.next_due(), Some(at(301)));
    assert_eq!(sync(&mut agent, &mut remote, at(301)), 1);
    assert!(agent.update_check(&id, Some(Status::Critical), "down".to_owned(), at(302)).status_changed);
    assert_eq!(sync(&mut agent, &mut remote, at(302)), 1, "a changed status goes at once");
}

#[test]
fn the_first_words_of_a_check_go_at_once() {
    let (mut agent, mut remote) = (agent(), Remote::default());
    agent.add_service(&service("web", 1, 1), Origin::Api, false).unwrap();
    sync(&mut agent, &mut remote, at(0));
    let id = CheckId::from("service:web");
    let update = agent.update_check(&id, Some(Status::Critical), "refused".to_owned(), at(1));
    assert!(update.is_due && !update.status_changed);
    assert_eq!(sync(&mut agent, &mut remote, at(1)), 1);
}

#[test]
fn a_change_during_a_write_stays_pending() {
    let (mut agent, mut remote) = (agent(), Remote::default());
    agent.add_service(&service("web", 1, 0), Origin::Api, false).unwrap();
    let steps = agent.pending(at(0));
    agent.add_service(&service("web", 2, 0), Origin::Api, false).unwrap();
    for step in &steps {
        carry_out(&mut remote, &step.command);
        agent.made(step);
    }
    assert_eq!(sync(&mut agent, &mut remote, at(0)), 1);
    assert_eq!(remote.services[0].port, 2);
}

#[test]
fn what_others_registered_on_this_node_goes_but_for_what_the_leader_keeps() {
    let mut agent = agent();
    let named = |id: &str| Arc::new(Service { id: id.into(), name: id.into(), ..Service::default() });
    let check = |id: &str| Arc::new(Check { id: id.into(), ..Check::default() });
    let mut remote = Remote {
        node: None,
        services: vec![named("stray"), named(SERVER_SERVICE)],
        checks: vec![check("stray"), check(SERF_HEALTH)],
    };
    agent.compare(&remote);
    sync(&mut agent, &mut remote, at(0));
    assert_eq!(remote.services.len(), 1);
    assert_eq!(remote.checks.len(), 1);
}

#[test]
fn the_full_comparison_slows_down_with_the_cluster() {
    let minutes = |nodes| full_sync_interval(nodes).as_secs() / 60;
    assert_eq!((minutes(1), minutes(128), minutes(256), minutes(8192)), (1, 1, 2, 7));
}

proptest! {
    /// Whatever happens, writing what is pending makes the catalog equal to the agent.
    #[test]
    fn the_catalog_converges(events in prop::collection::vec((0u8..6, 0u8..3, 0u8..3, any::<bool>()), 1..60)) {
        let (mut agent, mut remote) = (agent(), Remote::default());
        for ((event, which, value, flag), second) in events.into_iter().zip(0..) {
            let name = format!("s{which}");
            match event {
                0 | 1 => drop(agent.add_service(&service(&name, u16::from(value), value), Origin::Api, flag)),
                2 => drop(agent.remove_service(&name.as_str().into())),
                3 => {
                    let id = CheckId::from(format!("service:{name}"));
                    let status = if flag { Status::Passing } else { Status::Critical };
                    agent.update_check(&id, Some(status), value.to_string(), at(second));
                }
                4 => drop(sync(&mut agent, &mut remote, at(second))),
                _ => agent.compare(&remote),
            }
        }
        sync(&mut agent, &mut remote, at(100_000));
        agent.compare(&remote);
        prop_assert_eq!(agent.pending(at(200_000)), vec![]);
        prop_assert_eq!(remote.services.len(), agent.services().len());
        prop_assert_eq!(remote.checks.len(), agent.checks().len());
        for check in &remote.checks {
            prop_assert!(agent.check(&check.id).is_some_and(|own| own.same_as(check)));
        }
    }
}

#[test]
fn the_first_output_that_waits_wakes_the_writer_and_the_others_do_not() {
    let mut state = agent();
    state.add_service(&service("web", 80, 2), Origin::Api, false).unwrap();
    let (a, b) = ("service:web:1".into(), "service:web:2".into());
    for id in [&a, &b] {
        state.update_check(id, Some(Status::Passing), "0".to_owned(), at(0));
    }
    for step in state.pending(at(0)) {
        state.made(&step);
    }
    assert_eq!(state.next_due(), None);
    assert!(state.update_check(&a, None, "1".to_owned(), at(1)).is_next);
    assert!(!state.update_check(&b, None, "1".to_owned(), at(2)).is_next);
    assert_eq!(state.next_due(), Some(at(1) + DELAY));
}

#[test]
fn a_reload_keeps_what_the_api_added_to_a_service() {
    let mut state = agent();
    state.add_service(&service("web", 80, 1), Origin::File, true).unwrap();
    let own = CheckDefinition {
        name: "own".to_owned(),
        service_id: "web".to_owned(),
        ttl: GoDuration(DELAY),
        ..CheckDefinition::default()
    };
    state.add_check(own, Origin::Api).unwrap();
    let registered = state.add_service(&service("web", 80, 0), Origin::File, true).unwrap();
    assert_eq!(registered.removed, ["service:web".into()]);
    assert!(state.check(&"own".into()).is_some());
    let registered = state.add_service(&service("web", 80, 0), Origin::Api, true).unwrap();
    assert_eq!(registered.removed, ["own".into()]);
}

#[test]
fn the_programs_of_a_service_that_moves_look_at_its_new_place() {
    let probing = |port| {
        let mut definition = service("web", port, 0);
        definition.checks = vec![CheckDefinition {
            wasm: "look.wasm".to_owned(),
            interval: GoDuration(DELAY),
            ..CheckDefinition::default()
        }];
        definition
    };
    let mut state = agent();
    state.add_service(&probing(80), Origin::Api, false).unwrap();
    let id: CheckId = "service:web".into();
    state.update_check(&id, Some(Status::Passing), "fine".to_owned(), at(0));
    assert!(state.add_service(&probing(80), Origin::Api, false).unwrap().checks.is_empty());
    let registered = state.add_service(&probing(81), Origin::Api, false).unwrap();
    let [(moved, _, target)] = registered.checks.as_slice() else { panic!("one check to run anew") };
    assert_eq!((moved, target.port), (&id, 81));
    assert_eq!(state.check(&id).unwrap().status, Status::Passing, "it keeps what it last said");
}
