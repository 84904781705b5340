use hickory_server::proto::op::{Message, ResponseCode};
use hickory_server::proto::rr::RecordType;
use lictor_sys::clock::SystemClock;

use super::*;
use crate::fixture::{OneNode, question};
use crate::{Settings, Sockets};

/// A running server, told to stop when it is dropped.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start() -> Running {
    let sockets = Sockets::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
    let address = sockets.tcp.local_addr().unwrap();
    let stop = CancellationToken::new();
    let backend = Arc::new(OneNode { last_contact: Duration::ZERO });
    let clock = Arc::new(SystemClock::default());
    let (_, settings) = watch::channel(Settings::default());
    let task = tokio::spawn(crate::serve(sockets, settings, backend, clock, stop.clone()));
    Running { address, stop, task }
}

fn packet(name: &str) -> Vec<u8> {
    question(name, RecordType::A).to_vec().unwrap()
}

async fn read(stream: &mut TcpStream) -> Message {
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

fn framed(packet: &[u8]) -> Vec<u8> {
    [&u16::try_from(packet.len()).unwrap().to_be_bytes(), packet].concat()
}

#[tokio::test]
async fn who_waits_keeps_nobody_from_being_answered() {
    let running = start();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(running.address).await.unwrap();
    // More than may wait, so that the last ones are dropped.
    for _ in 0..MAX_WAITING + 10 {
        client.send(&packet("slow.service.consul.")).await.unwrap();
        tokio::task::yield_now().await;
    }
    let fast = packet("web.service.consul.");
    let mut answer = vec![0; 512];
    // A packet may get lost, and resolvers ask again.
    let length = loop {
        client.send(&fast).await.unwrap();
        let received = tokio::time::timeout(Duration::from_secs(1), client.recv(&mut answer));
        if let Ok(length) = received.await {
            break length.unwrap();
        }
    };
    let answer = Message::from_vec(&answer[..length]).unwrap();
    assert_eq!((answer.metadata.id.to_be_bytes(), answer.answers.len()), ([fast[0], fast[1]], 1));
    running.stop.cancel();
    running.task.await.unwrap();
}

#[tokio::test]
async fn questions_of_one_connection_are_answered_in_turn_until_one_is_none() {
    let running = start();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let (first, second) = (packet("web.service.consul."), packet("nosuch.service.consul."));
    let answer = [first[0], first[1], 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let all = [framed(&first), framed(&second), framed(&answer), framed(&first)].concat();
    stream.write_all(&all).await.unwrap();
    assert_eq!(read(&mut stream).await.answers.len(), 1);
    assert_eq!(read(&mut stream).await.metadata.response_code, ResponseCode::NXDomain);
    // An end, or a reset because of what was not read.
    assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    running.stop.cancel();
    running.task.await.unwrap();
}
