//! Streams between members: a connection carries one question and its answer, each with its length
//! before it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lictor_sys::net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::talk::MAX_TALK;

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a question and its answer may take together.
const TALK_LIMIT: Duration = Duration::from_secs(10);
/// How many others may ask at once.
const MOST_ASKING: usize = 64;
/// What more than the frame itself is sealed with at the most.
const MOST_FRAME: usize = MAX_TALK + 1024;
/// How much room is made for what is announced before it comes.
const FIRST_ROOM: usize = 64 * 1024;

/// A question that came, and where its answer goes; dropping that hangs up.
pub(crate) struct Incoming {
    pub(crate) from: SocketAddr,
    pub(crate) question: Bytes,
    pub(crate) answer: oneshot::Sender<Bytes>,
}

/// Asks somebody from an address of this machine, and waits for the answer.
///
/// # Errors
/// Why there is none, in the words that operators know.
pub(crate) async fn ask(source: IpAddr, to: SocketAddr, question: Bytes) -> Result<Bytes, String> {
    let dialled = net::connect_tcp_from(source, to, CONNECT_LIMIT).await;
    let mut stream =
        dialled.map_err(|error| format!("dial tcp {to}: {}", in_known_words(&error, "connect: ")))?;
    let talk = async {
        write(&mut stream, &question).await?;
        read(&mut stream).await
    };
    match tokio::time::timeout(TALK_LIMIT, talk).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(in_known_words(&error, "")),
        Err(_) => Err(format!("read tcp {to}: i/o timeout")),
    }
}

fn in_known_words(error: &io::Error, call: &str) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{call}connection refused"),
        io::ErrorKind::ConnectionReset => format!("{call}connection reset by peer"),
        io::ErrorKind::HostUnreachable => format!("{call}no route to host"),
        io::ErrorKind::NetworkUnreachable => format!("{call}network is unreachable"),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => error.to_string(),
    }
}

/// Takes questions until it is dropped.
pub(crate) async fn listen(listener: TcpListener, questions: mpsc::Sender<Incoming>) {
    let places = Arc::new(Semaphore::new(MOST_ASKING));
    let mut talks = JoinSet::new();
    loop {
        // Whoever comes when all places are taken waits in the system's queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = talks.join_next() => continue,
        };
        match accepted {
            Ok((stream, from)) => {
                let questions = questions.clone();
                talks.spawn(async move {
                    let _place = place;
                    match tokio::time::timeout(TALK_LIMIT, serve(stream, from, &questions)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%error, %from, "a member's question"),
                        Err(_) => tracing::debug!(%from, "a member's question took too long"),
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accepting gossip");
                // Such as too many open files, which does not pass at once.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    from: SocketAddr,
    questions: &mpsc::Sender<Incoming>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let question = read(&mut stream).await?;
    let (answer, answered) = oneshot::channel();
    let incoming = Incoming { from, question, answer };
    questions.send(incoming).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    match answered.await {
        Ok(answer) => write(&mut stream, &answer).await,
        // It is not worth an answer.
        Err(_) => Ok(()),
    }
}

async fn write(stream: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut whole = BytesMut::with_capacity(4 + frame.len());
    whole.extend_from_slice(&length.to_be_bytes());
    whole.extend_from_slice(frame);
    stream.write_all(&whole).await
}

async fn read(stream: &mut TcpStream) -> io::Result<Bytes> {
    let length = stream.read_u32().await? as usize;
    if length > MOST_FRAME {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    // Room is made as bytes come: whoever announces a lot has to send it too.
    let mut frame = BytesMut::with_capacity(length.min(FIRST_ROOM));
    let mut rest = stream.take(length as u64);
    while frame.len() < length {
        if rest.read_buf(&mut frame).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
    }
    Ok(frame.freeze())
}
