use lictor_model::RaftIndex;
use lictor_store::Store;
use proptest::prelude::*;

use super::*;

pub(crate) fn member(name: &str, status: MemberStatus, role: &str) -> Member {
    let tags = [("role", role), ("id", ""), ("port", "8300")];
    Member {
        name: name.to_owned(),
        addr: "127.0.0.1".to_owned(),
        port: 8301,
        tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        status,
        protocol_min: 1,
        protocol_max: 5,
        protocol_cur: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate_cur: 4,
    }
}

fn carry_out(store: &Store, members: &[Member], index: &mut u64) -> usize {
    carry_out_at(store, members, index, &mut Absences::default(), 0)
}

fn carry_out_at(
    store: &Store,
    members: &[Member],
    index: &mut u64,
    absences: &mut Absences,
    seconds: u64,
) -> usize {
    let now = Moment::from_origin(Duration::from_secs(seconds));
    let commands = plan(members, &store.snapshot(), absences, now);
    let count = commands.len();
    for mut command in commands {
        *index += 1;
        let authorizer = lictor_acl::Authorizer::agent();
        crate::prepare::prepare(&mut command, &authorizer, &crate::prepare::tests::settings()).unwrap();
        store.apply([(RaftIndex(*index), command)]).unwrap();
    }
    count
}

fn status_of(store: &Store, node: &str) -> Option<Status> {
    let snapshot = store.snapshot();
    snapshot.checks_of(&fold(node)).find(|check| check.id.as_str() == SERF_HEALTH).map(|check| check.status)
}

#[test]
fn members_come_fail_and_go() {
    let (store, mut index) = (Store::new(), 1);
    let mut members =
        vec![member("s1", MemberStatus::Alive, "consul"), member("c1", MemberStatus::Alive, "node")];
    assert_eq!(carry_out(&store, &members, &mut index), 2);
    assert_eq!(status_of(&store, "s1"), Some(Status::Passing));
    let snapshot = store.snapshot();
    let services: Vec<_> = snapshot.services_of(&fold("s1")).map(|service| service.port).collect();
    assert_eq!(services, [8300]);
    assert_eq!(snapshot.services_of(&fold("c1")).count(), 0);
    members[1].status = MemberStatus::Failed;
    assert_eq!(carry_out(&store, &members, &mut index), 1);
    assert_eq!(status_of(&store, "c1"), Some(Status::Critical));
    members[1].status = MemberStatus::Left;
    assert_eq!(carry_out(&store, &members, &mut index), 1);
    assert!(store.snapshot().node("c1").is_none());
}

#[test]
fn a_member_takes_its_name_from_a_node_that_is_nobody_any_more() {
    let (store, mut index) = (Store::new(), 1);
    let with_id = |name: &str, id: &str| {
        let mut member = member(name, MemberStatus::Alive, "node");
        member.tags.insert("id".to_owned(), id.to_owned());
        member
    };
    let (old, new) = ("0e2a4c55-0000-4000-8000-000000000001", "0e2a4c55-0000-4000-8000-000000000002");
    carry_out(&store, &[with_id("n1", old)], &mut index);
    let members = [with_id("n1", new)];
    assert_eq!(carry_out(&store, &members, &mut index), 2);
    assert_eq!(store.snapshot().node("n1").unwrap().id.as_str(), new);
    assert_eq!(status_of(&store, "n1"), Some(Status::Passing));
    // Whoever still is somebody keeps the name until it is given up.
    let renamed = [with_id("n1", old), with_id("n2", new)];
    assert_eq!(plan(&renamed, &store.snapshot(), &mut Absences::default(), Moment::default()).len(), 2);
}

#[test]
fn what_the_agent_registered_of_its_node_stays() {
    let (store, mut index) = (Store::new(), 1);
    let members = [member("c1", MemberStatus::Alive, "node")];
    carry_out(&store, &members, &mut index);
    let rich = Registration {
        node: "c1".into(),
        address: "127.0.0.1".to_owned(),
        node_meta: BTreeMap::from([("rack".to_owned(), "9".to_owned())]),
        ..Registration::default()
    };
    store.apply([(RaftIndex(100), Command::Register(Box::new(rich)))]).unwrap();
    let moved = Member { addr: "127.0.0.2".to_owned(), ..members[0].clone() };
    index = 100;
    assert_eq!(carry_out(&store, &[moved], &mut index), 1);
    let node = store.snapshot().node("c1").cloned().unwrap();
    assert_eq!(node.address, "127.0.0.2");
    assert_eq!(node.meta.get("rack").map(String::as_str), Some("9"));
}

#[test]
fn an_agent_that_registers_its_node_meanwhile_is_not_overwritten() {
    let store = Store::new();
    let members = [member("c1", MemberStatus::Alive, "node")];
    let planned = plan(&members, &store.snapshot(), &mut Absences::default(), Moment::default());
    let rich = Registration {
        node: "c1".into(),
        address: "127.0.0.1".to_owned(),
        node_meta: BTreeMap::from([("rack".to_owned(), "9".to_owned())]),
        ..Registration::default()
    };
    store.apply([(RaftIndex(2), Command::Register(Box::new(rich)))]).unwrap();
    store.apply(planned.into_iter().map(|command| (RaftIndex(3), command))).unwrap();
    let node = store.snapshot().node("c1").cloned().unwrap();
    assert_eq!(node.meta.get("rack").map(String::as_str), Some("9"));
    assert_eq!(status_of(&store, "c1"), Some(Status::Passing));
}

#[test]
fn a_member_that_moves_meanwhile_keeps_what_its_agent_registers() {
    let (store, mut index) = (Store::new(), 1);
    let members = [member("c1", MemberStatus::Alive, "node")];
    carry_out(&store, &members, &mut index);
    let moved = [Member { addr: "127.0.0.2".to_owned(), ..members[0].clone() }];
    let planned = plan(&moved, &store.snapshot(), &mut Absences::default(), Moment::default());
    let rich = Registration {
        node: "c1".into(),
        address: "127.0.0.2".to_owned(),
        node_meta: BTreeMap::from([("rack".to_owned(), "9".to_owned())]),
        ..Registration::default()
    };
    store.apply([(RaftIndex(100), Command::Register(Box::new(rich)))]).unwrap();
    store.apply(planned.into_iter().map(|command| (RaftIndex(101), command))).unwrap();
    let node = store.snapshot().node("c1").cloned().unwrap();
    assert_eq!(node.meta.get("rack").map(String::as_str), Some("9"));
}

#[test]
fn former_members_get_time_to_come_back_and_nodes_that_never_were_members_stay() {
    let (store, mut index) = (Store::new(), 1);
    let members = [member("c1", MemberStatus::Alive, "node")];
    carry_out(&store, &members, &mut index);
    let external =
        Registration { node: "external".into(), address: "10.0.0.9".to_owned(), ..Registration::default() };
    index += 1;
    store.apply([(RaftIndex(index), Command::Register(Box::new(external)))]).unwrap();
    let mut absences = Absences::default();
    assert_eq!(carry_out_at(&store, &[], &mut index, &mut absences, 100), 0);
    assert_eq!(carry_out_at(&store, &[], &mut index, &mut absences, 129), 0);
    assert_eq!(carry_out_at(&store, &[], &mut index, &mut absences, 130), 1);
    assert_eq!(status_of(&store, "c1"), Some(Status::Critical));
    assert_eq!(carry_out_at(&store, &members, &mut index, &mut absences, 140), 1);
    assert_eq!(status_of(&store, "c1"), Some(Status::Passing), "it came back");
    assert_eq!(carry_out_at(&store, &[], &mut index, &mut absences, 200), 0, "counted from anew");
    assert_eq!(carry_out_at(&store, &[], &mut index, &mut absences, 240), 1);
    assert_eq!(carry_out_at(&store, &[], &mut index, &mut absences, 799), 0);
    assert_eq!(carry_out_at(&store, &[], &mut index, &mut absences, 800), 1);
    assert!(store.snapshot().node("c1").is_none());
    assert!(store.snapshot().node("external").is_some());
}

proptest! {
    /// Whatever the pool looked like before, one round is enough, and a second one writes nothing.
    #[test]
    fn one_round_is_enough(pools in prop::collection::vec(prop::collection::vec((0u8..4, 0u8..4), 0..5), 1..6)) {
        let (store, mut index) = (Store::new(), 1);
        for pool in pools {
            let mut members: Vec<Member> = pool
                .into_iter()
                .map(|(name, status)| {
                    let status = MemberStatus::try_from(status + 1).unwrap();
                    member(&format!("n{name}"), status, if name == 0 { "consul" } else { "node" })
                })
                .collect();
            members.sort_by(|a, b| a.name.cmp(&b.name));
            members.dedup_by(|a, b| a.name == b.name);
            carry_out(&store, &members, &mut index);
            prop_assert_eq!(carry_out(&store, &members, &mut index), 0);
            for member in &members {
                if member.status == MemberStatus::Alive {
                    prop_assert_eq!(status_of(&store, &member.name), Some(Status::Passing));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_plan_goes_on_past_what_is_refused_and_ends_at_an_error() {
    let written = std::cell::RefCell::new(Vec::new());
    let write = |command: Command| {
        let Command::Deregister(Deregistration { node, .. }) = command else { unreachable!() };
        written.borrow_mut().push(node.to_string());
        std::future::ready(match node.as_str() {
            "refused" => Ok(Outcome::Refused(lictor_model::Error::failed("no"))),
            "lost" => Err(lictor_model::Error::no_leader()),
            _ => Ok(Outcome::Applied(true)),
        })
    };
    let plan = |nodes: [&str; 3]| nodes.map(|node| removal(node.into())).into_iter();
    assert!(write_all(plan(["a", "b", "c"]), write).await);
    assert!(!write_all(plan(["a", "refused", "c"]), write).await);
    assert!(!write_all(plan(["a", "lost", "c"]), write).await);
    assert_eq!(*written.borrow(), ["a", "b", "c", "a", "refused", "c", "a", "lost"]);
}
