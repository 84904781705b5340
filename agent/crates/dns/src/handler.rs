//! From packet to packet.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::DNSClass;
use lictor_model::seam::Backend;
use lictor_sys::clock::Clock;

use crate::domain;
use crate::lookup::Lookup;
use crate::message::{Received, Request, Transport, receive};
use crate::records::Asked;
use crate::recursor::Recursors;
use crate::reply::{Response, Style};
use crate::{Settings, Times};

/// How often a name may lead to another within the agent's domains.
const MOST_LEADS: u8 = 3;

/// Answers packets.
pub(crate) struct Handler {
    lookup: Lookup,
    recursors: Arc<Recursors>,
    style: Style,
    clock: Arc<dyn Clock>,
    times: Times,
}

impl Handler {
    pub(crate) fn new(backend: Arc<dyn Backend>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let recursors = Arc::new(Recursors::new(&settings));
        let style = Style {
            plain_answers: settings.udp_answer_limit,
            mark_cuts: settings.enable_truncate,
            compress: !settings.disable_compression,
            recursion: !recursors.is_empty(),
        };
        let times = settings.times.clone();
        let lookup = Lookup::new(backend, settings, Arc::clone(&clock), Arc::clone(&recursors));
        Self { lookup, recursors, style, clock, times }
    }

    /// Answers a packet of a client; some deserve no answer.
    pub(crate) async fn handle(
        &self,
        packet: &[u8],
        transport: Transport,
        client: IpAddr,
    ) -> Option<Vec<u8>> {
        match receive(packet, transport, client) {
            Received::Question(request) => self.answer(packet, &request).await,
            Received::Refusable(refusal) => Some(refusal),
            Received::Noise => None,
        }
    }

    async fn answer(&self, packet: &[u8], request: &Request) -> Option<Vec<u8>> {
        let name = request.query.name();
        let Some(domain) = self.lookup.domain_of(name) else {
            return self.pass_on(packet, request).await;
        };
        if !matches!(request.query.query_class(), DNSClass::IN | DNSClass::ANY) {
            return self.style.write(request, &Response::only(ResponseCode::NotImp));
        }
        let asked = Asked {
            name,
            kind: request.query.query_type(),
            domain,
            useful: self.style.useful_answers(request),
            origin: request.origin(),
            extended: request.edns.is_some(),
            leads: MOST_LEADS,
        };
        let start = self.clock.now();
        let response = self.lookup.resolve(asked).await.unwrap_or_else(|error| {
            tracing::warn!(%name, %error, "dns lookup failed");
            Response { code: ResponseCode::ServFail, ..Response::authoritative() }
        });
        let series = if domain::is_reverse(name) { &self.times.reverse } else { &self.times.domain };
        series.took(self.clock.now().since(start));
        // Others may know the names of addresses that the catalog does not.
        let unknown = response.code == ResponseCode::NXDomain && domain::is_reverse(name);
        if unknown && !self.recursors.is_empty() {
            return self.pass_on(packet, request).await;
        }
        self.style.write(request, &response)
    }

    /// Has somebody else answer.
    async fn pass_on(&self, packet: &[u8], request: &Request) -> Option<Vec<u8>> {
        if self.recursors.is_empty() {
            return self.style.write(request, &Response::only(ResponseCode::Refused));
        }
        match self.recursors.ask(packet, request.transport).await {
            Some(answer) => Some(answer),
            None => self.style.write(request, &Response::only(ResponseCode::ServFail)),
        }
    }
}

#[cfg(test)]
mod tests;
