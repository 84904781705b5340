//! From packet to packet.

use std::sync::Arc;

use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Edns, Metadata, OpCode, ResponseCode};
use hickory_server::proto::rr::{DNSClass, Record};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use lictor_model::Code;
use lictor_model::seam::Backend;
use lictor_sys::clock::Clock;

use crate::Settings;
use crate::lookup::Lookup;
use crate::records::{Asked, Domain, Response};

/// The largest packet we send however large a client says that it may be: what crosses the
/// internet in one piece.
const MAX_UDP_PAYLOAD: u16 = 4096;
/// What a client without EDNS can take.
const PLAIN_UDP_PAYLOAD: u16 = 512;

/// Answers packets.
pub(crate) struct Handler {
    lookup: Lookup,
    domains: Vec<Domain>,
    udp_answer_limit: usize,
}

impl Handler {
    pub(crate) fn new(backend: Arc<dyn Backend>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let domains = std::iter::once(&settings.domain)
            .chain(&settings.alt_domain)
            .map(|name| Domain::new(name))
            .collect();
        let udp_answer_limit = settings.udp_answer_limit;
        Self { lookup: Lookup::new(backend, settings, clock), domains, udp_answer_limit }
    }

    async fn answer(&self, request: &Request) -> Response {
        if request.metadata.op_code != OpCode::Query {
            return Response { code: ResponseCode::NotImp, ..Response::default() };
        }
        let Ok(info) = request.request_info() else {
            return Response { code: ResponseCode::FormErr, ..Response::default() };
        };
        let query = info.query.original();
        if !matches!(query.query_class(), DNSClass::IN | DNSClass::ANY) {
            return Response { code: ResponseCode::NotImp, ..Response::default() };
        }
        let name = query.name();
        let Some(domain) = self.domains.iter().find(|domain| domain.contains(name)) else {
            return Response { code: ResponseCode::Refused, ..Response::default() };
        };
        let asked = Asked { name, kind: query.query_type(), domain };
        match self.lookup.resolve(asked).await {
            Ok(response) => response,
            // A datacenter that nobody knows has no names in it.
            Err(error) if error.code == Code::NoPath => self.lookup.does_not_exist(domain),
            Err(error) => {
                tracing::warn!(name = %name, %error, "dns lookup failed");
                Response { code: ResponseCode::ServFail, ..Response::default() }
            }
        }
    }
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let mut response = self.answer(request).await;
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            // Our payload in the response is also the limit the encoder truncates at.
            edns.set_max_payload(asked.max_payload().clamp(PLAIN_UDP_PAYLOAD, MAX_UDP_PAYLOAD));
            edns
        });
        let plain = edns.as_ref().is_none_or(|edns| edns.max_payload() <= PLAIN_UDP_PAYLOAD);
        if plain && request.protocol() == Protocol::Udp {
            response.limit(self.udp_answer_limit);
        }
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = response.code;
        metadata.authoritative = response.authoritative;
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            builder.edns(edns);
        }
        let message = builder.build(
            metadata,
            &response.answers,
            &response.authority,
            &[] as &[Record],
            &response.additional,
        );
        match response_handle.send_response(message).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "dns response could not be sent");
                let mut failed = metadata;
                failed.response_code = ResponseCode::ServFail;
                let header = hickory_server::proto::op::Header {
                    metadata: failed,
                    counts: hickory_server::proto::op::HeaderCounts::default(),
                };
                ResponseInfo::from(header)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_server::proto::rr::rdata::SRV;
    use hickory_server::proto::rr::{Name, RData};

    #[test]
    fn what_is_cut_takes_its_addresses_with_it() {
        let name = |number: u8| Name::from_labels([format!("n{number}").as_bytes()]).unwrap();
        let mut response = Response::default();
        for number in 0..60 {
            let srv = RData::SRV(SRV::new(1, 1, 80, name(number)));
            response.answers.push(Record::from_rdata(name(100), 0, srv));
            let address = RData::A(std::net::Ipv4Addr::new(10, 0, 0, number).into());
            response.additional.push(Record::from_rdata(name(number), 0, address));
        }
        response.limit(60);
        assert_eq!(response.additional.len(), 60);
        response.limit(3);
        assert_eq!((response.answers.len(), response.additional.len()), (3, 3));
        assert_eq!(response.additional[2].name, name(2));
    }
}
