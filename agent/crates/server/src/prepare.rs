//! Validates commands and fills in what follows from them, before they are proposed.

use std::sync::Arc;

use lictor_acl::{Access, Authorizer, Resource};
use lictor_model::check::Check;
use lictor_model::command::{Command, Deregistration, KvChange, Registration};
use lictor_model::{CheckId, Code, Datacenter, Error, NodeId, Result, ServiceId};

/// The longest key accepted, in bytes: what fits into a URL that everything on the way accepts.
const MAX_KEY: usize = 4096;

pub(crate) fn prepare(command: &mut Command, authorizer: &Authorizer, datacenter: &Datacenter) -> Result<()> {
    match command {
        Command::Register(registration) => register(registration, authorizer, datacenter),
        Command::Deregister(deregistration) => deregister(deregistration, authorizer, datacenter),
        Command::Kv(change) => kv(change, authorizer),
    }
}

fn register(registration: &mut Registration, authorizer: &Authorizer, datacenter: &Datacenter) -> Result<()> {
    own_datacenter(&mut registration.datacenter, datacenter)?;
    if registration.node.is_empty() {
        return Err(Error::failed("Must provide node"));
    }
    if registration.address.is_empty() && !registration.skip_node_update {
        return Err(Error::failed("Must provide address if SkipNodeUpdate is not set"));
    }
    if !registration.id.is_empty() {
        registration.id = node_id(&registration.id)?;
    }
    permit(authorizer, Resource::Node(registration.node.as_str()))?;
    if let Some(service) = &mut registration.service {
        permit(authorizer, Resource::Service(service.name.as_str()))?;
        if service.name.is_empty() {
            return Err(Error::failed(
                "Must provide service name (Service.Service) when service ID is provided",
            ));
        }
        if service.id.is_empty() {
            Arc::make_mut(service).id = ServiceId::from(service.name.shared());
        }
    }
    for check in &mut registration.checks {
        let check = Arc::make_mut(check);
        if check.id.is_empty() {
            check.id = CheckId::from(check.name.as_str());
        }
        if check.id.is_empty() {
            return Err(Error::failed(format!(
                "failed inserting check on node {:?}: failed health check lookup: index error: object is missing a value for this index",
                registration.node.as_str()
            )));
        }
        belongs_here(check, registration.node.as_str())?;
    }
    Ok(())
}

fn belongs_here(check: &Check, node: &str) -> Result<()> {
    if !check.node.is_empty() && !check.node.as_str().eq_ignore_ascii_case(node) {
        return Err(Error::failed(format!(
            "Node '{}' for check '{}' doesn't match register request node '{node}'",
            check.node, check.id
        )));
    }
    Ok(())
}

fn deregister(
    deregistration: &mut Deregistration,
    authorizer: &Authorizer,
    datacenter: &Datacenter,
) -> Result<()> {
    own_datacenter(&mut deregistration.datacenter, datacenter)?;
    if deregistration.node.is_empty() {
        return Err(Error::failed("Must provide node"));
    }
    permit(authorizer, Resource::Node(deregistration.node.as_str()))
}

fn own_datacenter(given: &mut Datacenter, own: &Datacenter) -> Result<()> {
    if given.is_empty() {
        *given = own.clone();
    }
    if given == own { Ok(()) } else { Err(Error::no_path()) }
}

fn node_id(given: &NodeId) -> Result<NodeId> {
    const LENGTH: usize = 36;
    if given.as_str().len() != LENGTH {
        return Err(Error::failed("Bad node ID: uuid string is wrong length"));
    }
    uuid::Uuid::try_parse(given.as_str())
        .map(|id| NodeId::from(id.to_string()))
        .map_err(|_| Error::failed("Bad node ID: uuid is improperly formatted"))
}

fn kv(change: &KvChange, authorizer: &Authorizer) -> Result<()> {
    let (KvChange::Set { key, .. } | KvChange::Delete { key, .. } | KvChange::DeleteTree { prefix: key }) =
        change;
    if key.as_str().len() > MAX_KEY {
        return Err(Error::new(
            Code::TooLarge,
            format!("the key has {} bytes; at most {MAX_KEY} are accepted", key.as_str().len()),
        ));
    }
    permit(authorizer, Resource::Key(key.as_str()))
}

fn permit(authorizer: &Authorizer, resource: Resource<'_>) -> Result<()> {
    if authorizer.allows(Access::Write, resource) {
        Ok(())
    } else {
        Err(Error::new(Code::PermissionDenied, "Permission denied"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_model::service::Service;

    fn prepared(registration: Registration) -> Result<Registration> {
        let mut command = Command::Register(Box::new(registration));
        prepare(&mut command, &Authorizer::agent(), &"dc1".into())?;
        match command {
            Command::Register(registration) => Ok(*registration),
            _ => unreachable!("preparing keeps the kind of a command"),
        }
    }

    fn node() -> Registration {
        Registration { node: "n".into(), address: "10.0.0.1".to_owned(), ..Registration::default() }
    }

    #[test]
    fn what_is_left_out_follows_from_what_is_there() {
        let service = Service { name: "web".into(), ..Service::default() };
        let check = Check { name: "alive".to_owned(), ..Check::default() };
        let registration = prepared(Registration {
            service: Some(Arc::new(service)),
            checks: vec![Arc::new(check)],
            ..node()
        })
        .unwrap();
        assert_eq!(registration.datacenter.as_str(), "dc1");
        assert_eq!(registration.service.unwrap().id.as_str(), "web");
        assert_eq!(registration.checks[0].id.as_str(), "alive");
    }

    #[test]
    fn every_mistake_is_named() {
        let message = |registration| prepared(registration).unwrap_err().message;
        assert_eq!(message(Registration::default()), "Must provide node");
        assert!(message(Registration { id: "short".into(), ..node() }).contains("wrong length"));
        assert_eq!(
            prepared(Registration { datacenter: "dc2".into(), ..node() }).unwrap_err().code,
            Code::NoPath
        );
        let elsewhere = Check { name: "c".to_owned(), node: "other".into(), ..Check::default() };
        assert!(message(Registration { checks: vec![Arc::new(elsewhere)], ..node() }).contains("'other'"));
    }
}
