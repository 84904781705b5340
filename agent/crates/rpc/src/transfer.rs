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
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::message::CodecError;
use crate::transport::{Lane, Transport};

/// The first byte of what stands on the bulk lane for a transfer. Raft's own begins otherwise.
const MARK: u8 = b'T';
/// The largest piece, in bytes.
pub const MAX_PIECE: usize = 1024 * 1024;
/// How long taking or giving a piece may take.
const PIECE_LIMIT: Duration = Duration::from_secs(60);
/// How long giving a transfer up may take.
const ABANDON_LIMIT: Duration = Duration::from_secs(5);
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
    /// Nobody goes on with it, and nothing is to be done → [`Stepped::Done`].
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

    /// Gives a transfer up. If that does not get there, it ends by itself after a while.
    fn abandon(&self, id: Uuid);
}

/// A transfer that somebody goes on with. Whoever drops it half way gives it up.
struct Going {
    place: Arc<dyn Place>,
    id: Uuid,
    is_over: bool,
}

impl Going {
    fn new(place: Arc<dyn Place>, id: Uuid) -> Self {
        Self { place, id, is_over: false }
    }

    async fn step(&mut self, step: Step) -> Stepped {
        let stepped = self.place.step(step).await;
        self.is_over = matches!(stepped, Stepped::Failed(_));
        stepped
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if !self.is_over {
            self.place.abandon(self.id);
        }
    }
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

    fn abandon(&self, id: Uuid) {
        let (transport, at) = (Arc::clone(&self.transport), self.at);
        if let (Ok(request), Ok(runtime)) = (encode(&Step::Abandon(id)), Handle::try_current()) {
            // Nobody waits for it, and it ends soon in any case.
            runtime.spawn(async move { transport.call(at, Lane::Bulk, request, ABANDON_LIMIT).await });
        }
    }
}

/// The content of a state that is being saved. Ends with an error if it does not come whole.
pub fn save(place: Arc<dyn Place>, id: Uuid) -> Content {
    let next = move |going: Option<Going>| async move {
        let mut going = going?;
        match going.step(Step::Next(id)).await {
            Stepped::Piece(piece) if piece.is_empty() => {
                going.is_over = true;
                None
            }
            Stepped::Piece(piece) => Some((Ok(piece), Some(going))),
            Stepped::Failed(error) => Some((Err(error), None)),
            Stepped::Done => Some((Err(Error::mismatch()), None)),
        }
    };
    Box::pin(stream::unfold(Some(Going::new(place, id)), next))
}

/// Hands over a state that is to be restored, and waits until it is in place.
///
/// # Errors
/// What the server refuses; [`Timeout`](Code::Timeout) if it is unknown whether it is in place.
pub async fn restore(place: Arc<dyn Place>, id: Uuid, mut content: Content) -> Result<()> {
    let mut going = Going::new(place, id);
    let done = |stepped| match stepped {
        Stepped::Done => Ok(()),
        Stepped::Failed(error) => Err(error),
        Stepped::Piece(_) => Err(Error::mismatch()),
    };
    let mut gathered = BytesMut::new();
    while let Some(bytes) = content.next().await {
        gathered.extend_from_slice(&bytes?);
        while gathered.len() >= MAX_PIECE {
            let piece = gathered.split_to(MAX_PIECE).freeze();
            done(going.step(Step::Append(id, piece)).await)?;
        }
    }
    if !gathered.is_empty() {
        done(going.step(Step::Append(id, gathered.freeze())).await)?;
    }
    let committed = going.step(Step::Commit(id)).await;
    going.is_over = true;
    done(committed)
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

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// Hands out two pieces and takes any, and remembers what it was asked.
    #[derive(Default)]
    struct Remembers(Mutex<Vec<Step>>);

    impl Remembers {
        fn steps(&self) -> Vec<Step> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    #[async_trait]
    impl Place for Remembers {
        async fn step(&self, step: Step) -> Stepped {
            let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            steps.push(step.clone());
            match step {
                Step::Next(_) if steps.len() <= 2 => Stepped::Piece(Bytes::from_static(b"piece")),
                Step::Next(_) => Stepped::Piece(Bytes::new()),
                _ => Stepped::Done,
            }
        }

        fn abandon(&self, id: Uuid) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Step::Abandon(id));
        }
    }

    const ID: Uuid = Uuid::from_u128(7);

    #[tokio::test]
    async fn who_takes_a_state_to_its_end_gives_nothing_up_and_who_stops_does() {
        let place = Arc::new(Remembers::default());
        let pieces: Vec<_> = save(Arc::clone(&place) as _, ID).collect().await;
        assert_eq!(pieces.len(), 2);
        assert_eq!(place.steps(), [Step::Next(ID), Step::Next(ID), Step::Next(ID)]);

        let place = Arc::new(Remembers::default());
        let mut content = save(Arc::clone(&place) as _, ID);
        assert!(content.next().await.is_some());
        drop(content);
        assert_eq!(place.steps(), [Step::Next(ID), Step::Abandon(ID)]);
    }

    #[tokio::test]
    async fn what_is_handed_over_comes_in_large_pieces_and_is_put_in_place_only_if_it_is_whole() {
        let place = Arc::new(Remembers::default());
        let small = || stream::iter(vec![Ok(Bytes::from(vec![1; MAX_PIECE / 2 + 1])); 3]);
        restore(Arc::clone(&place) as _, ID, Box::pin(small())).await.unwrap();
        let sizes: Vec<usize> = place
            .steps()
            .iter()
            .map(|step| if let Step::Append(_, piece) = step { piece.len() } else { 0 })
            .collect();
        assert_eq!(sizes, [MAX_PIECE, MAX_PIECE / 2 + 3, 0]);
        assert_eq!(place.steps().last(), Some(&Step::Commit(ID)));

        let place = Arc::new(Remembers::default());
        let broken = small().chain(stream::iter([Err(Error::failed("it broke off"))]));
        restore(Arc::clone(&place) as _, ID, Box::pin(broken)).await.unwrap_err();
        assert_eq!(place.steps().last(), Some(&Step::Abandon(ID)));
    }

    #[test]
    fn steps_come_back_and_raft_is_left_alone() {
        let encoded = encode(&Step::Append(ID, Bytes::from_static(b"x"))).unwrap();
        assert!(is_step(&encoded) && !is_step(&[1, 2]) && !is_step(&[]));
        assert_eq!(decode::<Step>(&encoded).unwrap(), Step::Append(ID, Bytes::from_static(b"x")));
        assert!(decode::<Step>(&[1, 2]).is_err() && decode::<Step>(&[]).is_err());
    }
}
