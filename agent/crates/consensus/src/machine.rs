//! The state machine as openraft sees it: committed entries go into the store in batches, and
//! snapshots of the store come out.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use lictor_model::RaftIndex;
use lictor_model::command::{Command, Outcome};
use lictor_store::Store;
use openraft::EntryPayload;
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};

use crate::snapshot::SnapshotHome;
use crate::types::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig, public_index};

/// How many entries go into the store at once; readers see the state between two batches.
const BATCH: usize = 256;

/// The store with what Raft has to know of it.
pub(crate) struct Machine {
    store: Arc<Store>,
    snapshots: Arc<SnapshotHome>,
    last_applied: Option<LogId>,
    membership: StoredMembership,
}

impl Machine {
    pub(crate) fn new(store: Arc<Store>, snapshots: Arc<SnapshotHome>) -> Self {
        Self { store, snapshots, last_applied: None, membership: StoredMembership::default() }
    }

    async fn apply_batch(
        &mut self,
        batch: Vec<Result<EntryResponder<TypeConfig>, io::Error>>,
    ) -> io::Result<()> {
        let mut commands = Vec::with_capacity(batch.len());
        // What waits for an answer: true if the answer comes from the store.
        let mut waiting: Vec<(bool, Option<ApplyResponder<TypeConfig>>)> = Vec::with_capacity(batch.len());
        for item in batch {
            let (entry, responder) = item?;
            let log_id = entry.log_id;
            let is_command = match entry.payload {
                EntryPayload::Blank => false,
                EntryPayload::Normal(payload) => {
                    // A server that cannot read an entry must stop: leaving it out would make it
                    // differ from the others for good.
                    let command = payload.into_command().map_err(|error| {
                        io::Error::new(
                            io::ErrorKind::InvalidData,
                            format!("log entry {} cannot be applied: {error}", public_index(log_id)),
                        )
                    })?;
                    commands.push((public_index(log_id), command));
                    true
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(log_id), membership);
                    false
                }
            };
            self.last_applied = Some(log_id);
            waiting.push((is_command, responder));
        }
        let mut outcomes = apply(&self.store, commands).await?.into_iter();
        for (is_command, responder) in waiting {
            let outcome = if is_command {
                outcomes
                    .next()
                    .ok_or_else(|| io::Error::other("the store did not answer for each of its commands"))?
            } else {
                Outcome::Done
            };
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }
}

/// Applies commands, apart from the runtime's threads if that may take long.
async fn apply(store: &Arc<Store>, commands: Vec<(RaftIndex, Command)>) -> io::Result<Vec<Outcome>> {
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let applied = if commands.iter().any(|(_, command)| command.takes_long()) {
        let store = Arc::clone(store);
        tokio::task::spawn_blocking(move || store.apply(commands)).await?
    } else {
        store.apply(commands)
    };
    applied.map_err(|error| {
        let why = format!("a restored state cannot be applied by this build, only by the leader's: {error}");
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + Send,
    {
        let mut batches = entries.ready_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            self.apply_batch(batch).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        Builder {
            state: self.store.snapshot(),
            meta: SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() },
            snapshots: Arc::clone(&self.snapshots),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Bytes) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        let snapshots = Arc::clone(&self.snapshots);
        let installed = meta.clone();
        tokio::task::spawn_blocking(move || {
            // At start-up openraft hands us our own newest snapshot: that one is kept already.
            if installed.last_log_id != snapshots.newest_id() {
                snapshots.replace(&installed, &snapshot)?;
            }
            store.restore(&snapshot).map_err(io::Error::other)
        })
        .await??;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let snapshots = Arc::clone(&self.snapshots);
        let newest = tokio::task::spawn_blocking(move || snapshots.newest()).await??;
        Ok(newest.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Writes a snapshot of one moment, while the store moves on.
pub(crate) struct Builder {
    state: Arc<lictor_store::Snapshot>,
    meta: SnapshotMeta,
    snapshots: Arc<SnapshotHome>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let state = Arc::clone(&self.state);
        let meta = self.meta.clone();
        let snapshots = Arc::clone(&self.snapshots);
        tokio::task::spawn_blocking(move || {
            let data = Bytes::from(state.encode());
            snapshots.save(&meta, &data)?;
            tracing::info!(
                index = meta.last_log_id.map_or(0, |log_id| public_index(log_id).0),
                bytes = data.len(),
                "took a snapshot"
            );
            Ok(Snapshot { meta, snapshot: data })
        })
        .await?
    }
}
