//! The state machine against a naive model, and its indexes and watches against the answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use lictor_acl::Authorizer;
use lictor_model::check::{Check, Status};
use lictor_model::command::{Command, Deregistration, KvChange, Outcome, Registration};
use lictor_model::query::{Answer, CheckState, NodeSelector, Query, ServiceSelector};
use lictor_model::service::Service;
use lictor_model::{Key, RaftIndex};
use proptest::prelude::*;

use crate::{Evaluation, Snapshot, Store, eval};

mod locks;
mod prepared;
mod restore;

fn ask(snapshot: &Snapshot, query: &Query) -> Evaluation {
    eval(snapshot, query, &Authorizer::agent()).unwrap()
}

fn key() -> impl Strategy<Value = Key> {
    "[ab/]{0,4}".prop_map(Key::from)
}

fn kv_change() -> impl Strategy<Value = KvChange> {
    let cas = prop_oneof![3 => Just(None), 1 => (0u64..6).prop_map(|index| Some(RaftIndex(index)))];
    prop_oneof![
        4 => (key(), "[xy]?", 0u64..2, cas.clone()).prop_map(|(key, value, flags, cas)| KvChange::Set {
            key,
            value: Bytes::from(value),
            flags,
            cas,
        }),
        2 => (key(), cas).prop_map(|(key, cas)| KvChange::Delete { key, cas }),
        1 => key().prop_map(|prefix| KvChange::DeleteTree { prefix }),
    ]
}

fn registration() -> impl Strategy<Value = Command> {
    let service = prop_oneof![
        1 => Just(None),
        3 => ("[st]", "[wd]", 0u16..3, prop::collection::vec("[uv]", 0..2)).prop_map(Some),
    ];
    let check = prop_oneof![
        1 => Just(None),
        2 => ("[cd]", 0u8..3, prop::bool::ANY).prop_map(Some),
    ];
    ("[nmN]", "[12]", service, check).prop_map(|(node, address, service, check)| {
        let service = service.map(|(id, name, port, tags)| Service {
            id: id.into(),
            name: name.into(),
            address: if port == 2 { "10.0.0.2".to_owned() } else { String::new() },
            port,
            tags,
            ..Service::default()
        });
        let checks = check.map(|(id, status, of_service)| Check {
            id: id.into(),
            status: [Status::Passing, Status::Warning, Status::Critical][usize::from(status)],
            service_id: service
                .as_ref()
                .filter(|_| of_service)
                .map(|service| service.id.clone())
                .unwrap_or_default(),
            ..Check::default()
        });
        Command::Register(Box::new(Registration {
            node: node.into(),
            address,
            service: service.map(Arc::new),
            checks: checks.into_iter().map(Arc::new).collect(),
            ..Registration::default()
        }))
    })
}

fn deregistration() -> impl Strategy<Value = Command> {
    ("[nm]", "[st]?", "[cd]?").prop_map(|(node, service, check)| {
        Command::Deregister(Deregistration {
            node: node.into(),
            service_id: service.into(),
            check_id: check.into(),
            ..Deregistration::default()
        })
    })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => kv_change().prop_map(Command::Kv),
        2 => locks::lock_change().prop_map(Command::Kv),
        2 => locks::session_command(),
        2 => prepared::prepared_command(),
        3 => registration(),
        1 => deregistration(),
    ]
}

fn queries() -> Vec<Query> {
    let mut queries: Vec<Query> = ["", "a", "a/", "b", "ab"]
        .into_iter()
        .flat_map(|path| {
            [
                Query::KvGet { key: path.into() },
                Query::KvList { prefix: path.into() },
                Query::KvKeys { prefix: path.into(), separator: "/".to_owned() },
            ]
        })
        .collect();
    queries.push(Query::Nodes(NodeSelector::default()));
    queries.push(Query::Services(NodeSelector::default()));
    for service in ["w", "d", "none"] {
        let selector = ServiceSelector { service: service.into(), ..ServiceSelector::default() };
        queries.push(Query::ServiceNodes(selector.clone()));
        queries.push(Query::Health(ServiceSelector { passing_only: true, ..selector.clone() }));
        queries.push(Query::Health(selector));
        queries.push(Query::ServiceChecks { service: service.into(), selector: NodeSelector::default() });
    }
    for node in ["n", "m"] {
        queries.push(Query::NodeServices { node: node.into(), filter: Default::default() });
        queries.push(Query::NodeChecks { node: node.into(), filter: Default::default() });
    }
    queries.extend([Query::Sessions, Query::Session("p".into()), Query::NodeSessions("n".into())]);
    queries.push(Query::PreparedQueries);
    queries.push(Query::ChecksInState { state: CheckState::Any, selector: NodeSelector::default() });
    for address in [[10, 0, 0, 1], [10, 0, 0, 2]] {
        queries.push(Query::NodesAt { address: address.into() });
        queries.push(Query::InstancesAt { address: address.into() });
    }
    queries
}

/// The key-value store as anybody would write it first.
#[derive(Default)]
struct Naive(BTreeMap<String, (Bytes, u64, u64)>);

impl Naive {
    fn apply(&mut self, index: u64, change: &KvChange) -> bool {
        let found = |naive: &Self, key: &Key| naive.0.get(key.as_str()).map_or(0, |entry| entry.2);
        match change {
            KvChange::Set { key, value, flags, cas } => {
                if cas.is_some_and(|cas| cas.0 != found(self, key)) {
                    return false;
                }
                let same = |entry: &(Bytes, u64, u64)| entry.0 == value && entry.1 == *flags;
                if !self.0.get(key.as_str()).is_some_and(same) {
                    self.0.insert(key.as_str().to_owned(), (value.clone(), *flags, index));
                }
                true
            }
            KvChange::Delete { key, cas } => {
                let index = found(self, key);
                if index != 0 && cas.is_some_and(|cas| cas.0 != index) {
                    return false;
                }
                self.0.remove(key.as_str());
                true
            }
            KvChange::DeleteTree { prefix } => {
                self.0.retain(|key, _| !key.starts_with(prefix.as_str()));
                true
            }
            KvChange::Lock { .. } | KvChange::Unlock { .. } => {
                unreachable!("without sessions nothing is locked")
            }
        }
    }
}

proptest! {
    #[test]
    fn the_key_value_store_does_what_the_naive_one_does(changes in prop::collection::vec(kv_change(), 1..60)) {
        let store = Store::new();
        let mut naive = Naive::default();
        for (change, index) in changes.into_iter().zip(1..) {
            let expected = naive.apply(index, &change);
            let outcomes = store.apply([(RaftIndex(index), Command::Kv(change))]).unwrap();
            prop_assert_eq!(outcomes, vec![Outcome::Applied(expected)]);
            let Answer::Entries(entries) = ask(&store.snapshot(), &Query::KvList { prefix: "".into() }).answer
            else { unreachable!() };
            let found: Vec<_> = entries
                .iter()
                .map(|entry| (entry.key.as_str().to_owned(), (entry.value.clone(), entry.flags, entry.modify_index.0)))
                .collect();
            prop_assert_eq!(found, naive.0.clone().into_iter().collect::<Vec<_>>());
        }
    }

    /// An answer that changed has a higher index and wakes; one about keys that did not change
    /// keeps its index and does not wake.
    #[test]
    fn indexes_and_watches_follow_the_answers(commands in prop::collection::vec(command(), 1..40)) {
        let store = Store::new();
        // The first entry of every Raft log is its membership, so commands start at 2.
        for (command, index) in commands.into_iter().zip(2..) {
            let before: Vec<(Query, Evaluation)> = queries()
                .into_iter()
                .map(|query| { let evaluation = ask(&store.snapshot(), &query); (query, evaluation) })
                .collect();
            let waiting: Vec<_> = before
                .iter()
                .map(|(_, evaluation)| store.watchers().register(evaluation.watches.clone()))
                .collect();
            store.apply([(RaftIndex(index), command.clone())]).unwrap();
            for ((query, old), waiting) in before.iter().zip(&waiting) {
                let new = ask(&store.snapshot(), query);
                let woken = is_woken(waiting);
                let about_keys =
                    matches!(query, Query::KvGet { .. } | Query::KvList { .. } | Query::KvKeys { .. });
                if new.answer != old.answer {
                    prop_assert!(new.index > old.index, "{:?} by {:?}: {:?} -> {:?}", query, command, old.index, new.index);
                    prop_assert!(woken, "{:?} by {:?}", query, command);
                } else if about_keys && !matches!(query, Query::KvKeys { .. }) {
                    prop_assert!(!woken, "{:?} by {:?}", query, command);
                    // A removed tree leaves one mark for all keys in it, whether they existed or not.
                    if !matches!(command, Command::Kv(KvChange::DeleteTree { .. })) {
                        prop_assert_eq!(new.index, old.index, "{:?} by {:?}", query, command);
                    }
                }
                prop_assert!(new.index >= old.index);
            }
            drop(waiting);
            prop_assert_eq!(store.watchers().watched(), 0);
        }
    }

    #[test]
    fn a_restored_snapshot_answers_the_same(commands in prop::collection::vec(command(), 1..40)) {
        let store = Store::new();
        store.apply(commands.into_iter().zip(1..).map(|(command, index)| (RaftIndex(index), command))).unwrap();
        let encoded = store.snapshot().encode();
        let restored = Store::new();
        restored.restore(&encoded).unwrap();
        prop_assert_eq!(restored.snapshot().encode(), encoded);
        for query in queries() {
            prop_assert_eq!(ask(&restored.snapshot(), &query), ask(&store.snapshot(), &query));
        }
    }

    #[test]
    fn damaged_snapshots_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let store = Store::new();
        let _ = store.restore(&bytes);
    }
}

fn is_woken(waiting: &crate::Waiting<'_>) -> bool {
    let changed = std::pin::pin!(waiting.changed());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    changed.poll(&mut context).is_ready()
}

fn register(node: &str, service: &str, status: Status) -> Command {
    Command::Register(Box::new(Registration {
        node: node.into(),
        address: "10.0.0.1".to_owned(),
        service: Some(Arc::new(Service { id: service.into(), name: service.into(), ..Service::default() })),
        checks: vec![Arc::new(Check {
            id: format!("{service}-check").into(),
            service_id: service.into(),
            status,
            ..Check::default()
        })],
        ..Registration::default()
    }))
}

#[test]
fn an_unrelated_service_wakes_nobody() {
    let store = Store::new();
    store.apply([(RaftIndex(1), register("n", "web", Status::Passing))]).unwrap();
    let query = Query::Health(ServiceSelector { service: "WEB".into(), ..ServiceSelector::default() });
    let before = ask(&store.snapshot(), &query);
    let waiting = store.watchers().register(before.watches.clone());
    store.apply([(RaftIndex(2), register("n", "db", Status::Critical))]).unwrap();
    assert!(!is_woken(&waiting));
    assert_eq!(ask(&store.snapshot(), &query).index, before.index);
    store.apply([(RaftIndex(3), register("n", "web", Status::Passing))]).unwrap();
    assert!(!is_woken(&waiting), "registering the same again changes nothing");
    store.apply([(RaftIndex(4), register("n", "web", Status::Critical))]).unwrap();
    assert!(is_woken(&waiting));
}

#[test]
fn a_check_of_the_node_wakes_those_who_look_at_health_but_not_at_the_service_s_own_checks() {
    let store = Store::new();
    store.apply([(RaftIndex(2), register("n", "web", Status::Passing))]).unwrap();
    let selector = ServiceSelector { service: "web".into(), ..ServiceSelector::default() };
    let health = ask(&store.snapshot(), &Query::Health(selector));
    let own = Query::ServiceChecks { service: "web".into(), selector: NodeSelector::default() };
    let own = ask(&store.snapshot(), &own);
    let (health, own) = (store.watchers().register(health.watches), store.watchers().register(own.watches));
    let of_node = Check { id: "disk".into(), ..Check::default() };
    let command = Command::Register(Box::new(Registration {
        node: "n".into(),
        address: "10.0.0.1".to_owned(),
        checks: vec![Arc::new(of_node)],
        ..Registration::default()
    }));
    store.apply([(RaftIndex(3), command)]).unwrap();
    assert!(is_woken(&health));
    assert!(!is_woken(&own));
}

#[test]
fn a_service_that_does_not_exist_yet_can_be_waited_for() {
    let store = Store::new();
    let query = Query::Health(ServiceSelector { service: "web".into(), ..ServiceSelector::default() });
    let before = ask(&store.snapshot(), &query);
    let waiting = store.watchers().register(before.watches);
    store.apply([(RaftIndex(5), register("n", "web", Status::Passing))]).unwrap();
    assert!(is_woken(&waiting));
    assert_eq!(ask(&store.snapshot(), &query).index, RaftIndex(5));
}

#[test]
fn a_refused_registration_changes_nothing() {
    let store = Store::new();
    let command = Command::Register(Box::new(Registration {
        node: "n".into(),
        address: "10.0.0.1".to_owned(),
        checks: vec![Arc::new(Check { id: "c".into(), service_id: "none".into(), ..Check::default() })],
        ..Registration::default()
    }));
    let outcomes = store.apply([(RaftIndex(9), command)]).unwrap();
    assert!(matches!(outcomes.as_slice(), [Outcome::Refused(_)]));
    assert_eq!(store.snapshot().nodes().count(), 0);
    assert_eq!(store.snapshot().index(), RaftIndex(9));
}

#[test]
fn a_filtered_list_of_services_follows_every_field_and_the_plain_one_does_not() {
    let store = Store::new();
    let register = |index, port| {
        let service = Service { id: "w".into(), name: "web".into(), port, ..Service::default() };
        let registration = Registration {
            node: "n".into(),
            address: "10.0.0.1".to_owned(),
            service: Some(Arc::new(service)),
            ..Registration::default()
        };
        store.apply([(RaftIndex(index), Command::Register(Box::new(registration)))]).unwrap();
    };
    let filter = lictor_model::filter::Filter::from("ServicePort == 81".to_owned());
    let filtered = Query::Services(NodeSelector { filter, ..NodeSelector::default() });
    register(5, 80);
    let before = ask(&store.snapshot(), &filtered);
    assert_eq!(before.answer, Answer::Services(BTreeMap::new()));
    register(6, 81);
    let after = ask(&store.snapshot(), &filtered);
    assert_ne!(after.answer, before.answer);
    assert_eq!((before.index, after.index), (RaftIndex(5), RaftIndex(6)));
    assert_eq!(ask(&store.snapshot(), &Query::Services(NodeSelector::default())).index, RaftIndex(5));
}

#[test]
fn a_node_can_be_waited_for_by_its_id_in_any_case() {
    let store = Store::new();
    let id = "0b0e0000-0000-4000-8000-00000000000a";
    let query = Query::NodeServices { node: id.to_uppercase().as_str().into(), filter: Default::default() };
    let before = ask(&store.snapshot(), &query);
    let waiting = store.watchers().register(before.watches);
    let command = Command::Register(Box::new(Registration {
        id: id.into(),
        node: "n".into(),
        address: "10.0.0.1".to_owned(),
        ..Registration::default()
    }));
    store.apply([(RaftIndex(4), command)]).unwrap();
    assert!(is_woken(&waiting));
    let after = ask(&store.snapshot(), &query);
    assert!(matches!(after.answer, Answer::NodeServices(Some(_))));
    assert_eq!(after.index, RaftIndex(4));
}

#[test]
fn an_ipv6_address_is_found_however_it_is_written() {
    let store = Store::new();
    let at = |address: &str| {
        Command::Register(Box::new(Registration {
            node: "n".into(),
            address: address.to_owned(),
            service: Some(Arc::new(Service {
                id: "web".into(),
                name: "web".into(),
                address: address.to_owned(),
                ..Service::default()
            })),
            ..Registration::default()
        }))
    };
    let counts = |address: &str| {
        let address = address.parse().unwrap();
        let nodes = ask(&store.snapshot(), &Query::NodesAt { address }).answer;
        let instances = ask(&store.snapshot(), &Query::InstancesAt { address }).answer;
        match (nodes, instances) {
            (Answer::Nodes(nodes), Answer::Instances(instances)) => (nodes.len(), instances.len()),
            other => panic!("{other:?}"),
        }
    };
    store.apply([(RaftIndex(2), at("2001:DB8:0::6"))]).unwrap();
    assert_eq!(counts("2001:db8::6"), (1, 1));
    assert_eq!(counts("2001:db8::7"), (0, 0));
    store.apply([(RaftIndex(3), at("10.0.0.1"))]).unwrap();
    assert_eq!((counts("10.0.0.1"), counts("2001:db8::6")), ((1, 1), (0, 0)));
}

#[test]
fn a_restore_wakes_who_waits_even_if_indexes_went_back() {
    let store = Store::new();
    store.apply([(RaftIndex(1), register("n", "web", Status::Passing))]).unwrap();
    let early = store.snapshot().encode();
    store.apply([(RaftIndex(9), register("n", "web", Status::Critical))]).unwrap();
    let query = Query::Health(ServiceSelector { service: "web".into(), ..ServiceSelector::default() });
    let before = ask(&store.snapshot(), &query);
    let (waiting, restores) = (store.watchers().register(before.watches), store.restores());
    store.restore(&early).unwrap();
    assert!(is_woken(&waiting));
    assert!(ask(&store.snapshot(), &query).index < before.index);
    assert_ne!(store.restores(), restores);
}
