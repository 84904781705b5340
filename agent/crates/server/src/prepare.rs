//! Validates commands and fills in what follows from them, before they are proposed.

use std::sync::Arc;
use std::time::Duration;

use lictor_acl::{Access, Authorizer, Resource};
use lictor_model::check::Check;
use lictor_model::command::{Command, Deregistration, KvChange, Registration};
use lictor_model::coordinate::NodeCoordinate;
use lictor_model::session::{Behavior, MAX_TTL, Session};
use lictor_model::{CheckId, Code, Datacenter, Error, Key, NodeId, Result, ServiceId, SessionId, duration};

use crate::Settings;

/// The longest key accepted, in bytes: what fits into a URL that everything on the way accepts.
const MAX_KEY: usize = 4096;

/// Transactions are prepared by [`crate::transaction`]: what is wrong with them is an answer.
pub(crate) fn prepare(command: &mut Command, authorizer: &Authorizer, settings: &Settings) -> Result<()> {
    let datacenter = &settings.datacenter;
    match command {
        Command::Register(registration) => register(registration, authorizer, datacenter),
        Command::Deregister(deregistration) => deregister(deregistration, authorizer, datacenter),
        Command::Kv(change) => kv(change, authorizer),
        Command::CreateSession(session) => create_session(session, authorizer, settings.session_ttl_min),
        Command::SetAutopilot { .. } => permit(authorizer, Resource::Operator),
        Command::UpdateCoordinates(coordinates) => update_coordinates(coordinates, authorizer),
        // No client has a say in this.
        Command::EndLockDelays(_) | Command::Restore(_) => permit(authorizer, Resource::Operator),
        // Whose they are stands in the state: [`Server::write`](crate::Server::write) looks there.
        Command::EndSessions(_)
        | Command::RenewSession(_)
        | Command::Transaction(_)
        | Command::Prepared(_) => Ok(()),
    }
}

/// How many dimensions a coordinate has.
const DIMENSIONS: usize = 8;

fn update_coordinates(coordinates: &[NodeCoordinate], authorizer: &Authorizer) -> Result<()> {
    for NodeCoordinate { node, coord, .. } in coordinates {
        let numbers = [coord.error, coord.adjustment, coord.height];
        if coord.vec.len() != DIMENSIONS || coord.vec.iter().chain(&numbers).any(|number| !number.is_finite())
        {
            return Err(Error::failed("incompatible coordinate"));
        }
        permit(authorizer, Resource::Node(node.as_str()))?;
    }
    Ok(())
}

fn create_session(session: &mut Session, authorizer: &Authorizer, shortest_ttl: Duration) -> Result<()> {
    if session.node.is_empty() {
        return Err(Error::failed("Must provide Node"));
    }
    permit(authorizer, Resource::Session(session.node.as_str()))?;
    if let Behavior::Unknown(word) = &session.behavior {
        return Err(Error::failed(format!("Invalid Behavior setting '{word}'")));
    }
    if !session.ttl.is_empty() {
        let ttl = duration::parse(&session.ttl)
            .map_err(|error| Error::failed(format!("Session TTL '{}' invalid: {error}", session.ttl)))?;
        if !ttl.is_zero() && !(shortest_ttl..=MAX_TTL).contains(&ttl) {
            return Err(Error::failed(format!(
                "Invalid Session TTL '{}', must be between [{}={}]",
                ttl.as_nanos(),
                duration::format(shortest_ttl),
                duration::format(MAX_TTL)
            )));
        }
    }
    session.id = SessionId::from(uuid::Uuid::new_v4().to_string());
    Ok(())
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

pub(crate) fn node_id(given: &NodeId) -> Result<NodeId> {
    const LENGTH: usize = 36;
    if given.as_str().len() != LENGTH {
        return Err(Error::failed("Bad node ID: uuid string is wrong length"));
    }
    uuid::Uuid::try_parse(given.as_str())
        .map(|id| NodeId::from(id.to_string()))
        .map_err(|_| Error::failed("Bad node ID: uuid is improperly formatted"))
}

fn kv(change: &KvChange, authorizer: &Authorizer) -> Result<()> {
    let (KvChange::Set { key, .. }
    | KvChange::Lock { key, .. }
    | KvChange::Unlock { key, .. }
    | KvChange::Delete { key, .. }
    | KvChange::DeleteTree { prefix: key }) = change;
    key_fits(key)?;
    permit(authorizer, Resource::Key(key.as_str()))
}

pub(crate) fn key_fits(key: &Key) -> Result<()> {
    if key.as_str().len() > MAX_KEY {
        return Err(Error::new(
            Code::TooLarge,
            format!("the key has {} bytes; at most {MAX_KEY} are accepted", key.as_str().len()),
        ));
    }
    Ok(())
}

pub(crate) fn permit(authorizer: &Authorizer, resource: Resource<'_>) -> Result<()> {
    if authorizer.allows(Access::Write, resource) {
        Ok(())
    } else {
        Err(Error::new(Code::PermissionDenied, "Permission denied"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lictor_model::service::Service;

    fn prepared(registration: Registration) -> Result<Registration> {
        let mut command = Command::Register(Box::new(registration));
        prepare(&mut command, &Authorizer::agent(), &settings())?;
        match command {
            Command::Register(registration) => Ok(*registration),
            _ => unreachable!("preparing keeps the kind of a command"),
        }
    }

    pub(crate) fn settings() -> Settings {
        Settings {
            datacenter: "dc1".into(),
            default_query_time: Duration::from_secs(300),
            max_query_time: Duration::from_secs(600),
            session_ttl_min: Duration::from_secs(10),
            autopilot: Default::default(),
            hold_timeout: Duration::from_secs(7),
        }
    }

    #[test]
    fn a_session_gets_an_id_and_its_time_to_live_is_bounded() {
        let prepared = |ttl: &str| {
            let session = Session { node: "n".into(), ttl: ttl.to_owned(), ..Session::default() };
            let mut command = Command::CreateSession(Box::new(session));
            prepare(&mut command, &Authorizer::agent(), &settings()).map(|()| command)
        };
        let Ok(Command::CreateSession(session)) = prepared("10s") else { panic!("a valid session") };
        assert_eq!(session.id.as_str().len(), 36);
        assert!(prepared("0s").is_ok());
        assert_eq!(
            prepared("24h1s").unwrap_err().message,
            "Invalid Session TTL '86401000000000', must be between [10s=24h0m0s]"
        );
        assert!(prepared("soon").unwrap_err().message.starts_with("Session TTL 'soon' invalid"));
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
