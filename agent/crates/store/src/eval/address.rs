//! Questions about who is at an address.

use std::net::IpAddr;
use std::sync::Arc;

use lictor_model::query::{Answer, Instance};

use super::{Evaluation, View};
use crate::watch::Watch;

impl View<'_> {
    pub(super) fn nodes_at(&self, address: IpAddr) -> Evaluation {
        let at = At::new(address);
        let nodes = self.snapshot.nodes().filter(|node| at.is(&node.address) && self.may_read_node(node));
        self.answer(Answer::Nodes(nodes.cloned().collect()), [Watch::Nodes])
    }

    pub(super) fn instances_at(&self, address: IpAddr) -> Evaluation {
        let at = At::new(address);
        let here = self.snapshot.services.iter().filter(|(_, service)| at.is(&service.address));
        let instances = here
            .filter_map(|((node, _), service)| {
                let node = self.snapshot.nodes.get(node)?;
                let may_read = self.may_read_node(node) && self.may_read_service(service);
                may_read.then(|| Instance {
                    node: Arc::clone(node),
                    service: Arc::clone(service),
                    checks: Vec::new(),
                })
            })
            .collect();
        self.answer(Answer::Instances(instances), [Watch::Instances, Watch::Nodes])
    }
}

/// An address that texts are held against.
struct At {
    address: IpAddr,
    text: String,
}

impl At {
    fn new(address: IpAddr) -> Self {
        Self { address, text: address.to_string() }
    }

    /// Only IPv6 addresses can be written in several ways.
    fn is(&self, text: &str) -> bool {
        text == self.text || self.address.is_ipv6() && text.parse() == Ok(self.address)
    }
}
