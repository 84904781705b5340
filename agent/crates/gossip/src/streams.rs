//! Streams between members: a connection carries one question and its answer, each with its length
//! before it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lictor_sys::net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::door::Door;
use crate::talk::MAX_TALK;

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a question and its answer may take together.
const TALK_LIMIT: Duration = Duration::from_secs(10);
/// How many others may ask at once.
const MOST_ASKING: usize = 64;
/// What more than the frame itself is sealed with at the most.
const MOST_FRAME: usize = MAX_TALK + 1024;
/// How many connections one address may have open at once.
const MOST_OF_ONE: usize = 8;
/// How long whoever has connected may take to begin asking.
const BEGIN_LIMIT: Duration = Duration::from_secs(2);
/// How long a question may be in a pool of any size: enough for what a member of a pool of ten
/// thousand says as it meets one that is alone.
const QUESTION_FLOOR: usize = 1024 * 1024;
/// How much longer it may be for each member: several times what most have to say of one.
const QUESTION_OF_ONE: usize = 4096;
/// How much room is made for what is announced before it comes.
const FIRST_ROOM: usize = 64 * 1024;

/// What is asked of others before anything of theirs is read.
pub(crate) struct Guard {
    door: Door,
    /// The longest question, in bytes.
    most_question: AtomicUsize,
}

impl Guard {
    pub(crate) fn new(door: Door) -> Self {
        Self { door, most_question: AtomicUsize::new(QUESTION_FLOOR) }
    }

    /// Larger pools have more to ask.
    pub(crate) fn resize(&self, members: usize) {
        let most = QUESTION_FLOOR.saturating_add(members.saturating_mul(QUESTION_OF_ONE)).min(MOST_FRAME);
        self.most_question.store(most, Ordering::Relaxed);
    }
}

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
        let length = stream.read_u32().await?;
        read(&mut stream, length, MOST_FRAME).await
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
pub(crate) async fn listen(listener: TcpListener, questions: mpsc::Sender<Incoming>, guard: Arc<Guard>) {
    let places = Arc::new(Semaphore::new(MOST_ASKING));
    // Each connection holds a share of its address.
    let mut addresses: HashMap<IpAddr, Arc<()>> = HashMap::new();
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
                addresses.retain(|_, share| Arc::strong_count(share) > 1);
                let share = addresses.entry(from.ip()).or_default();
                if !guard.door.is_open_to(from.ip()) || Arc::strong_count(share) > MOST_OF_ONE {
                    tracing::debug!(%from, "a connection that is not taken");
                    continue;
                }
                let (share, guard, questions) = (Arc::clone(share), Arc::clone(&guard), questions.clone());
                talks.spawn(async move {
                    let _places = (place, share);
                    match tokio::time::timeout(TALK_LIMIT, serve(stream, from, &questions, &guard)).await {
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
    guard: &Guard,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let length = tokio::time::timeout(BEGIN_LIMIT, stream.read_u32()).await??;
    let question = read(&mut stream, length, guard.most_question.load(Ordering::Relaxed)).await?;
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

async fn read(stream: &mut TcpStream, length: u32, most: usize) -> io::Result<Bytes> {
    let length = length as usize;
    if length > most {
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
