//! Saving the whole state to a file and putting one back in its place.
//!
//! A state that is to be restored is read to its end and checked on the leader before anything is
//! proposed. Then it goes through the log like every other change: in pieces, which nobody can see,
//! and one command that puts them in place, on every server at the same point of the log.

use std::io::{BufWriter, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lictor_acl::Resource;
use lictor_archive::Meta;
use lictor_consensus::Consensus;
use lictor_model::command::{Command, Outcome, Restore, WriteOptions};
use lictor_model::query::{Consistency, ReadOptions};
use lictor_model::seam::{Content, Saved};
use lictor_model::{Code, Error, Result};
use lictor_rpc::message::{Answer, Request};
use lictor_rpc::transfer::{self, Elsewhere, MAX_PIECE, Opened, Place as Steps};
use lictor_store::{MAX_STATE, Snapshot, Store, gather_saved};
use lictor_sys::clock::Clock;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::Server;
use crate::place::{Attempt, Came};
use crate::prepare;
use crate::transfers::{Inlet, Outlet, Restoring, WAITING, WRITTEN};

/// How long putting a state in place may take, beyond what any command may.
const COMMIT_LIMIT: Duration = Duration::from_secs(600);
/// How often it is looked whether that came to nothing.
const COMMIT_LOOK: Duration = Duration::from_millis(250);
/// How often it is looked what transfers nobody goes on with, and whether a restoration was left
/// unfinished.
const LOOK_AFTER: Duration = Duration::from_secs(10);

impl Server {
    /// Saves the whole state, here or at the leader.
    ///
    /// # Errors
    /// [`NoLeader`](Code::NoLeader) where the consistency asked for needs one and none is there in
    /// time; what goes wrong later ends the content.
    pub async fn save(&self, options: ReadOptions) -> Result<Saved> {
        self.check_datacenter(options.datacenter.as_ref())?;
        let Opened { id, at, meta } = self.open_transfer(Request::Save { options }).await?;
        Ok(Saved { meta, content: transfer::save(self.place_at(at), id) })
    }

    /// Replaces the whole state, here or through the leader.
    ///
    /// # Errors
    /// As for [`Server::write`], and what is wrong with the file.
    pub async fn restore(&self, content: Content, options: WriteOptions) -> Result<()> {
        self.check_datacenter(options.datacenter.as_ref())?;
        let Opened { id, at, .. } = self.open_transfer(Request::Restore { options }).await?;
        transfer::restore(self.place_at(at), id, content).await
    }

    async fn open_transfer(&self, request: Request) -> Result<Opened> {
        match self.carry_out(Came::Directly, request).await? {
            Answer::Opened(opened) => Ok(opened),
            _ => Err(Error::mismatch()),
        }
    }

    fn place_at(&self, at: SocketAddr) -> Arc<dyn Steps> {
        if at == self.consensus.node().address {
            return Arc::clone(&self.transfers) as _;
        }
        Arc::new(Elsewhere::new(Arc::clone(&self.transport), at))
    }

    /// Begins to save this server's own state, if it may.
    pub(crate) async fn save_here(&self, options: &ReadOptions) -> Result<Attempt<Opened>> {
        let authorizer = self.resolver.resolve(&options.token);
        prepare::permit(&authorizer, Resource::Operator)?;
        if !self.may_answer(options.consistency).await? {
            return Ok(Attempt::Elsewhere);
        }
        let state = self.store.snapshot();
        let term = self.consensus.status().term;
        let described = Meta::new(state.index().0, term, self.clock.unix_millis());
        let meta = self.meta(state.index(), options.consistency);
        let (pieces, saving) = mpsc::channel(WAITING);
        let id = self.transfers.add_saving(saving)?;
        // Ends when nobody takes its pieces any more.
        drop(tokio::task::spawn_blocking(move || write(&state, described, pieces)));
        Ok(Attempt::Done(Opened { id, at: self.consensus.node().address, meta }))
    }

    /// Begins to take a state in, if this server leads.
    pub(crate) async fn restore_here(&self, options: &WriteOptions) -> Result<Attempt<Opened>> {
        let authorizer = self.resolver.resolve(&options.token);
        prepare::permit(&authorizer, Resource::Operator)?;
        if !self.may_answer(Consistency::Consistent).await? {
            return Ok(Attempt::Elsewhere);
        }
        let turn = Arc::clone(&self.restoring).try_acquire_owned().map_err(|_| {
            Error::new(Code::Overloaded, "another snapshot is being restored, try again later")
        })?;
        let (pieces, incoming) = mpsc::channel(WAITING);
        let (consensus, store) = (Arc::clone(&self.consensus), Arc::clone(&self.store));
        let outcome = tokio::spawn(async move {
            let present = Arc::clone(&store);
            // Reading goes on when this task is dropped, and so does its turn.
            let reading = tokio::task::spawn_blocking(move || (read(Inlet::new(incoming), &present), turn));
            let (state, _turn) = reading.await.map_err(|_| Error::stopping())?;
            replace(&consensus, &store, state?).await
        });
        let restoring = Restoring { pieces, outcome: AbortOnDropHandle::new(outcome) };
        let id = self.transfers.add_restoring(restoring)?;
        let meta = self.meta(self.store.snapshot().index(), Consistency::Consistent);
        Ok(Attempt::Done(Opened { id, at: self.consensus.node().address, meta }))
    }

    /// Has Raft take a snapshot, so that a start does not go through a restoration once more.
    async fn settle(&self) {
        if let Err(error) = self.consensus.trigger_snapshot().await {
            tracing::warn!(%error, "no snapshot of a restored state was taken yet");
        }
    }

    /// Gives up what a restoration has left in the state that never came to its end.
    async fn tidy(&self) {
        let is_left = self.consensus.lease_is_valid()
            && self.store.snapshot().is_being_replaced()
            && self.restoring.available_permits() > 0;
        if is_left && let Err(error) = propose(&self.consensus, Restore::Abandon).await {
            tracing::warn!(%error, "a restoration that was broken off is still in the way");
        }
    }
}

/// Proposes a state that was read and checked.
async fn replace(consensus: &Consensus, store: &Store, state: Vec<Bytes>) -> Result<()> {
    let id = Uuid::new_v4();
    let mut size = 0;
    propose(consensus, Restore::Begin { id }).await?;
    for data in state {
        let offset = size;
        size += data.len() as u64;
        propose(consensus, Restore::Piece { id, offset, data }).await?;
    }
    commit(consensus, store, Restore::Commit { id, size }).await?;
    tracing::info!(bytes = size, "restored a snapshot");
    Ok(())
}

/// Puts a state in place. A large one takes longer than other commands may.
async fn commit(consensus: &Consensus, store: &Store, step: Restore) -> Result<()> {
    let term = consensus.status().term;
    let mut restores = store.watch_restores();
    let Err(error) = propose(consensus, step).await else { return Ok(()) };
    if error.code != Code::Timeout {
        return Err(error);
    }
    let still_leads = || consensus.is_leader() && consensus.status().term == term;
    let came_to_nothing = async {
        while still_leads() && store.snapshot().is_being_replaced() {
            tokio::time::sleep(COMMIT_LOOK).await;
        }
        // The new state may be seen before it is counted.
        tokio::time::sleep(COMMIT_LOOK).await;
    };
    let replaced = tokio::select! {
        biased;
        changed = restores.changed() => changed.is_ok(),
        () = came_to_nothing => restores.has_changed().is_ok_and(|changed| changed),
        () = tokio::time::sleep(COMMIT_LIMIT) => false,
    };
    // Only somebody else's state could have come in another way, and only to who leads no more.
    if replaced && still_leads() { Ok(()) } else { Err(error) }
}

async fn propose(consensus: &Consensus, step: Restore) -> Result<()> {
    match consensus.propose(Command::Restore(step)).await? {
        (_, Outcome::Refused(error)) => Err(error),
        _ => Ok(()),
    }
}

/// Looks after transfers until `stop` is cancelled.
pub async fn run(server: Arc<Server>, stop: CancellationToken) {
    stop.run_until_cancelled(look_after(&server)).await;
    server.transfers.clear();
}

async fn look_after(server: &Server) {
    let mut look = tokio::time::interval(LOOK_AFTER);
    let mut restores = server.store.watch_restores();
    let mut restored = server.store.snapshot().restored();
    loop {
        tokio::select! {
            _ = look.tick() => {
                server.transfers.expire(Instant::now());
                server.tidy().await;
            }
            changed = restores.changed() => {
                if changed.is_err() {
                    return;
                }
                // Also a snapshot of Raft's that is put in place counts as a replacement.
                let newest = server.store.snapshot().restored();
                if std::mem::replace(&mut restored, newest) != newest {
                    server.settle().await;
                }
            }
        }
    }
}

fn write(state: &Snapshot, described: Meta, pieces: mpsc::Sender<Result<Bytes>>) {
    let errors = pieces.clone();
    let to = BufWriter::with_capacity(WRITTEN, Outlet(pieces));
    let written = lictor_archive::write(to, described, |to| {
        // The encoder writes every number by itself.
        let mut to = BufWriter::with_capacity(WRITTEN, to);
        state.encode_saved(&mut to)?;
        to.flush()
    });
    if let Err(error) = written {
        let _ = errors.blocking_send(Err(Error::failed(format!("the snapshot broke off: {error}"))));
    }
}

/// Reads a saved state to its end, and checks everything about it; also that it can gather beside
/// the present one.
fn read(from: impl Read, store: &Store) -> Result<Vec<Bytes>> {
    let taken = lictor_archive::read(from, MAX_STATE, |_, state| {
        gather_saved(state, MAX_PIECE).map_err(|error| error.to_string())
    });
    let (meta, pieces) = taken.map_err(|error| Error::failed(error.to_string()))?;
    if store.snapshot().has_room_for(meta.size) {
        return Ok(pieces);
    }
    let why = format!("the snapshot is too large: with the present state it has more than {MAX_STATE} bytes");
    Err(Error::failed(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timers::tests::store_with_session;

    fn saved(state: &Snapshot) -> Vec<u8> {
        let mut bytes = Vec::new();
        lictor_archive::write(&mut bytes, Meta::new(1, 1, 0), |mut to| state.encode_saved(&mut to)).unwrap();
        bytes
    }

    #[test]
    fn what_is_saved_can_be_restored() {
        let store = store_with_session("10s");
        assert!(!read(saved(&store.snapshot()).as_slice(), &store).unwrap().is_empty());
    }

    #[test]
    fn a_file_whose_state_is_none_is_refused() {
        let mut bytes = Vec::new();
        lictor_archive::write(&mut bytes, Meta::new(1, 1, 0), |to| to.write_all(&[1, 0xc1])).unwrap();
        let refusal = |bytes: &[u8]| read(bytes, &Store::new()).unwrap_err().to_string();
        assert!(refusal(&bytes).contains("cannot be read"));
        let mut bytes = Vec::new();
        lictor_archive::write(&mut bytes, Meta::new(1, 1, 0), |to| to.write_all(&[9])).unwrap();
        assert!(refusal(&bytes).contains("version 9"));
    }
}
