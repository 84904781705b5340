//! Two ends of real connections on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use lictor_sys::net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{CallError, Handler, Lane, MAX_MESSAGE, Network, Transport, serve};

const LIMIT: Duration = Duration::from_secs(20);

/// Answers with what it was asked, and tells when it was made to stop before it had.
#[derive(Default)]
struct Echo {
    running: AtomicUsize,
    abandoned: Notify,
}

struct Running<'a>(&'a Echo, bool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        if !self.1 {
            self.0.abandoned.notify_one();
        }
    }
}

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, _from: SocketAddr, lane: Lane, request: Bytes) -> Bytes {
        self.running.fetch_add(1, Ordering::SeqCst);
        let mut running = Running(self, false);
        if request == "wait for ever" {
            std::future::pending::<()>().await;
        }
        assert_ne!(request, "panic");
        if request == "say too much" {
            return Bytes::from(vec![0; MAX_MESSAGE + 1]);
        }
        running.1 = true;
        if lane == Lane::Bulk { Bytes::from(vec![7; request.len()]) } else { request }
    }
}

struct World {
    at: SocketAddr,
    echo: Arc<Echo>,
    network: Arc<Network>,
    stop: CancellationToken,
    stop_peer: CancellationToken,
}

impl World {
    fn new() -> Self {
        let listener = net::listen_tcp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, stop_peer) = (CancellationToken::new(), CancellationToken::new());
        let echo = Arc::<Echo>::default();
        tokio::spawn(serve(listener, Arc::clone(&echo) as _, stop_peer.clone()));
        Self { at, echo, network: Network::new(Ipv4Addr::LOCALHOST.into(), stop.clone()), stop, stop_peer }
    }

    async fn call(&self, lane: Lane, request: impl Into<Bytes>, limit: Duration) -> Result<Bytes, CallError> {
        self.network.call(self.at, lane, request.into(), limit).await
    }
}

#[tokio::test]
async fn many_calls_at_once_each_get_their_own_answer() {
    let world = Arc::new(World::new());
    let calls = (0..2000_u32).map(|number| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let answer = world.call(Lane::Queries, number.to_string(), LIMIT).await;
            assert_eq!(answer.unwrap(), number.to_string());
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn lanes_are_told_apart_and_large_messages_pass_whole() {
    let world = World::new();
    let large = vec![1; 9 * 1024 * 1024];
    let answer = world.call(Lane::Bulk, large.clone(), LIMIT).await.unwrap();
    assert_eq!(answer, vec![7; large.len()]);
    assert_eq!(world.call(Lane::Consensus, large.clone(), LIMIT).await.unwrap(), large);
    let refused = world.call(Lane::Bulk, vec![0; MAX_MESSAGE + 1], LIMIT).await;
    assert!(matches!(refused, Err(CallError::TooLarge { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_call_nobody_waits_for_any_more_ends_at_the_peer() {
    let world = World::new();
    let late = world.call(Lane::Queries, "wait for ever", Duration::from_millis(50)).await;
    assert!(matches!(late, Err(CallError::TimedOut { .. })), "{late:?}");
    tokio::time::timeout(LIMIT, world.echo.abandoned.notified()).await.unwrap();
    assert_eq!(world.echo.running.load(Ordering::SeqCst), 0);
    assert_eq!(world.call(Lane::Queries, "still there", LIMIT).await.unwrap(), "still there");
}

#[tokio::test]
async fn calls_under_way_when_a_peer_goes_are_unknown_and_later_ones_unreachable() {
    let world = World::new();
    let waiting = world.call(Lane::Queries, "wait for ever", LIMIT);
    let (lost, ()) = tokio::join!(waiting, async {
        while world.echo.running.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        world.stop_peer.cancel();
    });
    assert!(matches!(lost, Err(CallError::Broken { .. })), "{lost:?}");
    let refused = loop {
        match world.call(Lane::Queries, "x", LIMIT).await {
            // The listener may close a moment later than its connections.
            Ok(_) | Err(CallError::Broken { .. }) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, CallError::Unreachable { .. }), "{refused:?}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_no_refusal() {
    let world = World::new();
    let answered = world.call(Lane::Queries, "say too much", LIMIT).await;
    assert_eq!(answered, Err(CallError::TooLarge { peer: world.at, size: MAX_MESSAGE + 1 }));
}

#[tokio::test]
async fn a_handler_that_panics_leaves_its_caller_without_an_answer_but_not_waiting() {
    let world = World::new();
    assert_eq!(world.call(Lane::Queries, "panic", LIMIT).await.unwrap(), "");
    assert_eq!(world.call(Lane::Queries, "still there", LIMIT).await.unwrap(), "still there");
}

#[tokio::test]
async fn a_call_under_way_when_this_agent_stops_may_have_happened() {
    let world = World::new();
    let (lost, ()) = tokio::join!(world.call(Lane::Queries, "wait for ever", LIMIT), async {
        while world.echo.running.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        world.stop.cancel();
    });
    assert!(matches!(lost, Err(CallError::Broken { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_peer_that_comes_back_is_reached_again() {
    let world = World::new();
    assert_eq!(world.call(Lane::Queries, "a", LIMIT).await.unwrap(), "a");
    world.stop_peer.cancel();
    let listener = loop {
        match net::listen_tcp(world.at) {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    tokio::spawn(serve(listener, Arc::<Echo>::default(), world.stop.clone()));
    let answer = loop {
        if let Ok(answer) = world.call(Lane::Queries, "b", LIMIT).await {
            break answer;
        }
    };
    assert_eq!(answer, "b");
    world.stop.cancel();
    tokio::time::timeout(LIMIT, world.network.shutdown()).await.unwrap();
}

#[tokio::test]
async fn another_version_and_strangers_are_refused_with_the_reason() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in [&b"lictor\xff"[..], b"HTTP/1."] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 8];
            stream.read_exact(&mut hello).await.unwrap();
            stream.write_all(answer).await.unwrap();
        }
    });
    let network = Network::new(Ipv4Addr::UNSPECIFIED.into(), CancellationToken::new());
    for reason in ["version 255", "something else than an agent"] {
        let refused = network.call(at, Lane::Queries, Bytes::from_static(b"x"), LIMIT).await.unwrap_err();
        assert!(matches!(refused, CallError::Unreachable { .. }), "{refused}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[tokio::test]
async fn garbage_closes_a_connection_and_nothing_else() {
    let world = World::new();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"lictor\x01\x01\xff\xff\xff\xff",
        b"lictor\x01\x01\0\0\0\x09\xee",
        b"lictor\x01\x77",
    ] {
        let mut stream = net::connect_tcp(world.at, LIMIT).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // Closed with or without a greeting, and possibly reset.
        let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap();
    }
    assert_eq!(world.call(Lane::Queries, "fine", LIMIT).await.unwrap(), "fine");
}
