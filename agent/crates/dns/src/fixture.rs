//! A small agent for tests to ask.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_server::proto::op::{Message, Query as Question};
use hickory_server::proto::rr::{Name, RecordType};
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::local::{LocalAnswer, LocalRequest};
use lictor_model::node::Node;
use lictor_model::prepared::{DnsOptions, Executed, Execution};
use lictor_model::query::{Answer, Consistency, Instance, Meta, NodeServices, Query, ReadOptions, Reply};
use lictor_model::seam::Backend;
use lictor_model::service::Service;
use lictor_model::{Error, Result, Token};

/// One node with some services; whoever asks for `slow` waits forever.
pub(crate) struct OneNode {
    pub(crate) last_contact: Duration,
}

fn node() -> Arc<Node> {
    Arc::new(Node {
        name: "n1".into(),
        address: "10.0.0.1".to_owned(),
        datacenter: "dc1".into(),
        meta: [("rack".to_owned(), "r1".to_owned())].into(),
        ..Node::default()
    })
}

fn instances(service: &str) -> Vec<Instance> {
    let address = match service {
        "web" | "consul" => "",
        "ext" => "web.service.consul",
        "loop" => "loop.service.consul.",
        "chain" => "loop2.service.consul",
        "loop2" => "chain.service.consul",
        _ => return Vec::new(),
    };
    let service = Service {
        id: service.into(),
        name: service.into(),
        address: address.to_owned(),
        port: 80,
        ..Service::default()
    };
    vec![Instance { node: node(), service: Arc::new(service), checks: Vec::new() }]
}

/// The queries are `q`, `slow` with a time to live of its own, and one for each client that is named
/// after its address.
fn executed(execution: &Execution) -> Result<Executed> {
    let ttl = match execution.name.as_str() {
        "slow" => "5s",
        "q" => "",
        name if execution.from.is_some_and(|from| from.to_string() == name) => "",
        "broken" => return Err(Error::failed("broken")),
        _ => return Err(Error::not_found("Query not found")),
    };
    let dns = DnsOptions { ttl: ttl.to_owned() };
    Ok(Executed { service: "web".to_owned(), instances: instances("web"), dns, ..Executed::default() })
}

#[async_trait::async_trait]
impl Backend for OneNode {
    async fn read(&self, query: Query, options: ReadOptions) -> Result<Reply> {
        if options.datacenter.is_some() {
            return Err(Error::no_path());
        }
        let stale = options.consistency == Consistency::Stale;
        let answer = match query {
            Query::Health(selector) if selector.service.as_str() == "slow" => std::future::pending().await,
            Query::Health(selector) if stale || selector.service.as_str() != "late" => {
                Answer::Instances(instances(selector.service.as_str()))
            }
            Query::Health(_) => Answer::Instances(instances("web")),
            Query::NodeServices { node: name, .. } => Answer::NodeServices(
                (name.as_str() == "n1").then(|| NodeServices { node: node(), services: Vec::new() }),
            ),
            Query::NodesAt { address } => {
                let here = address == IpAddr::from([10, 0, 0, 1]);
                Answer::Nodes(here.then(node).into_iter().collect())
            }
            Query::InstancesAt { address } => {
                let here = address == IpAddr::from([10, 0, 0, 2]);
                Answer::Instances(if here { instances("web") } else { Vec::new() })
            }
            Query::ExecutePrepared(execution) => Answer::Executed(executed(&execution)?),
            _ => return Err(Error::failed("not expected")),
        };
        let last_contact = if stale { self.last_contact } else { Duration::ZERO };
        Ok(Reply { meta: Meta { last_contact, ..Meta::default() }, answer: Arc::new(answer) })
    }

    async fn write(&self, _: Command, _: WriteOptions) -> Result<Outcome> {
        Err(Error::failed("not expected"))
    }

    async fn agent(&self, _: LocalRequest, _: Token) -> Result<LocalAnswer> {
        Err(Error::failed("not expected"))
    }
}

/// A packet that asks one question.
pub(crate) fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Question::query(Name::from_ascii(name).unwrap(), kind));
    message
}
