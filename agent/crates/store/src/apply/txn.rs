//! Transactions.
//!
//! Operations see what those before them did. All are tried, so that all errors are told; if there
//! is one, nothing has happened.

use std::sync::Arc;

use lictor_model::command::Registration;
use lictor_model::ids::fold;
use lictor_model::txn::{
    CheckOperation, KvOperation, KvVerb, NodeOperation, Operation, OperationError, Row, RowVerb,
    ServiceOperation, TransactionReply,
};
use lictor_model::{Error, Key, RaftIndex};

use super::Change;
use super::kv::{Content, Denied};
use crate::snapshot::Snapshot;

type Rows = Result<Vec<Row>, Error>;

/// What a transaction that only reads comes to.
pub(crate) fn look(state: &Snapshot, operations: &[Operation]) -> TransactionReply {
    let index = state.index;
    let mut scratch = state.clone();
    let mut change = Change { state: &mut scratch, index, touched: &mut Vec::new() };
    change.try_all(operations)
}

impl Change<'_> {
    pub(super) fn transaction(&mut self, operations: &[Operation]) -> TransactionReply {
        let mut reply = TransactionReply::default();
        self.all_or_nothing(|change| {
            reply = change.try_all(operations);
            if reply.errors.is_empty() { Ok(()) } else { Err(()) }
        })
        .ok();
        reply
    }

    fn try_all(&mut self, operations: &[Operation]) -> TransactionReply {
        let mut reply = TransactionReply::default();
        for (op_index, operation) in operations.iter().enumerate() {
            let result = match operation {
                Operation::Kv(operation) => self.on_kv(operation),
                Operation::Node(operation) => self.on_node(operation),
                Operation::Service(operation) => self.on_service(operation),
                Operation::Check(operation) => self.on_check(operation),
            };
            match result {
                Ok(rows) => reply.rows.extend(rows),
                Err(error) => reply.errors.push(OperationError { op_index, what: error.message }),
            }
        }
        if !reply.errors.is_empty() {
            reply.rows.clear();
        }
        reply
    }

    fn on_kv(&mut self, operation: &KvOperation) -> Rows {
        let KvOperation { verb, key, value, flags, index, session } = operation;
        let content = || Content { value: value.clone(), flags: *flags };
        let name = key.as_str();
        match verb {
            KvVerb::Set => self.set(key.clone(), content()),
            KvVerb::Cas => {
                let done = self.set_if(key.clone(), content(), Some(*index));
                ensure(done, || format!("failed to set key {name:?}, index is stale"))?;
            }
            KvVerb::Lock => match self.lock(key.clone(), content(), session)? {
                Ok(()) => {}
                Err(Denied::Held) => {
                    return Err(Error::failed(format!("failed to lock key {name:?}, lock is already held")));
                }
                Err(Denied::Delayed) => {
                    return Err(Error::failed(format!("failed to lock key {name:?} due to lock delay")));
                }
            },
            KvVerb::Unlock => {
                let done = self.unlock(key.clone(), content(), session)?;
                ensure(done, || {
                    format!("failed to unlock key {name:?}, lock isn't held, or is held by another session")
                })?;
            }
            KvVerb::Delete => {
                self.delete(key);
                return Ok(Vec::new());
            }
            KvVerb::DeleteCas => {
                let done = self.delete_if(key, Some(*index));
                ensure(done, || format!("failed to delete key {name:?}, index is stale"))?;
                return Ok(Vec::new());
            }
            KvVerb::DeleteTree => {
                self.delete_tree(key);
                return Ok(Vec::new());
            }
            _ => return self.looking_at_kv(operation),
        }
        Ok(self.entry_without_value(key))
    }

    fn looking_at_kv(&self, KvOperation { verb, key, index, session, .. }: &KvOperation) -> Rows {
        let name = key.as_str();
        let existing = self.state.kv.get(key);
        match verb {
            KvVerb::Get => {
                let entry = existing.ok_or_else(|| Error::failed(format!("key {name:?} doesn't exist")))?;
                Ok(vec![Row::Entry(Arc::clone(entry))])
            }
            KvVerb::GetOrEmpty => Ok(vec![Row::Entry(existing.cloned().unwrap_or_else(|| empty(key)))]),
            KvVerb::GetTree => Ok(self.state.entries_below(key).cloned().map(Row::Entry).collect()),
            KvVerb::CheckSession => {
                let entry = existing.ok_or_else(|| {
                    Error::failed(format!("failed to check session, key {name:?} doesn't exist"))
                })?;
                let (holder, wanted) = (entry.session.as_str(), session.as_str());
                ensure(holder == wanted, || {
                    format!("failed session check for key {name:?}, current session {holder:?} != {wanted:?}")
                })?;
                Ok(self.entry_without_value(key))
            }
            KvVerb::CheckIndex => {
                let entry = existing.ok_or_else(|| {
                    Error::failed(format!("failed to check index, key {name:?} doesn't exist"))
                })?;
                let found = entry.modify_index;
                ensure(found == *index, || {
                    format!("failed index check for key {name:?}, current modify index {found} != {index}")
                })?;
                Ok(self.entry_without_value(key))
            }
            KvVerb::CheckNotExists => {
                ensure(existing.is_none(), || format!("key {name:?} exists"))?;
                Ok(Vec::new())
            }
            other => Err(unknown(other.clone())),
        }
    }

    fn entry_without_value(&self, key: &Key) -> Vec<Row> {
        self.state.kv.get(key).cloned().map(Row::EntryWithoutValue).into_iter().collect()
    }

    fn on_node(&mut self, NodeOperation { verb, node }: &NodeOperation) -> Rows {
        let name = node.name.as_str();
        // A node may have been renamed: its id finds it where one is given.
        let by_id = self.state.node_ids.get(&node.id).filter(|_| !node.id.is_empty()).cloned();
        let key = if node.id.is_empty() { Some(fold(name)) } else { by_id };
        let found = |state: &Snapshot| key.as_ref().and_then(|key| state.nodes.get(key)).cloned();
        let existing = self.state.node(name).map(|node| node.modify_index);
        let stale = |what: &str| format!("failed to {what} node {name:?}, index is stale");
        match verb {
            RowVerb::Get => {
                let node = found(self.state);
                let node = node.ok_or_else(|| Error::failed(format!("node {name:?} doesn't exist")))?;
                Ok(vec![Row::Node(node)])
            }
            RowVerb::Set | RowVerb::Cas => {
                ensure(*verb == RowVerb::Set || may_set(node.modify_index, existing), || stale("set"))?;
                self.register_all(Registration {
                    id: node.id.clone(),
                    node: node.name.clone(),
                    address: node.address.clone(),
                    datacenter: node.datacenter.clone(),
                    tagged_addresses: node.tagged_addresses.clone(),
                    node_meta: node.meta.clone(),
                    ..Registration::default()
                })?;
                Ok(self.state.node(name).cloned().map(Row::Node).into_iter().collect())
            }
            RowVerb::Delete | RowVerb::DeleteCas => {
                ensure(*verb == RowVerb::Delete || existing == Some(node.modify_index), || stale("delete"))?;
                self.remove_node(&fold(name));
                Ok(Vec::new())
            }
            RowVerb::Unknown(word) => Err(unknown(word.clone())),
        }
    }

    fn on_service(&mut self, ServiceOperation { verb, node, service }: &ServiceOperation) -> Rows {
        let (name, id) = (node.as_str(), service.id.as_str());
        let key = (fold(name), service.id.clone());
        let existing = self.state.services.get(&key).map(|service| service.modify_index);
        let stale = |what: &str| format!("failed to {what} service {id:?} on node {name:?}, index is stale");
        match verb {
            RowVerb::Get => {
                let found =
                    self.state.services.get(&key).cloned().ok_or_else(|| {
                        Error::failed(format!("service {id:?} on node {name:?} doesn't exist"))
                    })?;
                Ok(vec![Row::Service(found)])
            }
            RowVerb::Set | RowVerb::Cas => {
                ensure(*verb == RowVerb::Set || may_set(service.modify_index, existing), || stale("set"))?;
                self.must_have_node(name)?;
                self.register_all(Registration {
                    node: node.clone(),
                    service: Some(Arc::new(service.clone())),
                    skip_node_update: true,
                    ..Registration::default()
                })?;
                Ok(self.state.services.get(&key).cloned().map(Row::Service).into_iter().collect())
            }
            RowVerb::Delete | RowVerb::DeleteCas => {
                let holds = *verb == RowVerb::Delete || existing == Some(service.modify_index);
                ensure(holds, || stale("delete"))?;
                self.remove_service(&key.0, &service.id);
                Ok(Vec::new())
            }
            RowVerb::Unknown(word) => Err(unknown(word.clone())),
        }
    }

    fn on_check(&mut self, CheckOperation { verb, check }: &CheckOperation) -> Rows {
        let (name, id) = (check.node.as_str(), check.id.as_str());
        let key = (fold(name), check.id.clone());
        let existing = self.state.checks.get(&key).map(|check| check.modify_index);
        let stale = |what: &str| format!("failed to {what} check {id:?} on node {name:?}, index is stale");
        match verb {
            RowVerb::Get => {
                let found =
                    self.state.checks.get(&key).cloned().ok_or_else(|| {
                        Error::failed(format!("check {id:?} on node {name:?} doesn't exist"))
                    })?;
                Ok(vec![Row::Check(found)])
            }
            RowVerb::Set | RowVerb::Cas => {
                ensure(*verb == RowVerb::Set || may_set(check.modify_index, existing), || stale("set"))?;
                self.must_have_node(name)?;
                self.register_all(Registration {
                    node: check.node.clone(),
                    checks: vec![Arc::new(check.clone())],
                    skip_node_update: true,
                    ..Registration::default()
                })?;
                Ok(self.state.checks.get(&key).cloned().map(Row::Check).into_iter().collect())
            }
            RowVerb::Delete | RowVerb::DeleteCas => {
                let holds = *verb == RowVerb::Delete || existing == Some(check.modify_index);
                ensure(holds, || stale("delete"))?;
                self.remove_check(&key.0, &check.id);
                Ok(Vec::new())
            }
            RowVerb::Unknown(word) => Err(unknown(word.clone())),
        }
    }

    fn must_have_node(&self, name: &str) -> Result<(), Error> {
        ensure(self.state.node(name).is_some(), || "Missing node registration".to_owned())
    }
}

/// Whether a row may be written on the condition that its modify index is `wanted`.
fn may_set(wanted: RaftIndex, existing: Option<RaftIndex>) -> bool {
    existing.unwrap_or_default() == wanted
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::failed(otherwise())) }
}

/// Verbs are looked at before a transaction is proposed; a newer server may know more of them.
fn unknown(verb: impl Into<String>) -> Error {
    Error::failed(format!("unknown verb {:?}", verb.into()))
}

/// What stands for an entry that does not exist.
fn empty(key: &Key) -> Arc<lictor_model::kv::KvEntry> {
    Arc::new(lictor_model::kv::KvEntry { key: key.clone(), ..Default::default() })
}
