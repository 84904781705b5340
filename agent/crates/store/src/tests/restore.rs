//! Replacing everything by a saved state, as commands.

use std::io::Read;

use bytes::Bytes;
use lictor_model::command::{Command, KvChange, Outcome, Restore};
use lictor_model::query::{CheckState, NodeSelector, Query};
use lictor_model::{Key, RaftIndex};
use uuid::Uuid;

use super::ask;
use crate::{MAX_STATE, RestoreError, Snapshot, Store, Watch, gather_saved};

fn set(key: &str, value: &str) -> Command {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Command::Kv(KvChange::Set { key: key.into(), value, flags: 0, cas: None })
}

fn saved(state: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode_saved(&mut bytes).unwrap();
    bytes
}

/// The commands that put a saved state in place, in pieces of a few bytes.
fn steps(id: u128, state: &[u8]) -> Vec<Command> {
    let id = Uuid::from_u128(id);
    let mut steps = vec![Restore::Begin { id }];
    let mut offset = 0;
    for piece in state.chunks(7) {
        steps.push(Restore::Piece { id, offset, data: Bytes::copy_from_slice(piece) });
        offset += piece.len() as u64;
    }
    steps.push(Restore::Commit { id, size: offset });
    steps.into_iter().map(Command::Restore).collect()
}

fn apply(store: &Store, from: u64, commands: Vec<Command>) -> Vec<Outcome> {
    store.apply(commands.into_iter().zip(from..).map(|(command, index)| (RaftIndex(index), command))).unwrap()
}

fn entry(store: &Store, key: &str) -> Option<(String, RaftIndex)> {
    let snapshot = store.snapshot();
    let entry = snapshot.kv.get(&Key::from(key))?;
    Some((String::from_utf8(entry.value.to_vec()).unwrap(), entry.modify_index))
}

#[test]
fn a_saved_state_comes_back_whole_and_at_once() {
    let store = Store::new();
    apply(&store, 2, vec![set("kept", "before")]);
    let state = saved(&store.snapshot());
    apply(&store, 3, vec![set("kept", "after"), set("new", "x")]);
    let restores = store.restores();
    let mut steps = steps(1, &state);
    let commit = steps.pop().unwrap();
    let gathered = steps.len() as u64;
    assert!(apply(&store, 5, steps).iter().all(|outcome| *outcome == Outcome::Done));
    assert!(store.snapshot().is_being_replaced());
    assert_eq!(entry(&store, "kept").unwrap().0, "after", "pieces change nothing that can be read");
    assert_eq!(store.restores(), restores);
    assert_eq!(apply(&store, 5 + gathered, vec![commit]), [Outcome::Done]);
    assert_eq!(entry(&store, "kept"), Some(("before".to_owned(), RaftIndex(2))));
    assert_eq!(entry(&store, "new"), None);
    assert!(!store.snapshot().is_being_replaced());
    assert_eq!(store.restores(), restores + 1);
    assert_eq!(store.snapshot().index(), RaftIndex(5 + gathered), "an older state does not set indexes back");
}

#[tokio::test]
async fn everyone_who_waits_is_woken() {
    let store = Store::new();
    let state = saved(&store.snapshot());
    let waiting = store.watchers().register(Watch::Node("n".into()).into());
    apply(&store, 2, steps(1, &state));
    waiting.changed().await;
}

#[test]
fn what_is_written_after_the_state_of_a_longer_log_is_newer_than_all_of_it() {
    let old = Store::new();
    apply(&old, 1000, vec![set("a", "1")]);
    let store = Store::new();
    let steps = steps(1, &saved(&old.snapshot()));
    let next = 2 + steps.len() as u64;
    apply(&store, 2, steps);
    assert_eq!(store.snapshot().index(), RaftIndex(1001));
    apply(&store, next, vec![set("a", "2")]);
    assert_eq!(entry(&store, "a"), Some(("2".to_owned(), RaftIndex(1002))));

    // Also for a server that gets all this as a snapshot of Raft's.
    let follower = Store::new();
    follower.restore(&store.snapshot().encode()).unwrap();
    for store in [&store, &follower] {
        apply(store, next + 1, vec![set("a", "3")]);
        assert_eq!(entry(store, "a"), Some(("3".to_owned(), RaftIndex(1003))));
    }
}

#[test]
fn who_has_seen_something_newer_than_what_was_restored_does_not_wait_for_it() {
    let store = Store::new();
    apply(&store, 2, vec![set("a", "1"), set("b", "1")]);
    let state = saved(&store.snapshot());
    apply(&store, 50, vec![set("a", "2")]);
    let queries = [
        Query::KvGet { key: "a".into() },
        Query::KvGet { key: "absent".into() },
        Query::KvList { prefix: "".into() },
        Query::ChecksInState { state: CheckState::Any, selector: NodeSelector::default() },
    ];
    let indexes = || {
        let snapshot = store.snapshot();
        queries.each_ref().map(|query| ask(&snapshot, query).index)
    };
    apply(&store, 60, steps(1, &state));
    let restored = indexes();
    assert!(restored.iter().all(|index| *index > RaftIndex(60)), "{restored:?}");
    apply(&store, 1000, vec![set("b", "2")]);
    let after = indexes();
    assert_eq!(after[0], restored[0], "what is written beside it moves nothing");
    assert_eq!(after[2], RaftIndex(1000));
}

#[test]
fn a_server_that_joins_in_between_comes_to_the_same() {
    let store = Store::new();
    apply(&store, 2, vec![set("a", "1")]);
    let mut steps = steps(1, &saved(&store.snapshot()));
    apply(&store, 3, vec![set("a", "2")]);
    let rest = steps.split_off(steps.len() / 2);
    apply(&store, 4, steps);
    let joined = Store::new();
    joined.restore(&store.snapshot().encode()).unwrap();
    for store in [&store, &joined] {
        apply(store, 100, rest.clone());
        assert_eq!(entry(store, "a").unwrap().0, "1");
    }
    assert_eq!(store.snapshot().encode(), joined.snapshot().encode());
}

#[test]
fn what_is_saved_does_not_hold_what_is_about_to_replace_it() {
    let store = Store::new();
    apply(&store, 2, vec![set("a", "1")]);
    let mut steps = steps(1, &saved(&store.snapshot()));
    steps.pop();
    apply(&store, 3, steps);
    let again = Store::new();
    again.restore(&saved(&store.snapshot())).unwrap();
    assert!(!again.snapshot().is_being_replaced());
}

#[test]
fn nothing_is_put_in_place_that_is_not_whole() {
    let store = Store::new();
    apply(&store, 2, vec![set("a", "1")]);
    let state = saved(&store.snapshot());
    let refused = |commands: Vec<Command>| {
        let last = apply(&store, 3, commands).pop().unwrap();
        assert!(matches!(last, Outcome::Refused(_)), "{last:?}");
        assert_eq!(entry(&store, "a").unwrap().0, "1");
        assert!(!store.snapshot().is_being_replaced());
    };
    let mut missing = steps(1, &state);
    missing.remove(3);
    refused(missing);
    let mut moved = steps(1, &state);
    moved.swap(2, 3);
    refused(moved);
}

#[test]
fn a_state_is_gathered_in_pieces_and_no_further_than_it_is_one() {
    let store = Store::new();
    apply(&store, 2, vec![set("a", "1")]);
    let state = saved(&store.snapshot());
    let pieces = gather_saved(state.as_slice(), 7).unwrap();
    assert_eq!(pieces.concat(), state);
    assert!(pieces.iter().all(|piece| piece.len() <= 7));
    assert!(gather_saved(&[][..], 7).is_err());
    let endless = b"\x09".chain(std::io::repeat(0));
    assert!(matches!(gather_saved(endless, 7), Err(RestoreError::Version { found: 9 })));

    let far = Snapshot { index: RaftIndex(u64::MAX - 1), ..Snapshot::default() };
    assert!(matches!(gather_saved(saved(&far).as_slice(), 7), Err(RestoreError::Index { .. })));
}

#[test]
fn what_gathers_fits_beside_the_state_into_a_snapshot() {
    let state = Store::new().snapshot();
    assert!(state.has_room_for(MAX_STATE / 2));
    assert!(!state.has_room_for(MAX_STATE));
    assert!(!state.has_room_for(u64::MAX));
}

#[test]
fn a_server_that_cannot_read_what_the_leader_could_goes_no_further() {
    let store = Store::new();
    apply(&store, 2, vec![set("a", "1")]);
    let state = saved(&store.snapshot());
    let torn = &state[..state.len() - 3];
    for unreadable in [torn, b"\x01 no state", &[state.as_slice(), b"more"].concat(), b"\x09"] {
        assert!(gather_saved(unreadable, 7).is_err(), "no leader proposes it");
        let mut commands = vec![set("a", "2")];
        commands.extend(steps(1, unreadable));
        assert!(store.apply(commands.into_iter().zip(3..).map(|(c, i)| (RaftIndex(i), c))).is_err());
        assert_eq!(entry(&store, "a").unwrap().0, "1", "nothing of the batch is published");
    }
}

#[test]
fn of_two_restorations_the_later_one_counts() {
    let store = Store::new();
    apply(&store, 2, vec![set("a", "1")]);
    let state = saved(&store.snapshot());
    apply(&store, 3, vec![set("a", "2")]);
    let mut first = steps(1, &state);
    let mut second = steps(2, &state);
    let late = first.split_off(2);
    let rest = second.split_off(2);
    apply(&store, 4, [first, second].concat());
    assert!(matches!(apply(&store, 10, late).pop(), Some(Outcome::Refused(_))));
    assert_eq!(apply(&store, 100, rest).pop(), Some(Outcome::Done));
    assert_eq!(entry(&store, "a").unwrap().0, "1");
    apply(&store, 200, vec![steps(3, &state).remove(0), Command::Restore(Restore::Abandon)]);
    assert!(!store.snapshot().is_being_replaced());
}
