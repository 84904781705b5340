//! What a transport is, whatever it is made of.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// The version of the protocol between agents that this build speaks.
pub const PROTOCOL_VERSION: u8 = 1;

/// The largest request or answer that a transport carries, in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// One of the connections to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Raft's own traffic: small, and first in line.
    Consensus,
    /// Reads and writes that are answered by another server.
    Queries,
    /// Snapshots and streams.
    Bulk,
}

/// Carries requests to peers.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and waits for its answer, at most for `limit`. Who stops waiting earlier
    /// tells the peer that the answer is not wanted any more.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] says that the peer did not get the request; after any other
    /// failure it may have acted on it.
    async fn call(
        &self,
        peer: SocketAddr,
        lane: Lane,
        request: Bytes,
        limit: Duration,
    ) -> Result<Bytes, CallError>;
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The peer did not get the request, or would not take it.
    #[error("cannot reach {peer}: {reason}")]
    Unreachable {
        /// Whom the call was for.
        peer: SocketAddr,
        /// Why not.
        reason: String,
    },
    /// There was no answer in time; whether the peer acted on the request is unknown.
    #[error("{peer} did not answer within {limit:?}")]
    TimedOut {
        /// Whom the call was for.
        peer: SocketAddr,
        /// How long the call waited.
        limit: Duration,
    },
    /// The connection broke; whether the peer acted on the request is unknown.
    #[error("the connection to {peer} broke: {reason}")]
    Broken {
        /// Whom the call was for.
        peer: SocketAddr,
        /// What was seen of it.
        reason: String,
    },
    /// The request or its answer is larger than [`MAX_MESSAGE`].
    #[error("a message of {size} bytes to or from {peer} is larger than {MAX_MESSAGE} bytes")]
    TooLarge {
        /// Whom the call was for.
        peer: SocketAddr,
        /// Its size in bytes.
        size: usize,
    },
}

/// The transport of an agent without peers: nobody is reachable.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

#[async_trait]
impl Transport for Alone {
    async fn call(
        &self,
        peer: SocketAddr,
        _lane: Lane,
        _request: Bytes,
        _limit: Duration,
    ) -> Result<Bytes, CallError> {
        Err(CallError::Unreachable {
            peer,
            reason: "this agent was started without a connection to other agents".to_owned(),
        })
    }
}
