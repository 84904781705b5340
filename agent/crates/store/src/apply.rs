//! What each command does to the state.
//!
//! A command that changes nothing moves no index and wakes nobody: registering the same thing
//! again is free for everyone who watches.

mod catalog;
mod kv;
mod operator;
mod prepared;
mod restore;
mod session;
mod txn;

use lictor_model::RaftIndex;
use lictor_model::command::{Command, Outcome};

use crate::encode::RestoreError;
use crate::snapshot::Snapshot;
use crate::watch::Watch;

pub(crate) use txn::look;

/// One command being applied: the state it changes, and what it touches.
pub(crate) struct Change<'a> {
    state: &'a mut Snapshot,
    index: RaftIndex,
    touched: &'a mut Vec<Watch>,
}

/// Applies one command; what it touches is added to `touched`. Fails only if it puts a state in place
/// that cannot be read.
pub(crate) fn apply(
    state: &mut Snapshot,
    index: RaftIndex,
    command: Command,
    touched: &mut Vec<Watch>,
) -> Result<Outcome, RestoreError> {
    let index = RaftIndex(index.0.saturating_add(state.ahead));
    state.index = index;
    let mut change = Change { state, index, touched };
    let outcome = match command {
        Command::Register(registration) => change.register(*registration),
        Command::Deregister(deregistration) => change.deregister(&deregistration),
        Command::Kv(kv) => change.kv(kv),
        Command::CreateSession(session) => change.create_session(*session),
        Command::EndSessions(ids) => change.end_sessions(&ids),
        Command::EndLockDelays(delays) => change.end_lock_delays(&delays),
        Command::SetAutopilot { config, cas } => change.set_autopilot(*config, cas),
        Command::UpdateCoordinates(coordinates) => change.update_coordinates(coordinates),
        Command::Transaction(operations) => Outcome::Transaction(change.transaction(&operations)),
        Command::Restore(step) => change.restore(step)?,
        Command::Prepared(prepared) => change.prepared(prepared),
        // Nothing that is replicated changes; a log that has one all the same stays readable.
        Command::RenewSession(_) => Outcome::Done,
    };
    Ok(outcome)
}

impl Change<'_> {
    /// Does all that `attempt` does, or if it fails nothing.
    fn all_or_nothing<E>(&mut self, attempt: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), E> {
        let before = self.state.clone();
        let touched_before = self.touched.len();
        let result = attempt(self);
        if result.is_err() {
            *self.state = before;
            self.touched.truncate(touched_before);
        }
        result
    }

    /// Moves the index of a thing that exists.
    fn touch(&mut self, watch: Watch) {
        self.state.indexes.touch(watch.clone(), self.index);
        self.touched.push(watch);
    }

    /// Moves the index of a thing that is gone.
    fn bury(&mut self, watch: Watch) {
        self.state.indexes.bury(watch.clone(), self.index);
        self.touched.push(watch);
    }
}
