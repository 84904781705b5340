//! The calling end of a connection: one task for each lane to each peer.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lictor_sys::net;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::frame::{self, Frame, Kind};
use crate::transport::Lane;

/// How long connecting may take, the greeting included.
const DIAL_LIMIT: Duration = Duration::from_secs(5);
/// How long a lane stays open that nobody uses.
const UNUSED: Duration = Duration::from_secs(120);
/// How often a connection is looked after.
const TICK: Duration = Duration::from_secs(1);
/// After how long a silence the peer is asked whether it is there.
const QUIET: Duration = Duration::from_secs(5);
/// After how long a silence it is not.
const DEAD: Duration = Duration::from_secs(20);

/// A request that waits for its answer.
pub(crate) struct Call {
    pub(crate) request: Bytes,
    pub(crate) answer: oneshot::Sender<Result<Bytes, Failure>>,
}

/// Why there is none.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The peer did not get the request, or would not take it.
    Unreachable(String),
    /// It may have got it.
    Broken(String),
    /// It has answered, with so many bytes that they cannot be sent.
    Oversized(usize),
}

/// Carries calls to a peer over one connection at a time, until nobody has called for long.
pub(crate) async fn run(source: IpAddr, peer: SocketAddr, lane: Lane, mut calls: mpsc::Receiver<Call>) {
    while let Ok(Some(first)) = tokio::time::timeout(UNUSED, calls.recv()).await {
        match tokio::time::timeout(DIAL_LIMIT, dial(source, peer, lane)).await {
            Ok(Ok(stream)) => carry(stream, first, &mut calls).await,
            Ok(Err(error)) => refuse(first, &mut calls, &error.to_string()),
            Err(_) => refuse(first, &mut calls, "connecting took too long"),
        }
    }
    // Who has called in this very moment may do so again.
    calls.close();
    while let Some(call) = calls.recv().await {
        let _ = call.answer.send(Err(Failure::Unreachable("the connection was unused".to_owned())));
    }
}

/// Connects to a peer. Whatever protects connections belongs here and in `listener::accept`.
async fn dial(source: IpAddr, peer: SocketAddr, lane: Lane) -> io::Result<TcpStream> {
    let mut stream = net::connect_tcp_from(source, peer, DIAL_LIMIT).await?;
    frame::hello(&mut stream, lane).await?;
    Ok(stream)
}

/// Tells those who wait that the peer cannot be reached.
fn refuse(first: Call, calls: &mut mpsc::Receiver<Call>, reason: &str) {
    let mut next = Some(first);
    while let Some(call) = next {
        let _ = call.answer.send(Err(Failure::Unreachable(reason.to_owned())));
        next = calls.try_recv().ok();
    }
}

/// Calls on their way.
struct Pending {
    answers: HashMap<u64, oneshot::Sender<Result<Bytes, Failure>>>,
    /// When the peer last said something.
    heard: Instant,
}

type Shared = Mutex<Pending>;

fn lock(pending: &Shared) -> MutexGuard<'_, Pending> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries calls until the connection breaks or has been unused for long.
async fn carry(stream: TcpStream, first: Call, calls: &mut mpsc::Receiver<Call>) {
    let (reader, writer) = stream.into_split();
    let pending = Mutex::new(Pending { answers: HashMap::new(), heard: Instant::now() });
    // One task for both directions: neither waits for the other.
    let why = tokio::select! {
        error = receive(reader, &pending) => Some(error.to_string()),
        ended = send(writer, first, calls, &pending) => ended.err().map(|error| error.to_string()),
    };
    let why = why.unwrap_or_else(|| "it was closed".to_owned());
    let pending = pending.into_inner().unwrap_or_else(PoisonError::into_inner);
    for answer in pending.answers.into_values() {
        let _ = answer.send(Err(Failure::Broken(why.clone())));
    }
}

async fn receive(reader: impl AsyncRead + Unpin, pending: &Shared) -> io::Error {
    let mut reader = BufReader::new(reader);
    loop {
        let has_come = || lock(pending).heard = Instant::now();
        let reading = async {
            let head = frame::read_head(&mut reader).await?;
            frame::read_content(&mut reader, head, has_come).await
        };
        let frame = match reading.await {
            Ok(frame) => frame,
            Err(error) => return error,
        };
        let mut pending = lock(pending);
        pending.heard = Instant::now();
        let outcome = match frame.kind {
            Kind::Answer => Ok(frame.content),
            Kind::Oversized => Err(Failure::Oversized(size_in(&frame.content))),
            Kind::Refused => Err(Failure::Unreachable(String::from_utf8_lossy(&frame.content).into_owned())),
            _ => continue,
        };
        if let Some(answer) = pending.answers.remove(&frame.call) {
            // Whoever asked may have stopped waiting.
            let _ = answer.send(outcome);
        }
    }
}

fn size_in(content: &[u8]) -> usize {
    let size = content.try_into().map_or(u64::MAX, u64::from_be_bytes);
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Returns once the connection has been unused for long, or nobody can call any more.
async fn send(
    writer: impl AsyncWrite + Unpin,
    first: Call,
    calls: &mut mpsc::Receiver<Call>,
    pending: &Shared,
) -> io::Result<()> {
    let mut writer = BufWriter::new(writer);
    let mut tick = tokio::time::interval(TICK);
    let mut number = 0;
    let mut next = Some(first);
    let mut used = Instant::now();
    loop {
        // Everything that waits goes out in one piece.
        while let Some(call) = next {
            number += 1;
            lock(pending).answers.insert(number, call.answer);
            frame::write(&mut writer, &Frame::new(Kind::Request, number, call.request)).await?;
            next = calls.try_recv().ok();
        }
        frame::patiently(writer.flush()).await?;
        tokio::select! {
            call = calls.recv() => match call {
                Some(call) => {
                    used = Instant::now();
                    next = Some(call);
                }
                None => return Ok(()),
            },
            now = tick.tick() => {
                if look_after(&mut writer, pending, now).await? {
                    used = now;
                } else if now.duration_since(used) > UNUSED {
                    return Ok(());
                }
            }
        }
    }
}

/// Tells the peer which answers nobody waits for any more, and makes sure that it is there. Says
/// whether anybody waits.
async fn look_after(
    writer: &mut (impl AsyncWrite + Unpin),
    pending: &Shared,
    now: Instant,
) -> io::Result<bool> {
    let (abandoned, silence, is_waiting) = {
        let mut pending = lock(pending);
        let abandoned: Vec<u64> =
            pending.answers.extract_if(|_, answer| answer.is_closed()).map(|(call, _)| call).collect();
        (abandoned, now.saturating_duration_since(pending.heard), !pending.answers.is_empty())
    };
    for call in abandoned {
        frame::write(writer, &Frame::bare(Kind::Cancel, call)).await?;
    }
    if !is_waiting {
        // A silence only counts from the first call after it.
        lock(pending).heard = now;
    } else if silence > DEAD {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer has gone silent"));
    } else if silence > QUIET {
        frame::write(writer, &Frame::bare(Kind::Ping, 0)).await?;
    }
    Ok(is_waiting)
}
