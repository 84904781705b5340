//! Saved states on their way between agents, a piece at a time over [`Lane::Bulk`].
//!
//! A transfer is opened like any other request ([`Request::Save`](crate::message::Request::Save),
//! [`Request::Restore`](crate::message::Request::Restore)), wherever the request can be carried
//! out; the answer says where that is. Its pieces then go straight there: whoever sends the next
//! one waits for the last to be taken, so nothing gathers on the way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use lictor_model::query::Meta;
use lictor_model::seam::Content;
use lictor_model::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::message::CodecError;
use crate::transport::{Lane, Transport};

/// The first byte of what stands on the bulk lane for a transfer. Raft's own begins otherwise.
const MARK: u8 = b'T';
/// The largest piece, in bytes.
pub const MAX_PIECE: usize = 1024 * 1024;
/// How long taking or giving a piece may take.
const PIECE_LIMIT: Duration = Duration::from_secs(60);
/// How long putting a state in place may take.
const COMMIT_LIMIT: Duration = Duration::from_secs(900);

/// A transfer that was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// What tells it from others.
    pub id: Uuid,
    /// Where it goes on.
    pub at: SocketAddr,
    /// What is known of the freshness of the state.
    pub meta: Meta,
}

/// A step of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Give the next piece → [`Stepped::Piece`], empty after the last.
    Next(Uuid),
    /// Take the next piece → [`Stepped::Done`].
    Append(Uuid, Bytes),
    /// That was all: put the state in place → [`Stepped::Done`].
    Commit(Uuid),
    /// Nothing more will come, and nothing is to be done → [`Stepped::Done`].
    Abandon(Uuid),
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stepped {
    /// The next piece; empty after the last.
    Piece(Bytes),
    /// It is done.
    Done,
    /// The transfer is over: it was refused, or failed.
    Failed(Error),
}

/// Where a transfer goes on.
#[async_trait]
pub trait Place: Send + Sync + 'static {
    /// Takes a step.
    async fn step(&self, step: Step) -> Stepped;
}

/// A transfer that goes on at another agent.
pub struct Elsewhere {
    transport: Arc<dyn Transport>,
    at: SocketAddr,
}

impl Elsewhere {
    /// The agent at this address.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, at: SocketAddr) -> Self {
        Self { transport, at }
    }
}

#[async_trait]
impl Place for Elsewhere {
    async fn step(&self, step: Step) -> Stepped {
        let limit = if matches!(step, Step::Commit(_)) { COMMIT_LIMIT } else { PIECE_LIMIT };
        let request = match encode(&step) {
            Ok(request) => request,
            Err(error) => return Stepped::Failed(Error::failed(error.to_string())),
        };
        let called = self.transport.call(self.at, Lane::Bulk, request, limit).await;
        let why = match called.as_deref().map(decode) {
            Ok(Ok(stepped)) => return stepped,
            Ok(Err(error)) => format!("the answer of {}: {error}", self.at),
            Err(error) => error.to_string(),
        };
        // Up to the last step nothing has been changed.
        let code = if matches!(step, Step::Commit(_)) { Code::Timeout } else { Code::NoLeader };
        Stepped::Failed(Error::new(code, format!("rpc error making call: {why}")))
    }
}

/// The content of a state that is being saved. Ends with an error if it does not come whole.
pub fn save(place: Arc<dyn Place>, id: Uuid) -> Content {
    let next = move |place: Option<Arc<dyn Place>>| async move {
        let place = place?;
        match place.step(Step::Next(id)).await {
            Stepped::Piece(piece) if piece.is_empty() => None,
            Stepped::Piece(piece) => Some((Ok(piece), Some(place))),
            Stepped::Failed(error) => Some((Err(error), None)),
            Stepped::Done => Some((Err(mismatch()), None)),
        }
    };
    Box::pin(stream::unfold(Some(place), next))
}

/// Hands over a state that is to be restored, and waits until it is in place.
///
/// # Errors
/// What the server refuses; [`Timeout`](Code::Timeout) if it is unknown whether it is in place.
pub async fn restore(place: &dyn Place, id: Uuid, mut content: Content) -> Result<()> {
    let done = |stepped| match stepped {
        Stepped::Done => Ok(()),
        Stepped::Failed(error) => Err(error),
        Stepped::Piece(_) => Err(mismatch()),
    };
    let mut gathered = BytesMut::new();
    while let Some(bytes) = content.next().await {
        match bytes {
            Ok(bytes) => gathered.extend_from_slice(&bytes),
            Err(error) => {
                // If it does not get there, the transfer ends by itself after a while.
                place.step(Step::Abandon(id)).await;
                return Err(error);
            }
        }
        while gathered.len() >= MAX_PIECE {
            let piece = gathered.split_to(MAX_PIECE).freeze();
            done(place.step(Step::Append(id, piece)).await)?;
        }
    }
    if !gathered.is_empty() {
        done(place.step(Step::Append(id, gathered.freeze())).await)?;
    }
    done(place.step(Step::Commit(id)).await)
}

/// Whether something on the bulk lane belongs to a transfer.
#[must_use]
pub fn is_step(request: &[u8]) -> bool {
    request.first() == Some(&MARK)
}

/// Writes a step, or what it came to.
///
/// # Errors
/// If it has a shape that MessagePack has not.
pub fn encode<T: Serialize>(message: &T) -> Result<Bytes, CodecError> {
    let mut bytes = vec![MARK];
    rmp_serde::encode::write_named(&mut bytes, message)?;
    Ok(bytes.into())
}

/// Reads a step, or what it came to.
///
/// # Errors
/// If it is none that this build knows.
pub fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match bytes.split_first() {
        Some((&MARK, body)) => Ok(rmp_serde::from_slice(body)?),
        Some((format, _)) => Err(CodecError::Format(*format)),
        None => Err(CodecError::Empty),
    }
}

fn mismatch() -> Error {
    Error::failed("the server answered something else than was asked")
}
