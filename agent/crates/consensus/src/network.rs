//! Raft between servers: its messages over the agents' transport, and their receiving end.
//!
//! A request names the Raft id it is meant for, so that a server that was wiped and came back at
//! the same address does not answer for the one it was before. Snapshots go in chunks over the
//! bulk lane; everything else is small and goes over the consensus lane.

pub(crate) mod book;
mod promise;
mod receive;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use lictor_rpc::{CallError, Lane, Transport};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{RaftNetworkFactory, RaftNetworkV2};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::formation::{Question, Reply};
use crate::mark::Mark;
use crate::network::book::AddressBook;
use crate::types::{PeerInfo, Snapshot, SnapshotMeta, TypeConfig, Vote};

pub(crate) use promise::Promise;
pub(crate) use receive::Receiver;

/// How much of a snapshot goes into one request.
const CHUNK: usize = 512 * 1024;
/// How many heartbeats a peer may take to write entries.
const ENTRIES_PATIENCE: u32 = 10;
/// How long one chunk may take.
const CHUNK_LIMIT: Duration = Duration::from_secs(10);
/// How long the last chunk may take, after which the snapshot is installed.
pub(crate) const INSTALL_LIMIT: Duration = Duration::from_secs(300);

/// Why a server takes no part in an election.
const KEEPS_PROMISE: &str = "this server has just started, and the leader it had may still have its lease";

/// What one server asks another.
#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// The Raft id it is meant for; [`ANYBODY`](crate::formation::ANYBODY) for questions.
    pub(crate) to: u64,
    pub(crate) message: Message,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) enum Message {
    Ask(Question),
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    Transfer(TransferLeaderRequest<TypeConfig>),
    Snapshot(Chunk),
}

impl Message {
    pub(crate) fn is_bulk(&self) -> bool {
        matches!(self, Self::Snapshot(_))
    }
}

/// A piece of a snapshot.
#[derive(Serialize, Deserialize)]
pub(crate) struct Chunk {
    vote: Vote,
    meta: SnapshotMeta,
    /// The size of the whole.
    total: u64,
    /// Where this piece belongs.
    offset: u64,
    data: Bytes,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) enum Answer {
    Told(Reply),
    Append(AppendEntriesResponse<TypeConfig>),
    Vote(VoteResponse<TypeConfig>),
    Transfer(TransferLeaderResponse<TypeConfig>),
    /// A piece is there; the next one, please.
    Received,
    Installed(SnapshotResponse<TypeConfig>),
    /// It was not done, and why.
    Refused(String),
}

/// Makes the connections to peers.
pub(crate) struct Peers {
    pub(crate) from: u64,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) book: AddressBook,
    pub(crate) disk: Disk,
    pub(crate) promise: Promise,
}

/// The disk, as far as a leader has to care.
///
/// A leader whose disk hangs could go on with the disks of the others, until its memory is full of
/// what it cannot write. So it falls silent, and the others elect one that is well.
#[derive(Clone)]
pub(crate) struct Disk {
    /// Since when it has been busy with one write.
    writing: Arc<Mark>,
    /// How long a write may take.
    patience: Duration,
    /// Whether an operator was told that it hangs.
    is_told: Arc<AtomicBool>,
}

impl Disk {
    pub(crate) fn new(writing: Arc<Mark>, patience: Duration) -> Self {
        Self { writing, patience, is_told: Arc::default() }
    }

    fn hangs(&self) -> bool {
        let hangs = self.writing.elapsed().is_some_and(|elapsed| elapsed > self.patience);
        if self.is_told.swap(hangs, Ordering::Relaxed) != hangs {
            if hangs {
                tracing::error!(
                    patience = ?self.patience,
                    "the disk does not complete a write of the raft log; this server does not lead until it does"
                );
            } else {
                tracing::info!("the disk completes writes of the raft log again");
            }
        }
        hangs
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &PeerInfo) -> Peer {
        self.book.note(target, node);
        Peer {
            from: self.from,
            to: target,
            first: node.address,
            book: self.book.clone(),
            disk: self.disk.clone(),
            promise: self.promise.clone(),
            transport: Arc::clone(&self.transport),
        }
    }
}

/// The way to one peer.
pub(crate) struct Peer {
    from: u64,
    to: u64,
    /// Where it was when this way was made.
    first: SocketAddr,
    book: AddressBook,
    disk: Disk,
    promise: Promise,
    transport: Arc<dyn Transport>,
}

impl Peer {
    fn address(&self) -> SocketAddr {
        self.book.find(self.to).unwrap_or(self.first)
    }

    async fn call(
        &self,
        lane: Lane,
        kind: RPCTypes,
        message: Message,
        limit: Duration,
    ) -> Result<Answer, RPCError<TypeConfig>> {
        if self.disk.hangs() {
            return Err(RPCError::Unreachable(Unreachable::from_string("the disk of this server hangs")));
        }
        let request = codec::encode(&Envelope { to: self.to, message })
            .map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        // The transport promises to keep the limit; Raft must not hang if one does not.
        let address = self.address();
        let answer = tokio::time::timeout(limit, self.transport.call(address, lane, request, limit))
            .await
            .unwrap_or(Err(CallError::TimedOut { peer: address, limit }));
        self.book.note_contact(self.to, answer.as_ref().err());
        let answer = answer.map_err(|error| match error {
            CallError::Unreachable { .. } => RPCError::Unreachable(Unreachable::new(&error)),
            CallError::TimedOut { .. } => {
                RPCError::Timeout(Timeout { action: kind, id: self.from, target: self.to, timeout: limit })
            }
            CallError::Broken { .. } | CallError::TooLarge { .. } => {
                RPCError::Network(NetworkError::new(&error))
            }
        })?;
        match codec::decode(&answer) {
            Ok(Answer::Refused(reason)) => Err(RPCError::Unreachable(Unreachable::from_string(reason))),
            Ok(answer) => Ok(answer),
            Err(error) => Err(RPCError::Network(NetworkError::new(&error))),
        }
    }

    fn unexpected(&self) -> RPCError<TypeConfig> {
        RPCError::Network(NetworkError::from_string(format!(
            "{} answered something else than was asked",
            self.address()
        )))
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: &Snapshot,
    ) -> Result<SnapshotResponse<TypeConfig>, RPCError<TypeConfig>> {
        let data = &snapshot.snapshot;
        let mut offset = 0;
        loop {
            let end = data.len().min(offset + CHUNK);
            let chunk = Chunk {
                vote,
                meta: snapshot.meta.clone(),
                total: data.len() as u64,
                offset: offset as u64,
                data: data.slice(offset..end),
            };
            let limit = if end == data.len() { INSTALL_LIMIT } else { CHUNK_LIMIT };
            match self.call(Lane::Bulk, RPCTypes::InstallSnapshot, Message::Snapshot(chunk), limit).await? {
                Answer::Received if end < data.len() => offset = end,
                // Also in the middle, when the peer has seen a newer leader.
                Answer::Installed(response) => return Ok(response),
                _ => return Err(self.unexpected()),
            }
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        // openraft allows one heartbeat. That suits heartbeats, which are answered at once; entries
        // have to be on the peer's disk before it answers.
        let patience = if rpc.entries.is_empty() { 1 } else { ENTRIES_PATIENCE };
        let limit = option.hard_ttl().saturating_mul(patience);
        match self.call(Lane::Consensus, RPCTypes::AppendEntries, Message::Append(rpc), limit).await? {
            Answer::Append(response) => Ok(response),
            _ => Err(self.unexpected()),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.call(Lane::Consensus, RPCTypes::Vote, Message::Vote(rpc), option.hard_ttl()).await? {
            Answer::Vote(response) => Ok(response),
            _ => Err(self.unexpected()),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        // Without this there is no election but one that a leader asks for.
        if self.promise.holds() {
            return Err(RPCError::Unreachable(Unreachable::from_string(KEEPS_PROMISE)));
        }
        match self.call(Lane::Consensus, RPCTypes::Vote, Message::PreVote(rpc), option.hard_ttl()).await? {
            Answer::Vote(response) => Ok(response),
            _ => Err(self.unexpected()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, &snapshot) => Ok(sent?),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let message = Message::Transfer(req);
        match self.call(Lane::Consensus, RPCTypes::TransferLeader, message, option.hard_ttl()).await? {
            Answer::Transfer(response) => Ok(response),
            _ => Err(self.unexpected()),
        }
    }
}
