//! The replicated state machine: tables, exact indexes, commands and questions.
//!
//! A [`Store`] is a function of the commands applied to it: no clock, no randomness, no I/O. One
//! writer applies batches of committed commands and publishes an immutable [`Snapshot`] after
//! each; readers take the newest snapshot and never block the writer.
//!
//! * [`Store::apply`] is the way in; [`mod@apply`] holds what each command does.
//! * [`eval()`] answers a [`Query`](lictor_model::query::Query) from a snapshot and says which
//!   [`Watch`]es the answer depends on.
//! * [`Watchers`] wakes exactly those who wait for one of the watches a batch touched. An index
//!   belongs to what was asked for, also to what does not exist: an unrelated write neither wakes
//!   a reader nor moves its index.
//!
//! Nothing here may ask for the time or for a random number: such values travel in commands.

mod apply;
mod encode;
pub mod eval;
mod indexes;
mod near;
mod prepared;
mod restore;
mod snapshot;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use lictor_model::RaftIndex;
use lictor_model::command::{Command, Outcome};
use tokio::sync::watch as channel;

pub use encode::RestoreError;
pub use eval::{Evaluation, eval};
pub use near::{sort_by_distance, sort_instances_by_distance};
pub use restore::{MAX_STATE, gather_saved};
pub use snapshot::{Difference, PendingDelay, Sizes, Snapshot};
pub use watch::{Waiting, Watch, WatchSet, Watchers};

/// The state machine with its readers.
#[derive(Debug, Default)]
pub struct Store {
    current: ArcSwap<Snapshot>,
    /// Held while a batch is applied, so that batches cannot interleave.
    writer: Mutex<()>,
    watchers: Watchers,
    restores: channel::Sender<u64>,
}

impl Store {
    /// An empty state machine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies committed commands in order, publishes one new snapshot and wakes who waits for
    /// what they touched. Returns what each came to.
    ///
    /// # Errors
    /// If a state is to be put in place that this build cannot read. Nothing of the batch is applied
    /// then, and nothing may follow it: other servers may have been able to read it.
    pub fn apply(
        &self,
        batch: impl IntoIterator<Item = (RaftIndex, Command)>,
    ) -> Result<Vec<Outcome>, RestoreError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.current.load());
        let restored_before = next.restored;
        let mut touched = Vec::new();
        let outcomes = batch
            .into_iter()
            .map(|(index, command)| apply::apply(&mut next, index, command, &mut touched))
            .collect::<Result<_, _>>()?;
        let is_replaced = next.restored != restored_before;
        self.current.store(Arc::new(next));
        if is_replaced {
            self.has_been_replaced();
        } else {
            self.watchers.wake(&touched);
        }
        Ok(outcomes)
    }

    /// The newest state.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Those who wait for changes.
    #[must_use]
    pub fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Replaces everything by an encoded snapshot and wakes everyone.
    ///
    /// # Errors
    /// If the bytes are no snapshot of a version this build reads; nothing is changed then.
    pub fn restore(&self, encoded: &[u8]) -> Result<(), RestoreError> {
        let restored = Snapshot::decode(encoded)?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.current.store(Arc::new(restored));
        self.has_been_replaced();
        Ok(())
    }

    fn has_been_replaced(&self) {
        self.restores.send_modify(|restores| *restores += 1);
        self.watchers.wake_all();
    }

    /// How often everything was replaced. Indexes may have gone back whenever this has changed.
    #[must_use]
    pub fn restores(&self) -> u64 {
        *self.restores.borrow()
    }

    /// The same, for those who wait for it.
    #[must_use]
    pub fn watch_restores(&self) -> channel::Receiver<u64> {
        self.restores.subscribe()
    }
}

#[cfg(test)]
mod tests;
