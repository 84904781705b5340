//! Sessions, locks and transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_model::SessionId;
use lictor_model::command::LockDelay;
use lictor_model::session::{Behavior, Session};
use lictor_model::txn::{KvOperation, KvVerb, NodeOperation, Operation, Row, RowVerb};

use super::*;

pub(super) fn session_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => ("[pq]", "[nm]", prop::bool::ANY, prop::option::of("[cd]"), 0u64..2).prop_map(
            |(id, node, deletes, check, delay)| {
                Command::CreateSession(Box::new(Session {
                    id: id.into(),
                    node: node.into(),
                    behavior: if deletes { Behavior::Delete } else { Behavior::Release },
                    node_checks: check.into_iter().map(Into::into).collect(),
                    lock_delay: Duration::from_secs(delay),
                    ..Session::default()
                }))
            }
        ),
        1 => "[pq]".prop_map(|id| Command::EndSessions(vec![id.into()])),
        1 => (key(), 2u64..40).prop_map(|(key, since)| {
            Command::EndLockDelays(vec![LockDelay { key, since: RaftIndex(since) }])
        }),
    ]
}

pub(super) fn lock_change() -> impl Strategy<Value = KvChange> {
    (key(), "[xy]?", "[pq]", prop::bool::ANY).prop_map(|(key, value, session, locks)| {
        let (value, session) = (Bytes::from(value), SessionId::from(session));
        if locks {
            KvChange::Lock { key, value, flags: 0, session }
        } else {
            KvChange::Unlock { key, value, flags: 0, session }
        }
    })
}

fn node() -> Command {
    Command::Register(Box::new(Registration {
        node: "n".into(),
        address: "10.0.0.1".to_owned(),
        checks: vec![Arc::new(check(Status::Passing))],
        ..Registration::default()
    }))
}

fn check(status: Status) -> Check {
    Check { node: "n".into(), id: "alive".into(), status, ..Check::default() }
}

fn session(id: &str) -> Session {
    Session {
        id: id.into(),
        node: "n".into(),
        node_checks: vec!["alive".into()],
        lock_delay: Duration::from_secs(15),
        ..Session::default()
    }
}

/// A store with a node and the sessions p and q, at index 4.
fn with_sessions() -> Store {
    let store = Store::new();
    let create = |id| Command::CreateSession(Box::new(session(id)));
    store.apply([(RaftIndex(2), node()), (RaftIndex(3), create("p")), (RaftIndex(4), create("q"))]).unwrap();
    store
}

fn lock(store: &Store, index: u64, session: &str) -> Outcome {
    let change = KvChange::Lock { key: "k".into(), value: "v".into(), flags: 0, session: session.into() };
    apply_one(store, index, Command::Kv(change))
}

fn apply_one(store: &Store, index: u64, command: Command) -> Outcome {
    store.apply([(RaftIndex(index), command)]).unwrap().remove(0)
}

fn holder(store: &Store) -> String {
    let Answer::Entry(entry) = ask(&store.snapshot(), &Query::KvGet { key: "k".into() }).answer else {
        unreachable!("one entry was asked for")
    };
    entry.map(|entry| entry.session.as_str().to_owned()).unwrap_or_default()
}

proptest! {
    /// Every lock is held by a living session, every living session is on a node that exists, and
    /// what is derived from the tables is what a restored snapshot derives.
    #[test]
    fn no_lock_outlives_its_session(commands in prop::collection::vec(command(), 1..80)) {
        let store = Store::new();
        for (command, index) in commands.into_iter().zip(2..) {
            store.apply([(RaftIndex(index), command)]).unwrap();
            let state = store.snapshot();
            let held: BTreeSet<(SessionId, Key)> = state
                .kv
                .values()
                .filter(|entry| !entry.session.is_empty())
                .map(|entry| (entry.session.clone(), entry.key.clone()))
                .collect();
            prop_assert!(held.iter().all(|(session, _)| state.session(session).is_some()));
            prop_assert_eq!(held, state.locks.iter().cloned().collect::<BTreeSet<_>>());
            prop_assert!(state.sessions.values().all(|session| state.node(session.node.as_str()).is_some()));
            for session in state.sessions.values() {
                let node = lictor_model::ids::fold(session.node.as_str());
                let depends_on_living = session.check_ids().all(|id| {
                    state.checks.get(&(Arc::clone(&node), id.clone()))
                        .is_some_and(|check| check.status != Status::Critical)
                });
                prop_assert!(depends_on_living);
            }
        }
        let state = store.snapshot();
        let restored = Snapshot::decode(&state.encode()).unwrap();
        prop_assert_eq!(&restored.locks, &state.locks);
        prop_assert_eq!(&restored.sessions_by_check, &state.sessions_by_check);
        prop_assert_eq!(&restored.sessions_by_node, &state.sessions_by_node);
        prop_assert_eq!(&restored.lock_delays, &state.lock_delays);
    }

    /// A transaction does what its operations do one by one, or nothing.
    #[test]
    fn a_transaction_is_all_or_nothing(
        before in prop::collection::vec((key(), "[xy]"), 0..6),
        operations in prop::collection::vec((0usize..4, key(), "[xy]"), 1..6),
    ) {
        let store = Store::new();
        let mut model: BTreeMap<String, String> = BTreeMap::new();
        let set = |key: Key, value: String| KvChange::Set { key, value: value.into(), flags: 0, cas: None };
        for (key, value) in before {
            model.insert(key.as_str().to_owned(), value.clone());
            apply_one(&store, 2, Command::Kv(set(key, value)));
        }
        let mut after = model.clone();
        let mut holds = true;
        for (verb, key, value) in &operations {
            match verb {
                0 => drop(after.insert(key.as_str().to_owned(), value.clone())),
                1 => drop(after.remove(key.as_str())),
                2 => holds &= after.contains_key(key.as_str()),
                _ => holds &= !after.contains_key(key.as_str()),
            }
        }
        let verbs = [KvVerb::Set, KvVerb::Delete, KvVerb::Get, KvVerb::CheckNotExists];
        let operations = operations
            .into_iter()
            .map(|(verb, key, value)| {
                let verb = verbs[verb].clone();
                Operation::Kv(KvOperation { verb, key, value: value.into(), ..KvOperation::default() })
            })
            .collect();
        let outcome = apply_one(&store, 3, Command::Transaction(operations));
        let Outcome::Transaction(reply) = outcome else { unreachable!("a transaction was applied") };
        prop_assert_eq!(reply.errors.is_empty(), holds);
        let found: BTreeMap<String, String> = store
            .snapshot()
            .kv
            .values()
            .map(|entry| (entry.key.to_string(), String::from_utf8(entry.value.to_vec()).unwrap()))
            .collect();
        prop_assert_eq!(found, if holds { after } else { model });
    }
}

#[test]
fn a_lock_has_one_holder_and_a_delay_after_it_is_lost() {
    let store = with_sessions();
    assert_eq!(lock(&store, 5, "p"), Outcome::Applied(true));
    assert_eq!(lock(&store, 6, "q"), Outcome::Applied(false));
    apply_one(&store, 7, Command::EndSessions(vec!["p".into()]));
    assert_eq!(holder(&store), "");
    assert_eq!(lock(&store, 8, "q"), Outcome::Applied(false), "nobody may lock it yet");
    let end = |since| Command::EndLockDelays(vec![LockDelay { key: "k".into(), since: RaftIndex(since) }]);
    apply_one(&store, 9, end(3));
    assert_eq!(lock(&store, 10, "q"), Outcome::Applied(false), "that was another delay");
    apply_one(&store, 11, end(7));
    assert_eq!(lock(&store, 12, "q"), Outcome::Applied(true));
}

#[test]
fn a_session_ends_with_its_check_and_with_its_node() {
    let ends_all: [Command; 3] = [
        Command::Register(Box::new(Registration {
            node: "N".into(),
            skip_node_update: true,
            checks: vec![Arc::new(check(Status::Critical))],
            ..Registration::default()
        })),
        Command::Deregister(Deregistration {
            node: "n".into(),
            check_id: "alive".into(),
            ..Deregistration::default()
        }),
        Command::Deregister(Deregistration { node: "n".into(), ..Deregistration::default() }),
    ];
    for command in ends_all {
        let store = with_sessions();
        lock(&store, 5, "p");
        let waiting = store.watchers().register(ask(&store.snapshot(), &Query::Sessions).watches);
        apply_one(&store, 6, command.clone());
        assert_eq!(ask(&store.snapshot(), &Query::Sessions).answer, Answer::Sessions(vec![]), "{command:?}");
        assert!(is_woken(&waiting));
        assert_eq!(holder(&store), "");
    }
}

#[test]
fn a_transaction_tells_all_errors_and_wakes_nobody() {
    let store = with_sessions();
    let query = Query::KvGet { key: "a".into() };
    let waiting = store.watchers().register(ask(&store.snapshot(), &query).watches);
    let kv = |verb, key: &str| Operation::Kv(KvOperation { verb, key: key.into(), ..KvOperation::default() });
    let operations = vec![kv(KvVerb::Set, "a"), kv(KvVerb::Get, "b"), kv(KvVerb::CheckNotExists, "a")];
    let Outcome::Transaction(reply) = apply_one(&store, 9, Command::Transaction(operations)) else {
        unreachable!("a transaction was applied")
    };
    let errors: Vec<(usize, &str)> =
        reply.errors.iter().map(|error| (error.op_index, error.what.as_str())).collect();
    assert_eq!(errors, [(1, "key \"b\" doesn't exist"), (2, "key \"a\" exists")]);
    assert!(!is_woken(&waiting));
    assert_eq!(store.snapshot().index(), RaftIndex(9));
}

#[test]
fn a_node_is_set_only_on_its_condition() {
    let store = with_sessions();
    let cas = |index| {
        let node = lictor_model::node::Node {
            name: "n".into(),
            address: "10.0.0.2".to_owned(),
            modify_index: RaftIndex(index),
            ..Default::default()
        };
        Command::Transaction(vec![Operation::Node(NodeOperation { verb: RowVerb::Cas, node })])
    };
    let Outcome::Transaction(refused) = apply_one(&store, 5, cas(0)) else { unreachable!() };
    assert_eq!(refused.errors[0].what, "failed to set node \"n\", index is stale");
    let Outcome::Transaction(done) = apply_one(&store, 6, cas(2)) else { unreachable!() };
    assert!(matches!(&done.rows[..], [Row::Node(node)] if node.address == "10.0.0.2"));
}
