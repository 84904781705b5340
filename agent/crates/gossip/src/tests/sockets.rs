//! Pools on real sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lictor_model::local::{Member, MemberStatus};
use lictor_sys::clock::SystemClock;

use crate::{Gossip, JoinError, MemberEvent, Options};

const DEADLINE: Duration = Duration::from_secs(20);

fn start(name: &str) -> Gossip {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut options = Options::new(name, format!("id-of-{name}"), loopback);
    options.tags = [("role".to_owned(), "consul".to_owned())].into();
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
async fn agents_join_and_leave_over_udp() {
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
    assert_eq!(one.join(vec![two.local_addr()]).await, Err(JoinError::Stopped));
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
    options.tags = [("role".to_owned(), "x".repeat(2000))].into();
    let error = Gossip::start(options, loopback, Arc::new(SystemClock::default())).err().unwrap();
    assert!(error.to_string().contains("shorter tags"), "{error}");
    let one = start("one");
    assert!(one.set_tags([("role".to_owned(), "x".repeat(2000))].into()).await.is_err());
    one.shutdown().await;
}
