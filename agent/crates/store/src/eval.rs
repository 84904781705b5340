//! Questions answered from a snapshot.

mod address;
mod catalog;
mod health;
mod kv;
mod operator;
mod prepared;
mod session;

use lictor_acl::Authorizer;
use lictor_model::query::{Answer, Query};
use lictor_model::{RaftIndex, Result};

use crate::snapshot::Snapshot;
use crate::watch::{Watch, WatchSet};

/// An answer with what it depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The answer.
    pub answer: Answer,
    /// The index to wait on for a different answer; at least 1.
    pub index: RaftIndex,
    /// What to wait for.
    pub watches: WatchSet,
}

/// Answers a query from a snapshot, as far as the authorizer lets its caller see.
///
/// # Errors
/// [`Failed`](lictor_model::Code::Failed) if a filter does not fit what it filters, or a template the
/// name it was asked by; [`NotFound`](lictor_model::Code::NotFound) for an unknown prepared query.
pub fn eval(snapshot: &Snapshot, query: &Query, authorizer: &Authorizer) -> Result<Evaluation> {
    let mut evaluation = evaluate(&View { snapshot, authorizer }, query)?;
    // What was restored may have lower indexes than what was there before. Who comes back with one
    // of those has not seen yet that everything was replaced.
    evaluation.index = evaluation.index.max(snapshot.restored);
    Ok(evaluation)
}

fn evaluate(view: &View<'_>, query: &Query) -> Result<Evaluation> {
    match query {
        Query::KvGet { key } => Ok(view.kv_get(key)),
        Query::KvList { prefix } => Ok(view.kv_list(prefix)),
        Query::KvKeys { prefix, separator } => Ok(view.kv_keys(prefix, separator)),
        Query::Nodes(selector) => view.nodes(selector),
        Query::Services(selector) => view.services(selector),
        Query::ServiceNodes(selector) => view.service_nodes(selector),
        Query::NodeServices { node, filter } => view.node_services(node, filter),
        Query::Health(selector) => view.health(selector),
        Query::ServiceChecks { service, selector } => view.service_checks(service, selector),
        Query::NodeChecks { node, filter } => view.node_checks(node, filter),
        Query::ChecksInState { state, selector } => view.checks_in_state(state, selector),
        Query::NodesAt { address } => Ok(view.nodes_at(*address)),
        Query::InstancesAt { address } => Ok(view.instances_at(*address)),
        Query::Session(id) => Ok(view.session(id)),
        Query::Sessions => Ok(view.sessions()),
        Query::NodeSessions(node) => Ok(view.node_sessions(node)),
        Query::Autopilot => Ok(view.autopilot()),
        Query::Usage => Ok(view.usage()),
        Query::Coordinates => Ok(view.coordinates()),
        Query::NodeCoordinates(node) => Ok(view.node_coordinates(node)),
        Query::Transaction(operations) => Ok(view.transaction(operations)),
        Query::PreparedQueries => Ok(view.prepared_queries()),
        Query::PreparedQuery(id) => view.prepared_query(id),
        Query::ExplainPrepared { name } => view.explain(name),
        Query::ExecutePrepared(execution) => view.execute(execution),
    }
}

/// A snapshot through the eyes of one caller.
struct View<'a> {
    snapshot: &'a Snapshot,
    authorizer: &'a Authorizer,
}

impl View<'_> {
    /// An answer whose index is the newest of its watches'.
    fn answer(&self, answer: Answer, watches: impl IntoIterator<Item = Watch>) -> Evaluation {
        let watches: WatchSet = watches.into_iter().collect();
        let index = watches.iter().map(|watch| self.snapshot.indexes.of(watch)).max().unwrap_or_default();
        Evaluation { answer, index: index.max(RaftIndex(1)), watches }
    }
}
