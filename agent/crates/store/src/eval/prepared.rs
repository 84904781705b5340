//! Questions about prepared queries, and what these ask.

use std::sync::Arc;

use lictor_acl::{Access, Resource};
use lictor_model::check::Status;
use lictor_model::ids::fold;
use lictor_model::node::Node;
use lictor_model::prepared::{
    Executed, Execution, HIDDEN_TOKEN, NEAR_ADDRESS, NEAR_AGENT, PreparedQuery, ServiceQuery, parse_id,
};
use lictor_model::query::{Answer, Instance};
use lictor_model::service::Service;
use lictor_model::{Code, Error, NodeName, PreparedQueryId, Result, Token};

use super::{Evaluation, View};
use crate::watch::Watch;

impl View<'_> {
    pub(super) fn prepared_queries(&self) -> Evaluation {
        let all = self.snapshot.prepared.values();
        let visible = all.filter_map(|prepared| self.listed(&prepared.query)).collect();
        self.answer(Answer::PreparedQueries(visible), [Watch::PreparedQueries])
    }

    /// Nobody can wait for a query that is not there: the answer is an error at once.
    pub(super) fn prepared_query(&self, id: &PreparedQueryId) -> Result<Evaluation> {
        let id = parse_id(id.as_str())
            .map_err(|why| Error::failed(format!("failed prepared query lookup: index error: {why}")))?;
        let found = id.and_then(|id| self.snapshot.prepared.get(&id)).ok_or_else(not_found)?;
        let query = match found.query.ruled_name() {
            None => self.redacted(&found.query),
            Some(_) => self.listed(&found.query).ok_or_else(denied)?,
        };
        let watch = Watch::PreparedQuery(query.id.clone());
        Ok(self.answer(Answer::PreparedQueries(vec![query]), [watch]))
    }

    pub(super) fn explain(&self, name: &str) -> Result<Evaluation> {
        let query = self.snapshot.resolve_prepared(name)?.ok_or_else(not_found)?;
        let query = self.listed(&query).ok_or_else(denied)?;
        Ok(self.answer(Answer::PreparedQueries(vec![query]), [Watch::PreparedQueries]))
    }

    /// What a query selects, in the order of node names and service ids.
    pub(super) fn execute(&self, execution: &Execution) -> Result<Evaluation> {
        let query = self.snapshot.resolve_prepared(&execution.name)?.ok_or_else(not_found)?;
        let service = &query.service;
        let name = fold(&service.service);
        // There are no instances that are part of a mesh, and none of other clusters.
        let has_any = !service.connect && !execution.connect && service.peer.is_empty();
        let instances = self
            .snapshot
            .instances_of(&name)
            .filter(|_| has_any)
            .filter(|(node, service)| self.may_read_node(node) && self.may_read_service(service))
            .filter(|(node, instance)| {
                carries_meta(service, node, instance) && carries_tags(service, instance)
            })
            .map(|(node, instance)| self.with_checks(node, instance))
            .filter(|instance| is_healthy(service, instance))
            .collect();
        let mut executed = Executed {
            service: service.service.clone(),
            instances,
            dns: query.dns.clone(),
            near: self.place(execution, &service.near),
            peer: service.peer.clone(),
            ..Executed::default()
        };
        if executed.instances.is_empty() {
            // Other datacenters cannot be asked, and of peers nothing was imported.
            let targets = service.failover.targets.iter().flatten();
            for target in targets.filter(|target| !target.peer.is_empty()) {
                executed.peer.clone_from(&target.peer);
                executed.failovers += 1;
            }
        }
        let watches = [Watch::PreparedQueries, Watch::ServiceHealth(name)];
        Ok(self.answer(Answer::Executed(executed), watches))
    }

    /// The node whose distance orders the instances.
    fn place(&self, execution: &Execution, near: &str) -> NodeName {
        let wanted = if execution.near.is_empty() { near } else { &execution.near };
        match wanted {
            NEAR_AGENT => execution.agent.clone(),
            NEAR_ADDRESS => {
                let from = execution.from.map(|address| address.to_string());
                let here = from.and_then(|from| self.snapshot.nodes().find(|node| node.address == from));
                here.map(|node| node.name.clone()).unwrap_or_default()
            }
            node => NodeName::from(node),
        }
    }

    /// The query as a list shows it to the caller, if it does: those without a name only to those
    /// who may see all.
    fn listed(&self, query: &Arc<PreparedQuery>) -> Option<Arc<PreparedQuery>> {
        let may_read = |name| self.authorizer.allows(Access::Read, Resource::PreparedQuery(name));
        let is_visible = self.may_see_tokens() || query.ruled_name().is_some_and(may_read);
        is_visible.then(|| self.redacted(query))
    }

    fn redacted(&self, query: &Arc<PreparedQuery>) -> Arc<PreparedQuery> {
        if query.token.is_anonymous() || self.may_see_tokens() {
            return Arc::clone(query);
        }
        let token = Token::from(HIDDEN_TOKEN.to_owned());
        Arc::new(PreparedQuery { token, ..query.as_ref().clone() })
    }

    fn may_see_tokens(&self) -> bool {
        self.authorizer.allows(Access::Write, Resource::Acl)
    }
}

fn not_found() -> Error {
    Error::not_found("Query not found")
}

fn denied() -> Error {
    Error::new(Code::PermissionDenied, "Permission denied")
}

fn carries_meta(query: &ServiceQuery, node: &Node, instance: &Service) -> bool {
    let of_node = query.node_meta.iter().flatten().all(|(key, value)| node.meta.get(key) == Some(value));
    of_node && query.service_meta.iter().flatten().all(|(key, value)| instance.meta.get(key) == Some(value))
}

fn carries_tags(query: &ServiceQuery, instance: &Service) -> bool {
    let carries = |wanted: &str| instance.tags.iter().any(|tag| fold(tag) == fold(wanted));
    query.tags.iter().flatten().all(|tag| match tag.strip_prefix('!') {
        Some(unwanted) => !carries(unwanted),
        None => carries(tag),
    })
}

fn is_healthy(query: &ServiceQuery, instance: &Instance) -> bool {
    let ignored = |id| query.ignore_check_ids.iter().flatten().any(|ignored| ignored == id);
    let mut counted = instance.checks.iter().filter(|check| !ignored(&check.id));
    counted.all(|check| match check.status {
        Status::Passing => true,
        Status::Warning => !query.only_passing,
        Status::Critical => false,
    })
}
