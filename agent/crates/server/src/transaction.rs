//! Transactions are looked at as a whole before any of their operations is tried: all that are
//! malformed or not allowed are told at once.

use lictor_acl::{Access, Authorizer, Resource};
use lictor_model::txn::{
    CheckOperation, KvOperation, KvVerb, NodeOperation, Operation, OperationError, RowVerb, ServiceOperation,
    TransactionReply,
};
use lictor_model::{CheckId, Datacenter, Error, Result, ServiceId};

use crate::prepare::{key_fits, node_id, permit};

/// Fills in what follows from the operations; returns what is wrong with them, if anything is.
pub(crate) fn prepare(
    operations: &mut [Operation],
    authorizer: &Authorizer,
    datacenter: &Datacenter,
) -> Option<TransactionReply> {
    let errors: Vec<OperationError> = operations
        .iter_mut()
        .enumerate()
        .filter_map(|(op_index, operation)| {
            let error = one(operation, authorizer, datacenter).err()?;
            Some(OperationError { op_index, what: error.message })
        })
        .collect();
    (!errors.is_empty()).then(|| TransactionReply { errors, ..TransactionReply::default() })
}

fn one(operation: &mut Operation, authorizer: &Authorizer, datacenter: &Datacenter) -> Result<()> {
    match operation {
        Operation::Kv(operation) => kv(operation, authorizer),
        Operation::Node(operation) => node(operation, authorizer, datacenter),
        Operation::Service(operation) => service(operation, authorizer),
        Operation::Check(operation) => check(operation, authorizer),
    }
}

fn kv(KvOperation { verb, key, .. }: &KvOperation, authorizer: &Authorizer) -> Result<()> {
    if key.is_empty() && !matches!(verb, KvVerb::DeleteTree | KvVerb::GetTree) {
        return Err(Error::failed("Must provide key"));
    }
    key_fits(key)?;
    let resource = Resource::Key(key.as_str());
    match verb {
        KvVerb::Unknown(word) => Err(Error::failed(format!("unknown KV operation: {word}"))),
        // What these return is filtered when it is read.
        KvVerb::Get | KvVerb::GetOrEmpty | KvVerb::GetTree => Ok(()),
        KvVerb::CheckSession | KvVerb::CheckIndex | KvVerb::CheckNotExists => {
            if authorizer.allows(Access::Read, resource) {
                return Ok(());
            }
            Err(Error::new(lictor_model::Code::PermissionDenied, "Permission denied"))
        }
        _ => permit(authorizer, resource),
    }
}

fn node(
    NodeOperation { verb, node }: &mut NodeOperation,
    authorizer: &Authorizer,
    datacenter: &Datacenter,
) -> Result<()> {
    known(verb, "node")?;
    if *verb == RowVerb::Get {
        return Ok(());
    }
    if node.name.is_empty() {
        return Err(Error::failed("Must provide node"));
    }
    if !node.id.is_empty() {
        node.id = node_id(&node.id)?;
    }
    node.datacenter = datacenter.clone();
    permit(authorizer, Resource::Node(node.name.as_str()))
}

fn service(
    ServiceOperation { verb, service, .. }: &mut ServiceOperation,
    authorizer: &Authorizer,
) -> Result<()> {
    known(verb, "service")?;
    if *verb == RowVerb::Get {
        return Ok(());
    }
    if service.id.is_empty() {
        service.id = ServiceId::from(service.name.shared());
    }
    if service.name.is_empty() {
        return Err(Error::failed("Must provide service name (Service.Service) when service ID is provided"));
    }
    permit(authorizer, Resource::Service(service.name.as_str()))
}

fn check(CheckOperation { verb, check }: &mut CheckOperation, authorizer: &Authorizer) -> Result<()> {
    known(verb, "check")?;
    if *verb == RowVerb::Get {
        return Ok(());
    }
    if check.id.is_empty() {
        check.id = CheckId::from(check.name.as_str());
    }
    if check.id.is_empty() {
        return Err(Error::failed("Must provide a check ID or a name"));
    }
    permit(authorizer, Resource::Node(check.node.as_str()))
}

fn known(verb: &RowVerb, what: &str) -> Result<()> {
    match verb {
        RowVerb::Unknown(word) => Err(Error::failed(format!("unknown {what} operation: {word}"))),
        _ => Ok(()),
    }
}
