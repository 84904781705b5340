//! Questions about sessions, and transactions that only read.

use std::sync::Arc;

use lictor_acl::{Access, Resource};
use lictor_model::ids::fold;
use lictor_model::query::Answer;
use lictor_model::session::Session;
use lictor_model::txn::{Operation, Row, TransactionReply};
use lictor_model::{NodeName, RaftIndex, SessionId};

use super::{Evaluation, View};
use crate::apply;
use crate::watch::{Watch, WatchSet};

impl View<'_> {
    pub(super) fn session(&self, id: &SessionId) -> Evaluation {
        let found = self.snapshot.sessions.get(id);
        self.sessions_answer(found.into_iter(), Watch::Session(id.clone()))
    }

    pub(super) fn sessions(&self) -> Evaluation {
        self.sessions_answer(self.snapshot.sessions.values(), Watch::Sessions)
    }

    pub(super) fn node_sessions(&self, node: &NodeName) -> Evaluation {
        let node = fold(node.as_str());
        self.sessions_answer(self.snapshot.sessions_on(&node), Watch::NodeSessions(Arc::clone(&node)))
    }

    fn sessions_answer<'s>(
        &self,
        sessions: impl Iterator<Item = &'s Arc<Session>>,
        watch: Watch,
    ) -> Evaluation {
        let visible = sessions
            .filter(|session| self.authorizer.allows(Access::Read, Resource::Session(session.node.as_str())))
            .cloned()
            .collect();
        self.answer(Answer::Sessions(visible), [watch])
    }

    /// Nobody waits for a transaction, so it has no watches and its index says nothing.
    pub(super) fn transaction(&self, operations: &[Operation]) -> Evaluation {
        let mut reply: TransactionReply = apply::look(self.snapshot, operations);
        reply.rows.retain(|row| self.may_see(row));
        Evaluation { answer: Answer::Transaction(reply), index: RaftIndex(1), watches: WatchSet::default() }
    }

    fn may_see(&self, row: &Row) -> bool {
        let resource = match row {
            Row::Entry(entry) | Row::EntryWithoutValue(entry) => Resource::Key(entry.key.as_str()),
            Row::Node(node) => Resource::Node(node.name.as_str()),
            Row::Service(service) => Resource::Service(service.name.as_str()),
            Row::Check(check) if check.service_name.is_empty() => Resource::Node(check.node.as_str()),
            Row::Check(check) => Resource::Service(check.service_name.as_str()),
        };
        self.authorizer.allows(Access::Read, resource)
    }
}
