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
use tokio::sync::{Semaphore, mpsc};
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
/// How large the requests of one connection may be together, in bytes, beside one.
const MAX_BYTES: usize = 64 * 1024 * 1024;
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
                let handler = Arc::clone(&handler);
                connections.spawn(async move {
                    if let Err(error) = accept(stream, from, handler).await {
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

async fn accept(mut stream: TcpStream, from: SocketAddr, handler: Arc<dyn Handler>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let lane = tokio::time::timeout(GREETING_LIMIT, frame::welcome(&mut stream))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let (reader, writer) = stream.into_split();
    let (answers, outgoing) = mpsc::channel(ANSWERS);
    // One task for both directions: neither waits for the other.
    tokio::select! {
        ended = read(reader, Calls::new(from, lane, handler, answers)) => ended,
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
    /// What each of them needs to be ended, and the size of its request.
    handles: HashMap<u64, (AbortHandle, usize)>,
    bytes: usize,
}

impl Calls {
    fn new(from: SocketAddr, lane: Lane, handler: Arc<dyn Handler>, answers: mpsc::Sender<Frame>) -> Self {
        Self { from, lane, handler, answers, running: JoinSet::new(), handles: HashMap::new(), bytes: 0 }
    }

    fn is_full(&self, more: usize) -> bool {
        self.running.len() >= MAX_CALLS || (self.bytes > 0 && self.bytes + more > MAX_BYTES)
    }

    fn start(&mut self, call: u64, request: Bytes) {
        let (handler, answers) = (Arc::clone(&self.handler), self.answers.clone());
        let (from, lane, size) = (self.from, self.lane, request.len());
        self.bytes += size;
        let handle = self.running.spawn(async move {
            let answer = handler.handle(from, lane, request).await;
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
        self.handles.insert(call, (handle, size));
    }

    /// Ends a call whose handler panicked. What it did is unknown, which an answer that says
    /// nothing stands for.
    async fn died(&mut self, error: &JoinError) -> io::Result<()> {
        let found = self.handles.iter().find(|(_, (handle, _))| handle.id() == error.id());
        let Some(call) = found.map(|(call, _)| *call) else {
            return Ok(());
        };
        tracing::error!(%error, "a request of another agent was not answered");
        self.end(call);
        self.answers.send(Frame::bare(Kind::Answer, call)).await.map_err(io::Error::other)
    }

    /// Ends a call that has not ended yet.
    fn end(&mut self, call: u64) {
        if let Some((handle, size)) = self.handles.remove(&call) {
            handle.abort();
            self.bytes -= size;
        }
    }
}

async fn read(reader: impl AsyncRead + Unpin + Send + 'static, mut calls: Calls) -> io::Result<()> {
    // Reading a frame must not be dropped half way, which `select!` would do.
    let (frames, mut incoming) = mpsc::channel(1);
    let reading = async move {
        let mut reader = BufReader::new(reader);
        loop {
            let silent = || Err(io::Error::new(io::ErrorKind::TimedOut, "the peer has gone silent"));
            let frame = tokio::time::timeout(SILENCE, frame::read(&mut reader, || {})).await;
            let frame = frame.unwrap_or_else(|_| silent());
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
            match frame.kind {
                Kind::Request if calls.is_full(frame.content.len()) => {
                    let why = Bytes::from_static(b"too many requests of this agent are being answered");
                    let refusal = Frame::new(Kind::Refused, frame.call, why);
                    calls.answers.send(refusal).await.map_err(io::Error::other)?;
                }
                Kind::Request => calls.start(frame.call, frame.content),
                Kind::Cancel => calls.end(frame.call),
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
