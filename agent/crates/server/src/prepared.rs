//! Prepared queries: what is checked before one is kept, and the order of what one comes to.

use lictor_acl::{Authorizer, Resource};
use lictor_model::command::PreparedChange;
use lictor_model::node::{Reserved, meta_problems};
use lictor_model::prepared::{
    CompiledTemplate, Executed, Execution, Failover, HIDDEN_TOKEN, PreparedQuery, ServiceQuery, parse_id,
};
use lictor_model::{Code, Datacenter, Error, PreparedQueryId, Result, duration};
use lictor_store::{Snapshot, sort_instances_by_distance};
use lictor_sys::random;

use crate::prepare::permit;

/// The largest definition that is kept, in bytes of its JSON.
const MAX_DEFINITION: usize = 64 * 1024;
/// How far down the list the node itself is looked for that the others are sorted around.
const OWN_PLACE: usize = 10;

/// Validates a change, chooses the id of a new query and puts those of others into their usual form.
pub(crate) fn prepare(
    change: &mut PreparedChange,
    authorizer: &Authorizer,
    snapshot: &Snapshot,
) -> Result<()> {
    match change {
        PreparedChange::Create(query) => {
            if !query.id.is_empty() {
                return Err(Error::failed("ID must be empty when creating a new prepared query"));
            }
            query.id = uuid::Uuid::new_v4().to_string().into();
            may_change(query, authorizer)?;
            valid(query)
        }
        PreparedChange::Update(query) => {
            may_change(query, authorizer)?;
            query.id = existing(&query.id, authorizer, snapshot)?;
            valid(query)
        }
        PreparedChange::Delete(id) => {
            *id = existing(id, authorizer, snapshot)?;
            Ok(())
        }
    }
}

/// The id of a query that exists and may be changed.
fn existing(
    given: &PreparedQueryId,
    authorizer: &Authorizer,
    snapshot: &Snapshot,
) -> Result<PreparedQueryId> {
    let id = parse_id(given.as_str()).map_err(|why| {
        let where_ = "Prepared Query lookup failed: failed prepared query lookup";
        Error::failed(format!("{where_}: index error: {why}"))
    })?;
    let found = id.and_then(|id| snapshot.prepared_query(&id));
    let found = found
        .ok_or_else(|| Error::failed(format!("Cannot modify non-existent prepared query: '{given}'")))?;
    may_change(found, authorizer)?;
    Ok(found.id.clone())
}

fn may_change(query: &PreparedQuery, authorizer: &Authorizer) -> Result<()> {
    query.ruled_name().map_or(Ok(()), |name| permit(authorizer, Resource::PreparedQuery(name)))
}

fn valid(query: &PreparedQuery) -> Result<()> {
    let size = query.size();
    if size > MAX_DEFINITION {
        let why = format!("the prepared query has {size} bytes; at most {MAX_DEFINITION} are accepted");
        return Err(Error::new(Code::TooLarge, why));
    }
    mistake(query).map_err(|why| Error::failed(format!("Invalid prepared query: {why}")))?;
    if query.is_template() {
        // The state machine reads it again; nothing malformed is proposed.
        CompiledTemplate::compile(query.clone().into())
            .map_err(|why| Error::failed(format!("raft apply failed: failed compiling template: {why}")))?;
    }
    Ok(())
}

/// What is wrong with a definition in itself.
fn mistake(query: &PreparedQuery) -> Result<(), String> {
    if query.name.is_empty() && !query.is_template() && query.session.is_empty() {
        return Err("Must be bound to a session".to_owned());
    }
    if query.token.secret() == HIDDEN_TOKEN {
        return Err(format!(
            "Bad Token '{HIDDEN_TOKEN}', it looks like a query definition with a redacted token was submitted"
        ));
    }
    service_mistake(&query.service)?;
    ttl_mistake(&query.dns.ttl)
}

fn service_mistake(service: &ServiceQuery) -> Result<(), String> {
    if service.service.is_empty() {
        return Err("Must provide a Service name to query".to_owned());
    }
    let Failover { nearest_n, datacenters, targets } = &service.failover;
    if *nearest_n < 0 {
        return Err(format!("Bad NearestN '{nearest_n}', must be >= 0"));
    }
    let names_any = |list: Option<usize>| list.is_some_and(|length| length > 0);
    let names_datacenters = *nearest_n != 0 || names_any(datacenters.as_ref().map(Vec::len));
    if names_datacenters && names_any(targets.as_ref().map(Vec::len)) {
        return Err("Targets cannot be populated with NearestN or Datacenters".to_owned());
    }
    let mut problems = service.node_meta.iter().flat_map(|meta| meta_problems(meta, Reserved::Allowed));
    problems.next().map_or(Ok(()), Err)?;
    if service.sameness_group.is_empty() {
        Ok(())
    } else {
        Err("sameness-groups are an enterprise-only feature".to_owned())
    }
}

fn ttl_mistake(ttl: &str) -> Result<(), String> {
    if ttl.is_empty() {
        return Ok(());
    }
    let (is_negative, amount) = ttl.strip_prefix('-').map_or((false, ttl), |amount| (true, amount));
    let parsed = match duration::parse(amount) {
        // It may only be there once.
        Ok(parsed) if !(is_negative && amount.starts_with('+')) => parsed,
        _ => {
            let why = duration::parse(ttl).err().unwrap_or_default();
            return Err(format!("Bad DNS TTL '{ttl}': {why}"));
        }
    };
    if is_negative && !parsed.is_zero() {
        return Err(format!("DNS TTL '-{}', must be >=0", parsed.as_nanos()));
    }
    Ok(())
}

/// Puts what a query came to into the order in which it is to be used: the nearest first where that
/// is known, else in a new order every time, which spreads the load. Keeps as many as are of use.
pub(crate) fn arrange(
    executed: &mut Executed,
    execution: &Execution,
    snapshot: &Snapshot,
    datacenter: &Datacenter,
) {
    let near = executed.near.as_str();
    random::shuffle(&mut executed.instances);
    sort_instances_by_distance(snapshot, near, &mut executed.instances);
    if executed.peer.is_empty() {
        executed.datacenter = datacenter.clone();
        let mut first = executed.instances.iter().take(OWN_PLACE);
        let is_own = |name: &str| !near.is_empty() && name.eq_ignore_ascii_case(near);
        if let Some(own) = first.position(|instance| is_own(instance.node.name.as_str())) {
            executed.instances.swap(0, own);
        }
    }
    if let Some(limit) = execution.limit {
        executed.instances.truncate(limit);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use lictor_model::RaftIndex;
    use lictor_model::command::{Command, Registration};
    use lictor_model::coordinate::{Coordinate, NodeCoordinate};
    use lictor_model::prepared::{DnsOptions, FailoverTarget, TemplateOptions};
    use lictor_model::query::{Answer, Query};
    use lictor_model::service::Service;
    use lictor_store::{Store, eval};

    fn named() -> PreparedQuery {
        let service = ServiceQuery { service: "web".to_owned(), ..ServiceQuery::default() };
        PreparedQuery { name: "q".to_owned(), service, ..PreparedQuery::default() }
    }

    fn created(query: PreparedQuery) -> Result<PreparedQuery> {
        let mut change = PreparedChange::Create(Box::new(query));
        prepare(&mut change, &Authorizer::agent(), &Store::new().snapshot())?;
        match change {
            PreparedChange::Create(query) => Ok(*query),
            _ => unreachable!("preparing keeps the kind of a change"),
        }
    }

    #[test]
    fn a_query_gets_an_id_and_cannot_bring_one() {
        assert_eq!(created(named()).unwrap().id.as_str().len(), 36);
        let error = created(PreparedQuery { id: "x".into(), ..named() }).unwrap_err();
        assert_eq!(error.message, "ID must be empty when creating a new prepared query");
    }

    #[test]
    fn every_mistake_is_named() {
        let why = |change: fn(&mut PreparedQuery)| {
            let mut query = named();
            change(&mut query);
            let message = created(query).unwrap_err().message;
            message.strip_prefix("Invalid prepared query: ").map(str::to_owned).ok_or(message)
        };
        let says = |text: &str| Ok(text.to_owned());
        assert_eq!(why(|query| query.name.clear()), says("Must be bound to a session"));
        assert_eq!(why(|query| query.service.service.clear()), says("Must provide a Service name to query"));
        assert_eq!(
            why(|query| query.service.failover.nearest_n = -1),
            says("Bad NearestN '-1', must be >= 0")
        );
        assert_eq!(
            why(|query| {
                query.service.failover.datacenters = Some(vec!["dc2".to_owned()]);
                query.service.failover.targets = Some(vec![FailoverTarget::default()]);
            }),
            says("Targets cannot be populated with NearestN or Datacenters")
        );
        assert_eq!(
            why(|query| query.service.sameness_group.push('g')),
            says("sameness-groups are an enterprise-only feature")
        );
        assert_eq!(
            why(|query| query.service.node_meta = Some([("a b".to_owned(), "c".to_owned())].into())),
            says("Couldn't load metadata pair ('a b', 'c'): Key contains invalid characters")
        );
        assert_eq!(
            why(|query| query.token = HIDDEN_TOKEN.to_owned().into()),
            says(
                "Bad Token '<hidden>', it looks like a query definition with a redacted token was submitted"
            )
        );
        let template = why(|query| {
            query.template = TemplateOptions { kind: "x".to_owned(), ..TemplateOptions::default() };
        });
        let bad_type = "raft apply failed: failed compiling template: Bad Template.Type 'x'";
        assert_eq!(template, Err(bad_type.to_owned()));
        let mut large = named();
        large.service.near = "x".repeat(MAX_DEFINITION);
        assert_eq!(created(large).unwrap_err().code, Code::TooLarge);
    }

    #[test]
    fn times_to_live_are_durations_that_are_not_negative() {
        let why = |ttl: &str| {
            let dns = DnsOptions { ttl: ttl.to_owned() };
            created(PreparedQuery { dns, ..named() }).err().map(|error| error.message)
        };
        for ttl in ["", "0", "10s", "-0s", "1h5m"] {
            assert_eq!(why(ttl), None, "{ttl}");
        }
        for (ttl, text) in [
            ("soon", "Bad DNS TTL 'soon': time: invalid duration \"soon\""),
            ("-+1s", "Bad DNS TTL '-+1s': time: invalid duration \"-+1s\""),
            ("5", "Bad DNS TTL '5': time: missing unit in duration \"5\""),
            ("-1s", "DNS TTL '-1000000000', must be >=0"),
        ] {
            assert_eq!(why(ttl), Some(format!("Invalid prepared query: {text}")));
        }
    }

    /// A store with the service `web` on these nodes, of which those with a distance have coordinates.
    fn with_nodes(nodes: &[(&str, Option<f64>)]) -> Store {
        let store = Store::new();
        let service = Service { id: "web".into(), name: "web".into(), ..Service::default() };
        let registered = nodes.iter().map(|(node, _)| {
            Command::Register(Box::new(Registration {
                node: (*node).into(),
                address: "10.0.0.1".to_owned(),
                service: Some(service.clone().into()),
                ..Registration::default()
            }))
        });
        let placed = nodes.iter().filter_map(|(node, distance)| {
            let coord = Coordinate { vec: vec![(*distance)?; 8], ..Coordinate::default() };
            Some(NodeCoordinate { node: (*node).into(), segment: String::new(), coord })
        });
        let commands = registered.chain([Command::UpdateCoordinates(placed.collect())]);
        store.apply(commands.zip(2..).map(|(command, index)| (RaftIndex(index), command))).unwrap();
        store.apply([(RaftIndex(90), Command::Prepared(PreparedChange::Create(Box::new(named()))))]).unwrap();
        store
    }

    fn arranged(store: &Store, near: &str, limit: Option<usize>) -> Vec<String> {
        let (snapshot, near) = (store.snapshot(), near.to_owned());
        let execution = Execution { name: "q".to_owned(), near, limit, ..Execution::default() };
        let query = Query::ExecutePrepared(Box::new(execution.clone()));
        let answer = eval(&snapshot, &query, &Authorizer::agent()).unwrap().answer;
        let Answer::Executed(mut executed) = answer else { panic!("{answer:?}") };
        arrange(&mut executed, &execution, &snapshot, &"dc1".into());
        assert_eq!(executed.datacenter.as_str(), "dc1");
        executed.instances.iter().map(|instance| instance.node.name.to_string()).collect()
    }

    #[test]
    fn the_nearest_come_first_and_else_every_order_comes() {
        let store =
            with_nodes(&[("nowhere", None), ("far", Some(0.5)), ("near", Some(0.1)), ("mid", Some(0.2))]);
        assert_eq!(arranged(&store, "near", None), ["near", "mid", "far", "nowhere"]);
        assert_eq!(arranged(&store, "FAR", Some(2)), ["far", "mid"]);
        let first = (0..1000).map(|_| arranged(&store, "", Some(1)).concat());
        assert_eq!(first.collect::<BTreeSet<_>>().len(), 4);
        // A node comes first where it is near itself, whatever is known of distances.
        assert_eq!(arranged(&store, "nowhere", None).first().map(String::as_str), Some("nowhere"));
    }

    #[test]
    fn what_is_not_there_cannot_be_changed() {
        let error = |id: &str| {
            let mut change = PreparedChange::Delete(id.into());
            prepare(&mut change, &Authorizer::agent(), &Store::new().snapshot()).unwrap_err().message
        };
        assert_eq!(
            error("q"),
            "Prepared Query lookup failed: failed prepared query lookup: index error: UUID must be 36 characters"
        );
        let id = "8F246B77-f3e1-ff88-5b48-8ec93abf3e05";
        assert_eq!(error(id), format!("Cannot modify non-existent prepared query: '{id}'"));
    }
}
