//! Load on one agent, from connections that each wait for an answer before they ask again.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// How long a single answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How much load, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) lasts: Duration,
    pub(crate) http: u16,
    pub(crate) dns: u16,
}

/// What came of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Whether it was the right one.
    pub(crate) is_good: bool,
    /// How long it took.
    pub(crate) after: Duration,
}

impl Load {
    /// Sends requests; `request` makes them from a number that is never the same.
    pub(crate) async fn http(self, request: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> Vec<Answer> {
        let (request, turns) = (Arc::new(request), Arc::new(AtomicU64::new(0)));
        let until = Instant::now() + self.lasts;
        let mut tasks = JoinSet::new();
        for _ in 0..self.connections {
            let (request, turns) = (Arc::clone(&request), Arc::clone(&turns));
            tasks.spawn(async move {
                let mut stream =
                    TcpStream::connect((Ipv4Addr::LOCALHOST, self.http)).await.expect("a connection");
                stream.set_nodelay(true).expect("a connection");
                let (mut answers, mut buffer) = (Vec::new(), Vec::new());
                while Instant::now() < until {
                    let request = request(turns.fetch_add(1, Ordering::Relaxed));
                    let start = Instant::now();
                    let asked = async {
                        stream.write_all(&request).await?;
                        read_answer(&mut stream, &mut buffer).await
                    };
                    let status = tokio::time::timeout(PATIENCE, asked).await;
                    let is_good = matches!(status, Ok(Ok(200)));
                    answers.push(Answer { is_good, after: start.elapsed() });
                    // What comes later on this connection would be taken for another answer.
                    if !matches!(status, Ok(Ok(_))) {
                        break;
                    }
                }
                answers
            });
        }
        tasks.join_all().await.concat()
    }

    /// Asks about names in turn, each with a type of records.
    pub(crate) async fn dns(self, asked: &[(&str, u16)]) -> Vec<Answer> {
        let questions: Vec<Vec<u8>> = asked.iter().map(|(name, kind)| question(name, *kind)).collect();
        let until = Instant::now() + self.lasts;
        let mut tasks = JoinSet::new();
        for _ in 0..self.connections {
            let mut questions = questions.clone();
            tasks.spawn(async move {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
                socket.connect((Ipv4Addr::LOCALHOST, self.dns)).await.expect("a socket");
                let (mut answers, mut packet, mut id) = (Vec::new(), [0; 1024], 0_u16);
                while Instant::now() < until {
                    id = id.wrapping_add(1);
                    let turn = usize::from(id) % questions.len();
                    let question = &mut questions[turn];
                    question[..2].copy_from_slice(&id.to_be_bytes());
                    let start = Instant::now();
                    let asked = async {
                        socket.send(question).await?;
                        loop {
                            socket.recv(&mut packet).await?;
                            // A late answer to a question that was given up is passed over.
                            if packet[..2] == id.to_be_bytes() {
                                return Ok::<_, io::Error>(packet[3] & 15 == 0 && packet[7] > 0);
                            }
                        }
                    };
                    let is_good = matches!(tokio::time::timeout(PATIENCE, asked).await, Ok(Ok(true)));
                    answers.push(Answer { is_good, after: start.elapsed() });
                }
                answers
            });
        }
        tasks.join_all().await.concat()
    }
}

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut question = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).expect("a short label"));
        question.extend_from_slice(label.as_bytes());
    }
    question.push(0);
    question.extend_from_slice(&kind.to_be_bytes());
    question.extend_from_slice(&[0, 1]);
    question
}

/// Reads one answer with a length; returns its status.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<u16> {
    buffer.clear();
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).map_err(|_| bad())?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(bad)?;
        let length = head
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, length)| length.trim().parse::<usize>().ok())
            .ok_or_else(bad)?;
        while buffer.len() < end + 4 + length {
            if stream.read_buf(buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        return Ok(status);
    }
}
