//! Questions out of packets, and which packets are no questions.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_server::proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_server::proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};
use hickory_server::server;

/// What a client without EDNS can take, in bytes (RFC 1035).
pub(crate) const PLAIN_PAYLOAD: u16 = 512;
/// The largest payload of a UDP packet that is sent, in bytes.
const MAX_UDP_PAYLOAD: u16 = u16::MAX - 68;

/// Who asks does not matter for reading a question.
const ANYBODY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

/// How a question came, and its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) metadata: Metadata,
    pub(crate) query: Query,
    pub(crate) edns: Option<Edns>,
    pub(crate) transport: Transport,
    /// Who sent it.
    pub(crate) client: IpAddr,
}

/// What to do about a packet.
#[derive(Debug)]
pub(crate) enum Received {
    /// Answer it.
    Question(Request),
    /// Say only that it cannot be answered, and why.
    Refusable(Vec<u8>),
    /// Nothing: it is no question, and an answer would only help those who forge senders.
    Noise,
}

/// Looks at a packet of a client.
pub(crate) fn receive(packet: &[u8], transport: Transport, client: IpAddr) -> Received {
    let mut decoder = BinDecoder::new(packet);
    let Ok(header) = Header::read(&mut decoder) else { return Received::Noise };
    if header.message_type == MessageType::Response {
        return Received::Noise;
    }
    if header.op_code != OpCode::Query {
        return refuse(&header, ResponseCode::NotImp);
    }
    match question(packet, &header, transport, client) {
        Some(request) => Received::Question(request),
        None => refuse(&header, ResponseCode::FormErr),
    }
}

fn question(packet: &[u8], header: &Header, transport: Transport, client: IpAddr) -> Option<Request> {
    // A zone transfer may carry a record in front; more than these nobody has to send.
    let counts = &header.counts;
    if counts.queries != 1 || counts.answers > 1 || counts.authorities > 1 || counts.additionals > 2 {
        return None;
    }
    let protocol = match transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
    };
    let received = server::Request::from_bytes(packet.to_vec(), ANYBODY, protocol).ok()?;
    let query = received.request_info().ok()?.query.original().clone();
    Some(Request { metadata: header.metadata, query, edns: received.edns.clone(), transport, client })
}

fn refuse(header: &Header, code: ResponseCode) -> Received {
    let mut metadata = Metadata::response_from_request(&header.metadata);
    metadata.response_code = code;
    let header = Header { metadata, counts: Default::default() };
    header.to_bytes().map_or(Received::Noise, Received::Refusable)
}

impl Request {
    /// How many bytes the client can take in one packet; over TCP: what a message can be.
    pub(crate) fn payload(&self) -> u16 {
        match (self.transport, &self.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => PLAIN_PAYLOAD,
            (Transport::Udp, Some(edns)) => edns.max_payload().clamp(PLAIN_PAYLOAD, MAX_UDP_PAYLOAD),
        }
    }

    /// Whether the answer has to fit into a packet of the oldest kind.
    pub(crate) fn is_plain(&self) -> bool {
        self.payload() == PLAIN_PAYLOAD
    }

    /// Whence the question came in the first place: resolvers pass on whose it is.
    pub(crate) fn origin(&self) -> IpAddr {
        match self.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet)) {
            Some(EdnsOption::Subnet(subnet)) => subnet.addr(),
            _ => self.client.to_canonical(),
        }
    }

    /// The pseudo-record of the response: the client's own payload and subnet, and whether what is
    /// answered is for this subnet only.
    pub(crate) fn edns_of_response(&self, for_subnet: bool) -> Option<Edns> {
        let asked = self.edns.as_ref()?;
        let mut edns = Edns::new();
        edns.set_max_payload(asked.max_payload());
        if let Some(EdnsOption::Subnet(subnet)) = asked.option(EdnsCode::Subnet) {
            let mut subnet = *subnet;
            subnet.set_scope_prefix(if for_subnet { subnet.source_prefix() } else { 0 });
            edns.options_mut().insert(EdnsOption::Subnet(subnet));
        }
        Some(edns)
    }
}

/// A question of our own for an address, ready to be sent.
pub(crate) fn ask_for_address(name: hickory_server::proto::rr::Name) -> Option<Vec<u8>> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, hickory_server::proto::rr::RecordType::A));
    let mut packet = Vec::new();
    message.emit(&mut BinEncoder::new(&mut packet)).ok()?;
    Some(packet)
}
