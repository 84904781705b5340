use hickory_server::proto::rr::RecordType;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::*;

/// What a recursor of a test does with a question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    Fails,
    /// Sends somebody else's answers first.
    IsForged,
    /// Answers over UDP only that there is more.
    Cuts,
}

/// Sockets of both kinds with the same port.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn recursor(manner: Manner, tasks: &mut JoinSet<()>) -> SocketAddr {
    let (udp, tcp) = sockets().await;
    let address = udp.local_addr().unwrap();
    tasks.spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
            let right = answer(&buffer[..length], manner, true);
            if manner == Manner::IsForged {
                let mut wrong_id = right.clone();
                wrong_id[0] ^= 1;
                let mut wrong_question = right.clone();
                wrong_question[14] ^= 1;
                for forged in [&wrong_id, &wrong_question, &buffer[..length].to_vec(), &vec![1]] {
                    udp.send_to(forged, client).await.unwrap();
                }
            }
            udp.send_to(&right, client).await.unwrap();
        }
    });
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut question).await.unwrap();
            let answer = answer(&question, manner, false);
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    address
}

fn answer(question: &[u8], manner: Manner, udp: bool) -> Vec<u8> {
    let question = Message::from_vec(question).unwrap();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.add_queries(question.queries.clone());
    if manner == Manner::Fails {
        answer.metadata.response_code = ResponseCode::ServFail;
    } else if manner == Manner::Cuts && udp {
        answer.metadata.truncation = true;
    } else {
        let name = question.queries[0].name().clone();
        answer.add_answer(crate::records::address(name, 300, [192, 0, 2, 1].into()));
    }
    answer.to_vec().unwrap()
}

fn recursors(addresses: Vec<SocketAddr>, order: RecursorOrder) -> Recursors {
    let timeout = Duration::from_secs(5);
    Recursors::new(&Settings {
        recursors: addresses,
        recursor_order: order,
        recursor_timeout: timeout,
        ..Settings::default()
    })
}

fn name() -> Name {
    Name::from_ascii("www.example.com.").unwrap()
}

fn question() -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 7;
    message.add_query(Query::query(name(), RecordType::A));
    message.to_vec().unwrap()
}

#[tokio::test]
async fn the_next_one_is_asked_if_one_fails_or_is_not_there() {
    let mut tasks = JoinSet::new();
    let nobody = {
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        closed.local_addr().unwrap()
    };
    let fails = recursor(Manner::Fails, &mut tasks).await;
    let answers = recursor(Manner::Answers, &mut tasks).await;
    for order in [RecursorOrder::Sequential, RecursorOrder::Random] {
        let recursors = recursors(vec![nobody, fails, answers], order);
        for transport in [Transport::Udp, Transport::Tcp] {
            let answer = recursors.ask(&question(), transport).await.unwrap();
            let answer = Message::from_vec(&answer).unwrap();
            assert_eq!((answer.metadata.id, answer.answers.len()), (7, 1));
        }
    }
    let hopeless = recursors(vec![nobody, fails], RecursorOrder::Sequential);
    assert_eq!(hopeless.ask(&question(), Transport::Udp).await, None);
}

#[tokio::test]
async fn answers_to_other_questions_are_not_taken() {
    let mut tasks = JoinSet::new();
    let forged = recursor(Manner::IsForged, &mut tasks).await;
    let recursors = recursors(vec![forged], RecursorOrder::Sequential);
    let answer = recursors.ask(&question(), Transport::Udp).await.unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!((answer.queries[0].name(), answer.answers.len()), (&name(), 1));
}

#[tokio::test]
async fn a_cut_answer_goes_to_the_client_but_own_questions_are_asked_again() {
    let mut tasks = JoinSet::new();
    let cuts = recursor(Manner::Cuts, &mut tasks).await;
    let recursors = recursors(vec![cuts], RecursorOrder::Sequential);
    let answer = recursors.ask(&question(), Transport::Udp).await.unwrap();
    assert!(Message::from_vec(&answer).unwrap().metadata.truncation);
    assert_eq!(recursors.addresses_of(name()).await.len(), 1);
}
