use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hickory_server::proto::op::{Edns, Message, OpCode, Query as Question};
use hickory_server::proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_server::proto::rr::{Name, RecordType};
use lictor_sys::clock::SystemClock;
use proptest::prelude::*;

use super::*;
use crate::fixture::{OneNode, question};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

fn handler(settings: Settings) -> Handler {
    let backend = Arc::new(OneNode { last_contact: Duration::from_secs(5) });
    Handler::new(backend, settings, Arc::new(SystemClock::default()))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn answer_to(settings: Settings, message: &Message) -> Message {
    let packet = message.to_vec().unwrap();
    let answer = run(handler(settings).handle(&packet, Transport::Udp, CLIENT)).unwrap();
    Message::from_vec(&answer).unwrap()
}

/// The answers as text, and how it went.
fn asked(settings: &Settings, name: &str, kind: RecordType) -> (Vec<String>, ResponseCode) {
    let message = answer_to(settings.clone(), &question(name, kind));
    let answers = message.answers.iter().map(|record| format!("{} {}", record.ttl, record.data)).collect();
    (answers, message.metadata.response_code)
}

#[test]
fn addresses_lead_to_nodes_then_to_services() {
    let settings = Settings { node_ttl: Duration::from_secs(9), ..Settings::default() };
    let node = (vec!["0 n1.node.dc1.consul.".to_owned()], ResponseCode::NoError);
    assert_eq!(asked(&settings, "1.0.0.10.in-addr.arpa.", RecordType::PTR), node);
    assert_eq!(asked(&settings, "1.0.0.10.in-addr.arpa.", RecordType::A), node);
    let service = (vec!["0 web.service.dc1.consul.".to_owned()], ResponseCode::NoError);
    assert_eq!(asked(&settings, "2.0.0.10.in-addr.arpa.", RecordType::PTR), service);
    let nothing = (Vec::new(), ResponseCode::NXDomain);
    assert_eq!(asked(&settings, "3.0.0.10.in-addr.arpa.", RecordType::PTR), nothing);
    assert_eq!(asked(&settings, "consul.arpa.", RecordType::PTR), nothing);
}

#[test]
fn the_longer_of_two_domains_is_the_one_a_name_is_in() {
    let alt_domain = Some("test.consul".to_owned());
    let settings = Settings { alt_domain, node_meta_txt: false, ..Settings::default() };
    for (name, target) in [
        ("web.service.test.consul.", "0 1 1 80 n1.node.dc1.test.consul."),
        ("web.service.consul.", "0 1 1 80 n1.node.dc1.consul."),
    ] {
        assert_eq!(asked(&settings, name, RecordType::SRV).0, [target]);
    }
    // Names of addresses are in the first domain all the same.
    let reverse = asked(&settings, "1.0.0.10.in-addr.arpa.", RecordType::PTR).0;
    assert_eq!(reverse, ["0 n1.node.dc1.consul."]);
}

#[test]
fn a_host_name_in_the_domain_is_followed_and_a_loop_ends() {
    let service_ttl = BTreeMap::from([("ext".to_owned(), Duration::from_secs(7))]);
    let settings = Settings { service_ttl, ..Settings::default() };
    let (answers, _) = asked(&settings, "ext.service.consul.", RecordType::A);
    assert_eq!(answers, ["7 web.service.consul.", "7 10.0.0.1"]);
    // A service at its own name is where its node is.
    assert_eq!(asked(&settings, "loop.service.consul.", RecordType::A).0, ["0 10.0.0.1"]);
    let (answers, code) = asked(&settings, "chain.service.consul.", RecordType::A);
    assert_eq!(
        (answers.first().map(String::as_str), code),
        (Some("0 loop2.service.consul."), ResponseCode::NoError)
    );
    assert!(answers.len() <= 5, "{answers:?}");
}

#[test]
fn an_answer_that_is_too_old_is_asked_for_again() {
    let settings = Settings { max_stale: Duration::from_secs(1), ..Settings::default() };
    assert_eq!(asked(&settings, "late.service.consul.", RecordType::A).0, ["0 10.0.0.1"]);
    let settings = Settings { allow_stale: false, ..Settings::default() };
    assert_eq!(asked(&settings, "late.service.consul.", RecordType::A).0, ["0 10.0.0.1"]);
    assert_eq!(asked(&Settings::default(), "late.service.consul.", RecordType::A).1, ResponseCode::NXDomain);
}

#[test]
fn the_clients_payload_and_subnet_come_back() {
    let mut message = question("web.service.consul.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(1400);
    edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new([198, 18, 0, 0].into(), 24, 0)));
    message.set_edns(edns);
    let edns = answer_to(Settings::default(), &message).edns.unwrap();
    assert_eq!(edns.max_payload(), 1400);
    let Some(EdnsOption::Subnet(subnet)) = edns.option(EdnsCode::Subnet) else { panic!("{edns:?}") };
    assert_eq!((subnet.addr(), subnet.source_prefix()), (IpAddr::from([198, 18, 0, 0]), 24));
    assert_eq!(subnet.scope_prefix(), 0);
}

#[test]
fn a_prepared_query_is_answered_in_its_order_for_who_asks() {
    let service_ttl = BTreeMap::from([("web".to_owned(), Duration::from_secs(7))]);
    let settings = Settings { service_ttl, ..Settings::default() };
    assert_eq!(asked(&settings, "slow.query.consul.", RecordType::A).0, ["5 10.0.0.1"]);
    assert_eq!(asked(&settings, "_q._tcp.query.dc1.consul.", RecordType::A).0, ["7 10.0.0.1"]);
    assert_eq!(asked(&settings, "q.query.consul.", RecordType::SRV).0, ["7 1 1 80 n1.node.dc1.consul."]);
    // The one for this client.
    assert_eq!(asked(&settings, "10.0.0.9.query.consul.", RecordType::A).0, ["7 10.0.0.1"]);
    assert_eq!(asked(&settings, "nosuch.query.consul.", RecordType::A).1, ResponseCode::NXDomain);
    for name in ["broken.query.consul.", "q.query.dc9.consul."] {
        assert_eq!(asked(&settings, name, RecordType::A).1, ResponseCode::ServFail);
    }
    assert_eq!(asked(&settings, "web.service.dc9.consul.", RecordType::A).1, ResponseCode::NXDomain);

    let mut message = question("192.0.2.0.query.consul.", RecordType::A);
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new([192, 0, 2, 0].into(), 24, 0)));
    message.set_edns(edns);
    let answer = answer_to(settings, &message);
    assert_eq!(answer.answers.len(), 1);
    let edns = answer.edns.unwrap();
    let Some(EdnsOption::Subnet(subnet)) = edns.option(EdnsCode::Subnet) else { panic!("{edns:?}") };
    assert_eq!(subnet.scope_prefix(), 24);
}

#[test]
fn what_is_no_question_is_refused_or_not_answered() {
    let handler = handler(Settings::default());
    let handle = |packet: &[u8]| run(handler.handle(packet, Transport::Udp, CLIENT));
    let valid = question("web.service.consul.", RecordType::A).to_vec().unwrap();
    let code = |packet: &[u8]| {
        handle(packet).map(|answer| Message::from_vec(&answer).unwrap().metadata.response_code)
    };
    let changed = |at: usize, to: u8| {
        let mut packet = valid.clone();
        packet[at] = to;
        code(&packet)
    };
    assert_eq!(code(&valid), Some(ResponseCode::NoError));
    assert_eq!(code(&valid[..11]), None);
    assert_eq!(changed(2, 0x80), None, "an answer");
    assert_eq!(changed(2, u8::from(OpCode::Status) << 3), Some(ResponseCode::NotImp));
    assert_eq!(changed(5, 2), Some(ResponseCode::FormErr), "two questions");
    assert_eq!(changed(5, 0), Some(ResponseCode::FormErr), "no question");
    assert_eq!(changed(12, 0xc0), Some(ResponseCode::FormErr), "a pointer to itself");
    assert_eq!(code(&valid[..20]), Some(ResponseCode::FormErr));
    assert_eq!(changed(valid.len() - 1, 3), Some(ResponseCode::NotImp), "another class");
}

/// A packet with a header that is read on.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let header = (any::<u16>(), 0_u8..2, 0_u8..2, 0_u8..2, 0_u8..3);
    (header, prop::collection::vec(any::<u8>(), 0..200)).prop_map(
        |((id, answers, authority, additional, flags), body)| {
            let [high, low] = id.to_be_bytes();
            let header = [high, low, flags, 0, 0, 1, 0, answers, 0, authority, 0, additional];
            [&header, body.as_slice()].concat()
        },
    )
}

fn names() -> impl Strategy<Value = String> {
    let label = "web|ext|chain|n1|_web|_tcp|service|node|addr|query|connect|virtual|ingress|dc|dc1|0a000001|10|1|[a-z0-9]{1,63}|\\PC{1,9}";
    let zone =
        prop_oneof![Just("consul"), Just("in-addr.arpa"), Just("ip6.arpa"), Just("CONSUL"), Just("example")];
    (prop::collection::vec(label, 0..6), zone).prop_map(|(labels, zone)| {
        labels.iter().map(|label| format!("{label}.")).chain([format!("{zone}.")]).collect()
    })
}

fn checked(packet: &[u8]) {
    let handler = handler(Settings::default());
    for transport in [Transport::Udp, Transport::Tcp] {
        if let Some(answer) = run(handler.handle(packet, transport, CLIENT)) {
            let answer = Message::from_vec(&answer).expect("a reply can be read");
            assert_eq!(answer.metadata.id.to_be_bytes(), packet[..2]);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_get_a_readable_reply_or_none(packet in prop::collection::vec(any::<u8>(), 0..300)) {
        checked(&packet);
    }

    #[test]
    fn any_body_gets_a_readable_reply(packet in packets()) {
        checked(&packet);
    }

    #[test]
    fn any_question_gets_a_readable_reply(
        name in names(), kind: u16, class: u16, payload: Option<u16>, subnet: Option<(IpAddr, u8)>
    ) {
        let Ok(name) = Name::from_utf8(&name) else { return Ok(()) };
        let mut question = Question::query(name, RecordType::from(kind));
        if class < 0x8000 {
            question.set_query_class(DNSClass::from(class));
        }
        let mut message = Message::query();
        message.add_query(question);
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            if let Some((address, prefix)) = subnet {
                edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new(address, prefix, 0)));
            }
            message.set_edns(edns);
        }
        if let Ok(packet) = message.to_vec() {
            checked(&packet);
        }
    }
}
