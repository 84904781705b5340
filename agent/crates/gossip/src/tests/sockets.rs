//! Pools on real sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lictor_model::local::{Member, MemberStatus};
use lictor_sys::clock::SystemClock;

use crate::{Admission, Gossip, JoinError, KeyRequest, MemberEvent, Options, Stopped};

const DEADLINE: Duration = Duration::from_secs(20);

fn start(name: &str) -> Gossip {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut options = Options::new(name, format!("id-of-{name}"), loopback);
    options.tags = [("role".to_owned(), "consul".to_owned())].into();
    options.admission = Admission::Datacenter(String::new());
    Gossip::start(options, loopback, Arc::new(SystemClock::default())).unwrap()
}

async fn next(
    events: &mut tokio::sync::broadcast::Receiver<MemberEvent>,
    wanted: impl Fn(&MemberEvent) -> bool,
) -> Member {
    let waiting = async {
        loop {
            let event = events.recv().await.unwrap();
            if wanted(&event) {
                return event.member().clone();
            }
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("the event in time")
}

#[tokio::test]
async fn agents_join_and_leave_over_sockets() {
    let one = start("one");
    let two = start("two");
    let mut events = one.events();
    let me = next(&mut events, |event| matches!(event, MemberEvent::Join(_))).await;
    assert_eq!((me.name.as_str(), me.port), ("one", one.local_addr().port()));
    assert_eq!(two.join(vec![one.local_addr()]).await, Ok(1));
    assert_eq!(two.join(vec![one.local_addr(), two.local_addr()]).await, Ok(2), "again, and oneself");
    let other = next(&mut events, |event| matches!(event, MemberEvent::Join(_))).await;
    assert_eq!((other.name.as_str(), other.tags["role"].as_str()), ("two", "consul"));
    let tags = [("role".to_owned(), "node".to_owned())];
    two.set_tags(tags.into()).await.unwrap();
    let other = next(&mut events, |event| matches!(event, MemberEvent::Update(_))).await;
    assert_eq!(other.tags["role"], "node");
    two.leave().await;
    assert!(two.members().iter().any(|member| member.status == MemberStatus::Left));
    two.shutdown().await;
    next(&mut events, |event| matches!(event, MemberEvent::Leave(_))).await;
    assert_eq!(one.members().len(), 2);
    one.shutdown().await;
    assert_eq!(one.join(vec![two.local_addr()]).await, Err(JoinError::Stopped(Stopped)));
}

#[tokio::test]
async fn an_address_in_use_is_reported_with_the_address() {
    let one = start("one");
    let options = Options::new("two", "two", one.local_addr());
    let error = Gossip::start(options, one.local_addr(), Arc::new(SystemClock::default())).err().unwrap();
    assert!(error.to_string().contains(&one.local_addr().to_string()), "{error}");
    one.shutdown().await;
}

#[tokio::test]
async fn tags_that_are_too_long_are_refused() {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut options = Options::new("one", "one", loopback);
    options.tags = [("role".to_owned(), "x".repeat(70_000))].into();
    let error = Gossip::start(options, loopback, Arc::new(SystemClock::default())).err().unwrap();
    assert!(error.to_string().contains("shorter tags"), "{error}");
    let one = start("one");
    assert!(one.set_tags([("role".to_owned(), "x".repeat(70_000))].into()).await.is_err());
    one.shutdown().await;
}

#[tokio::test]
async fn where_nobody_listens_joining_fails_at_once_and_says_so() {
    let one = start("one");
    let gone = start("gone");
    let at = gone.local_addr();
    gone.shutdown().await;
    let error = one.join(vec![at]).await.unwrap_err().to_string();
    let expected =
        format!("1 error occurred:\n\t* Failed to join {at}: dial tcp {at}: connect: connection refused\n\n");
    assert_eq!(error, expected);
    one.shutdown().await;
}

#[tokio::test]
async fn keys_and_members_are_on_disk_for_the_next_start() {
    const KEYS: [&str; 2] = ["pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=", "cg8StVXbQJ0gPvMd9o7yrg=="];
    let directory = tempfile::tempdir().unwrap();
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let begin = |name: &str, keys: &[&str], at: SocketAddr| {
        let mut options = Options::new(name, format!("id-of-{name}"), at);
        options.keys = keys.iter().map(|&key| key.to_owned()).collect();
        options.keyring_file = Some(directory.path().join(format!("{name}/keyring")));
        options.members_file = Some(directory.path().join(format!("{name}/members")));
        Gossip::start(options, at, Arc::new(SystemClock::default())).unwrap()
    };
    let one = begin("one", &KEYS[..1], loopback);
    let two = begin("two", &KEYS[..1], loopback);
    two.join(vec![one.local_addr()]).await.unwrap();
    let report = two.keys(KeyRequest::Install(KEYS[1].to_owned())).await.unwrap();
    assert_eq!((report.nodes, report.errors.len()), (2, 0));
    let at = two.local_addr();
    two.shutdown().await;
    let kept = std::fs::read(directory.path().join("two/keyring")).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<String>>(&kept).unwrap(), KEYS);
    let two = begin("two", &KEYS[..1], at);
    let mut events = two.events();
    let found = next(&mut events, |event| event.member().name == "one").await;
    assert_eq!(found.port, one.local_addr().port());
    two.leave().await;
    two.shutdown().await;
    one.shutdown().await;
}
