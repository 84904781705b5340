//! The receiving end of Raft's messages.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use lictor_store::MAX_STATE;
use openraft::errors::RaftError;
use openraft::raft::{SnapshotResponse, VoteRequest};

use crate::network::{Answer, Chunk, KEEPS_PROMISE, Message, Promise};
use crate::types::{Raft, Snapshot, SnapshotMeta, Vote};

/// Hands messages from peers to Raft and puts snapshots together.
pub(crate) struct Receiver {
    id: u64,
    raft: Raft,
    promise: Promise,
    /// The snapshot that is coming in. A server has one leader, so there is at most one.
    incoming: Mutex<Option<Incoming>>,
}

struct Incoming {
    vote: Vote,
    meta: SnapshotMeta,
    total: u64,
    data: BytesMut,
}

/// What a chunk came to.
enum Progress {
    Incomplete,
    Complete(Vote, Snapshot),
}

impl Receiver {
    pub(crate) fn new(id: u64, raft: Raft, promise: Promise) -> Self {
        Self { id, raft, promise, incoming: Mutex::new(None) }
    }

    /// Answers a message of Raft's own. Also says whether it came from a leader that this server
    /// follows.
    pub(crate) async fn handle(&self, to: u64, message: Message) -> (Answer, bool) {
        if to != self.id {
            let reason = format!(
                "this server has the raft id {:x}; {to:x} is gone, remove it from the cluster",
                self.id
            );
            return (Answer::Refused(reason), false);
        }
        let answer = self.answer(message).await;
        let followed = match &answer {
            Answer::Append(response) => {
                !matches!(response, openraft::raft::AppendEntriesResponse::HigherVote(_))
            }
            Answer::Received | Answer::Installed(_) => true,
            _ => false,
        };
        (answer, followed)
    }

    async fn answer(&self, message: Message) -> Answer {
        match message {
            Message::Vote(VoteRequest { leadership_transfer: false, .. }) | Message::PreVote(_)
                if self.promise.holds() =>
            {
                Answer::Refused(KEEPS_PROMISE.to_owned())
            }
            Message::Append(request) => or_refused(self.raft.append_entries(request).await, Answer::Append),
            Message::Vote(request) => or_refused(self.raft.vote(request).await, Answer::Vote),
            Message::PreVote(request) => or_refused(self.raft.pre_vote(request).await, Answer::Vote),
            Message::Transfer(request) => match self.raft.handle_transfer_leader(request).await {
                Ok(response) => Answer::Transfer(response),
                Err(error) => Answer::Refused(error.to_string()),
            },
            Message::Snapshot(chunk) => self.receive(chunk).await,
            Message::Ask(_) => Answer::Refused("a question is for anybody".to_owned()),
        }
    }

    async fn receive(&self, chunk: Chunk) -> Answer {
        // Install nothing, and gather nothing, for a leader that is no longer one.
        let known = self.raft.metrics();
        let known = openraft::type_config::async_runtime::watch::WatchReceiver::borrow_watched(&known).vote;
        if known > chunk.vote {
            *self.incoming() = None;
            return Answer::Installed(SnapshotResponse::new(known));
        }
        match self.gather(&chunk) {
            Ok(Progress::Incomplete) => Answer::Received,
            Ok(Progress::Complete(vote, snapshot)) => {
                match self.raft.install_full_snapshot(vote, snapshot).await {
                    Ok(response) => Answer::Installed(response),
                    Err(error) => Answer::Refused(error.to_string()),
                }
            }
            Err(reason) => Answer::Refused(reason),
        }
    }

    fn incoming(&self) -> MutexGuard<'_, Option<Incoming>> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gather(&self, chunk: &Chunk) -> Result<Progress, String> {
        if chunk.total > MAX_STATE {
            return Err(format!("a snapshot of {} bytes is too large", chunk.total));
        }
        let mut incoming = self.incoming();
        if chunk.offset == 0 {
            *incoming = Some(Incoming {
                vote: chunk.vote,
                meta: chunk.meta.clone(),
                total: chunk.total,
                data: BytesMut::new(),
            });
        }
        let current = incoming.as_mut().filter(|current| {
            current.vote == chunk.vote
                && current.meta == chunk.meta
                && current.total == chunk.total
                && current.data.len() as u64 == chunk.offset
                && chunk.offset.saturating_add(chunk.data.len() as u64) <= chunk.total
        });
        let Some(current) = current else {
            *incoming = None;
            return Err("a piece of a snapshot came out of order; send it again from the start".to_owned());
        };
        current.data.extend_from_slice(&chunk.data);
        if (current.data.len() as u64) < current.total {
            return Ok(Progress::Incomplete);
        }
        match incoming.take() {
            Some(whole) => Ok(Progress::Complete(
                whole.vote,
                Snapshot { meta: whole.meta, snapshot: whole.data.freeze() },
            )),
            None => Ok(Progress::Incomplete),
        }
    }
}

fn or_refused<T>(
    result: Result<T, RaftError<crate::types::TypeConfig>>,
    answer: impl FnOnce(T) -> Answer,
) -> Answer {
    match result {
        Ok(response) => answer(response),
        Err(error) => Answer::Refused(error.to_string()),
    }
}
