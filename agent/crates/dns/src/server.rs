//! Sockets and connections: what comes in, how much of it at once, and what goes out.
//!
//! Most questions are answered from memory, at once and on the spot. Only those that have to wait,
//! for a recursor or another server, become tasks, and of these there is a bounded number: who asks
//! too much has to ask again, but does not keep others from being answered.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::handler::Handler;
use crate::message::Transport;

/// The largest question that is read from a UDP socket, in bytes.
const MAX_QUESTION: usize = 4096;
/// How many UDP questions may be waiting for somebody else's answer, for each socket.
const MAX_WAITING: usize = 1024;
/// How many TCP connections may be open.
const MAX_CONNECTIONS: usize = 512;
/// How long a TCP connection may stay silent, and how long sending an answer may take.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting pauses after the operating system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who answers, which changes with the settings.
pub(crate) type Handlers = watch::Receiver<Arc<Handler>>;

type Answering = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send>>;

/// Answers packets until `stop` is cancelled.
pub(crate) async fn packets(socket: UdpSocket, handlers: Handlers, stop: CancellationToken) {
    let socket = Arc::new(socket);
    let waiting = Arc::new(Semaphore::new(MAX_WAITING));
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; MAX_QUESTION];
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        while tasks.try_join_next().is_some() {}
        let Ok((length, client)) = received else {
            // Nothing of a socket that is not connected stays broken.
            tokio::task::yield_now().await;
            continue;
        };
        let packet = buffer.get(..length).unwrap_or_default().to_vec();
        let mut answering = answer(newest(&handlers), packet, client.ip());
        match poll_once(&mut answering).await {
            Poll::Ready(answer) => send(&socket, answer, client).await,
            Poll::Pending => {
                let Ok(permit) = Arc::clone(&waiting).try_acquire_owned() else { continue };
                let socket = Arc::clone(&socket);
                tasks.spawn(async move {
                    send(&socket, answering.await, client).await;
                    drop(permit);
                });
            }
        }
    }
}

fn newest(handlers: &Handlers) -> Arc<Handler> {
    Arc::clone(&handlers.borrow())
}

fn answer(handler: Arc<Handler>, packet: Vec<u8>, client: IpAddr) -> Answering {
    Box::pin(async move { handler.handle(&packet, Transport::Udp, client).await })
}

async fn poll_once(answering: &mut Answering) -> Poll<Option<Vec<u8>>> {
    std::future::poll_fn(|context| Poll::Ready(answering.as_mut().poll(context))).await
}

async fn send(socket: &UdpSocket, answer: Option<Vec<u8>>, client: SocketAddr) {
    let Some(answer) = answer else { return };
    if let Err(error) = socket.send_to(&answer, client).await {
        tracing::debug!(%client, %error, "a dns answer could not be sent");
    }
}

/// Serves connections until `stop` is cancelled.
pub(crate) async fn connections(listener: TcpListener, handlers: Handlers, stop: CancellationToken) {
    let open = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut tasks = JoinSet::new();
    loop {
        // Nobody closes it.
        let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        while tasks.try_join_next().is_some() {}
        match accepted {
            Ok((stream, client)) => {
                let handlers = handlers.clone();
                tasks.spawn(async move {
                    if let Err(error) = conversation(stream, client.ip(), &handlers).await {
                        tracing::debug!(%client, %error, "a dns connection broke");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a dns connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers one question of a connection after the other until its client closes it, falls silent,
/// or sends what is no question.
async fn conversation(mut stream: TcpStream, client: IpAddr, handlers: &Handlers) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(packet) = in_time(question(&mut stream)).await? {
        let answer = newest(handlers).handle(&packet, Transport::Tcp, client).await;
        let Some(answer) = answer else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        in_time(stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat())).await?;
    }
    Ok(())
}

/// The next question; none if the client has closed the connection.
async fn question(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        length => length?,
    };
    let mut packet = vec![0; usize::from(length)];
    stream.read_exact(&mut packet).await?;
    Ok(Some(packet))
}

async fn in_time<T>(work: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    tokio::time::timeout(TCP_TIMEOUT, work).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests;
