//! Pools on real sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lictor_model::local::{Member, MemberStatus};
use lictor_sys::clock::SystemClock;
use lictor_sys::net;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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

#[tokio::test]
async fn keys_that_cannot_be_written_are_reported_and_tried_again() {
    const KEYS: [&str; 2] = ["pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=", "cg8StVXbQJ0gPvMd9o7yrg=="];
    let directory = tempfile::tempdir().unwrap();
    let (blocked, loopback) = (directory.path().join("serf"), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let keyring = blocked.join("keyring");
    let kept = || serde_json::from_slice::<Vec<String>>(&std::fs::read(&keyring).unwrap()).unwrap();
    let install = || KeyRequest::Install(KEYS[1].to_owned());
    for asks_again in [true, false] {
        std::fs::write(&blocked, "no directory").unwrap();
        let mut options = Options::new("one", "id-of-one", loopback);
        options.keys = vec![KEYS[0].to_owned()];
        options.keyring_file = Some(keyring.clone());
        let one = Gossip::start(options, loopback, Arc::new(SystemClock::default())).unwrap();
        let report = one.keys(install()).await.unwrap();
        assert!(report.errors["one"].contains("file cannot be written"), "{report:?}");
        std::fs::remove_file(&blocked).unwrap();
        if asks_again {
            assert!(one.keys(install()).await.unwrap().errors.is_empty());
            assert_eq!(kept(), KEYS);
        }
        one.shutdown().await;
        assert_eq!(kept(), KEYS);
        std::fs::remove_dir_all(&blocked).unwrap();
    }
}

#[tokio::test]
async fn who_waits_for_a_pool_that_is_left_is_told_that_it_has_stopped() {
    let one = start("one");
    let silent = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = silent.local_addr().unwrap();
    let join = one.join(vec![at]);
    let leave = async {
        let connection = silent.accept().await.unwrap();
        one.leave().await;
        connection
    };
    let both = async {
        let (joined, _connection) = tokio::join!(join, leave);
        joined
    };
    let soon = Duration::from_secs(5);
    let stopped = Err(JoinError::Stopped(Stopped));
    assert_eq!(tokio::time::timeout(soon, both).await.expect("an end of joining"), stopped);
    assert_eq!(tokio::time::timeout(soon, one.join(vec![at])).await.expect("an answer"), stopped);
    let keys = tokio::time::timeout(soon, one.keys(KeyRequest::List)).await.expect("an answer");
    assert_eq!(keys.err(), Some(Stopped));
    one.shutdown().await;
}

#[tokio::test]
async fn a_change_of_keys_that_leaving_overtakes_has_an_end() {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut options = Options::new("one", "id-of-one", loopback);
    options.keys = vec!["cg8StVXbQJ0gPvMd9o7yrg==".to_owned()];
    let one = Gossip::start(options, loopback, Arc::new(SystemClock::default())).unwrap();
    let install = KeyRequest::Install("pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=".to_owned());
    let both = async { tokio::join!(one.keys(install), one.leave()).0 };
    let outcome = tokio::time::timeout(Duration::from_secs(5), both).await.expect("an end");
    // The file may have been faster.
    assert!(outcome.is_err() || outcome.is_ok_and(|report| report.errors.is_empty()));
    one.shutdown().await;
}

/// Whether a connection is ended before long without an answer.
async fn is_hung_up(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut rest)).await;
    ended.is_ok() && rest.is_empty()
}

async fn connected(last: u8, to: SocketAddr) -> TcpStream {
    let from = IpAddr::from([127, 0, 0, last]);
    net::connect_tcp_from(from, to, DEADLINE).await.unwrap()
}

#[tokio::test]
async fn idle_connections_of_one_address_leave_places_for_others() {
    let one = start("one");
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(connected(2, one.local_addr()).await);
    }
    let two = start("two");
    let joined = tokio::time::timeout(Duration::from_secs(1), two.join(vec![one.local_addr()])).await;
    assert_eq!(joined.expect("a place at once"), Ok(1));
    assert!(is_hung_up(idle.pop().unwrap()).await, "one too many");
    for pool in [one, two] {
        pool.shutdown().await;
    }
}

#[tokio::test]
async fn nothing_is_read_from_where_nobody_may_be_and_no_more_than_a_pool_of_this_size_has_to_say() {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut options = Options::new("one", "id-of-one", loopback);
    options.allowed = vec!["127.0.0.1/32".parse().unwrap()];
    let one = Gossip::start(options, loopback, Arc::new(SystemClock::default())).unwrap();
    assert!(is_hung_up(connected(2, one.local_addr()).await).await, "not even a question");
    for (length, is_too_long) in [(2 << 20, true), (1 << 20, false)] {
        let mut stream = connected(1, one.local_addr()).await;
        stream.write_u32(length).await.unwrap();
        assert_eq!(is_hung_up(stream).await, is_too_long, "{length}");
    }
    one.shutdown().await;
}
