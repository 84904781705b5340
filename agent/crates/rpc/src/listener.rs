//! The answering end: connections that come in, and who answers what they ask.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::frame::{self, Frame, Kind};
use crate::transport::{Lane, MAX_MESSAGE};

/// How many connections there may be.
const MAX_CONNECTIONS: usize = 16 * 1024;
/// How long a greeting may take.
const GREETING_LIMIT: Duration = Duration::from_secs(5);
/// How many calls of one connection may be answered at a time.
const MAX_CALLS: usize = 16 * 1024;
/// Requests larger than this are counted, in pieces of as many bytes.
const PIECE: usize = 64 * 1024;
/// How many pieces of requests a lane's connections may have in memory together.
const MAX_PIECES: usize = 4096;
/// After how long a silence a peer is gone: those that wait for something ask whether anybody is
/// there, and close what they do not use.
const SILENCE: Duration = Duration::from_secs(180);
/// How many answers may wait to be written.
const ANSWERS: usize = 256;
/// How long to wait after accepting failed, as for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Answers what peers ask.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers a request. Dropped when the peer does not want the answer any more, or is gone.
    async fn handle(&self, from: SocketAddr, lane: Lane, request: Bytes) -> Bytes;
}

/// Answers peers until `stop` is cancelled.
pub async fn serve(listener: TcpListener, handler: Arc<dyn Handler>, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let pieces = Pieces::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                    tracing::warn!(%from, "too many connections between agents, one is closed");
                    continue;
                };
                let (handler, pieces) = (Arc::clone(&handler), pieces.clone());
                connections.spawn(async move {
                    if let Err(error) = accept(stream, from, handler, pieces).await {
                        tracing::debug!(%from, %error, "a connection from an agent ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections from agents");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    connections.shutdown().await;
}

/// Room for large requests, by lane: what one lane waits for may come over another.
#[derive(Clone)]
struct Pieces(Arc<[(Lane, Arc<Semaphore>)]>);

impl Default for Pieces {
    fn default() -> Self {
        let room = |lane| (lane, Arc::new(Semaphore::new(MAX_PIECES)));
        Self([Lane::Consensus, Lane::Queries, Lane::Bulk].map(room).into())
    }
}

impl Pieces {
    /// Waits until there is room for a request of this size; none is needed for small ones.
    async fn take(&self, lane: Lane, size: usize) -> Option<OwnedSemaphorePermit> {
        let pieces = u32::try_from(size / PIECE).unwrap_or(u32::MAX);
        let (_, room) = self.0.iter().find(|(known, _)| *known == lane).filter(|_| pieces > 0)?;
        Arc::clone(room).acquire_many_owned(pieces).await.ok()
    }
}

async fn accept(
    mut stream: TcpStream,
    from: SocketAddr,
    handler: Arc<dyn Handler>,
    pieces: Pieces,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let lane = tokio::time::timeout(GREETING_LIMIT, frame::welcome(&mut stream))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let (reader, writer) = stream.into_split();
    let (answers, outgoing) = mpsc::channel(ANSWERS);
    // One task for both directions: neither waits for the other.
    tokio::select! {
        ended = read(reader, Calls::new(from, lane, handler, answers), pieces) => ended,
        ended = write(writer, outgoing) => ended,
    }
}

/// Calls of one connection that are being answered; they end with it.
struct Calls {
    from: SocketAddr,
    lane: Lane,
    handler: Arc<dyn Handler>,
    answers: mpsc::Sender<Frame>,
    running: JoinSet<u64>,
    /// What each of them needs to be ended.
    handles: HashMap<u64, AbortHandle>,
}

impl Calls {
    fn new(from: SocketAddr, lane: Lane, handler: Arc<dyn Handler>, answers: mpsc::Sender<Frame>) -> Self {
        Self { from, lane, handler, answers, running: JoinSet::new(), handles: HashMap::new() }
    }

    fn start(&mut self, call: u64, Incoming { content: request, room }: Incoming) {
        let (handler, answers) = (Arc::clone(&self.handler), self.answers.clone());
        let (from, lane) = (self.from, self.lane);
        let handle = self.running.spawn(async move {
            let answer = handler.handle(from, lane, request).await;
            drop(room);
            let frame = if answer.len() > MAX_MESSAGE {
                let size = (answer.len() as u64).to_be_bytes();
                Frame::new(Kind::Oversized, call, Bytes::copy_from_slice(&size))
            } else {
                Frame::new(Kind::Answer, call, answer)
            };
            // Fails only if the connection has ended.
            let _ = answers.send(frame).await;
            call
        });
        self.handles.insert(call, handle);
    }

    /// Ends a call whose handler panicked. What it did is unknown, which an answer that says
    /// nothing stands for.
    async fn died(&mut self, error: &JoinError) -> io::Result<()> {
        let found = self.handles.iter().find(|(_, handle)| handle.id() == error.id());
        let Some(call) = found.map(|(call, _)| *call) else {
            return Ok(());
        };
        tracing::error!(%error, "a request of another agent was not answered");
        self.end(call);
        self.answers.send(Frame::bare(Kind::Answer, call)).await.map_err(io::Error::other)
    }

    /// Ends a call that has not ended yet.
    fn end(&mut self, call: u64) {
        if let Some(handle) = self.handles.remove(&call) {
            handle.abort();
        }
    }
}

/// A frame that has come, with the room that its content takes.
struct Incoming {
    content: Bytes,
    room: Option<OwnedSemaphorePermit>,
}

async fn read(
    reader: impl AsyncRead + Unpin + Send + 'static,
    mut calls: Calls,
    pieces: Pieces,
) -> io::Result<()> {
    let lane = calls.lane;
    // Reading a frame must not be dropped half way, which `select!` would do.
    let (frames, mut incoming) = mpsc::channel(1);
    let reading = async move {
        let mut reader = BufReader::new(reader);
        loop {
            let frame = next_frame(&mut reader, lane, &pieces).await;
            let is_last = frame.is_err();
            if frames.send(frame).await.is_err() || is_last {
                return;
            }
        }
    };
    let handling = async {
        loop {
            let frame = tokio::select! {
                frame = incoming.recv() => frame.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?,
                Some(ended) = calls.running.join_next() => {
                    match ended {
                        Ok(call) => calls.end(call),
                        Err(error) => calls.died(&error).await?,
                    }
                    continue;
                }
            };
            let (kind, call, content) = frame;
            match kind {
                Kind::Request if calls.running.len() >= MAX_CALLS => {
                    let why = Bytes::from_static(b"too many requests of this agent are being answered");
                    let refusal = Frame::new(Kind::Refused, call, why);
                    calls.answers.send(refusal).await.map_err(io::Error::other)?;
                }
                Kind::Request => calls.start(call, content),
                Kind::Cancel => calls.end(call),
                Kind::Ping => {
                    calls.answers.send(Frame::bare(Kind::Pong, 0)).await.map_err(io::Error::other)?;
                }
                Kind::Answer | Kind::Refused | Kind::Oversized | Kind::Pong => {}
            }
        }
    };
    tokio::select! {
        ended = handling => ended,
        () = reading => Ok(()),
    }
}

async fn next_frame(
    reader: &mut (impl AsyncRead + Unpin),
    lane: Lane,
    pieces: &Pieces,
) -> io::Result<(Kind, u64, Incoming)> {
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "the peer has gone silent");
    let head = tokio::time::timeout(SILENCE, frame::read_head(reader)).await.map_err(silent)??;
    let room = pieces.take(lane, head.length).await;
    let reading = frame::read_content(reader, head, || {});
    let frame = tokio::time::timeout(SILENCE, reading).await.map_err(silent)??;
    Ok((frame.kind, frame.call, Incoming { content: frame.content, room }))
}

async fn write(writer: impl AsyncWrite + Unpin, mut outgoing: mpsc::Receiver<Frame>) -> io::Result<()> {
    let mut writer = BufWriter::new(writer);
    while let Some(frame) = outgoing.recv().await {
        let mut next = Some(frame);
        while let Some(frame) = next {
            frame::write(&mut writer, &frame).await?;
            next = outgoing.try_recv().ok();
        }
        frame::patiently(writer.flush()).await?;
    }
    Ok(())
}
