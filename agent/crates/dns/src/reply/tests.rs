use std::net::Ipv4Addr;

use hickory_server::proto::op::{Edns, Message, Query};
use hickory_server::proto::rr::rdata::{SRV, TXT};

use super::*;
use crate::message::{Received, receive};

const STYLE: Style = Style { plain_answers: 3, mark_cuts: false, compress: true, recursion: false };

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn ask(kind: RecordType, payload: Option<u16>, transport: Transport) -> Request {
    let mut message = Message::query();
    message.add_query(Query::query(name("many.service.consul."), kind));
    if let Some(payload) = payload {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    match receive(&message.to_vec().unwrap(), transport, [127, 0, 0, 1].into()) {
        Received::Question(request) => request,
        other => panic!("{other:?}"),
    }
}

fn addresses(count: u16) -> Response {
    let record = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let address = RData::A(Ipv4Addr::new(10, 0, high, low).into());
        Record::from_rdata(name("many.service.consul."), 0, address)
    };
    Response { answers: (0..count).map(record).collect(), ..Response::authoritative() }
}

fn ports(count: u8) -> Response {
    let mut response = Response::authoritative();
    for number in 0..count {
        let node = name(&format!("n{number}.node.dc1.consul."));
        let srv = RData::SRV(SRV::new(1, 1, 80, node.clone()));
        response.answers.push(Record::from_rdata(name("many.service.consul."), 0, srv));
        let address = RData::A(Ipv4Addr::new(10, 0, 0, number).into());
        response.additional.push(Record::from_rdata(node.clone(), 0, address));
        let text = RData::TXT(TXT::new(vec!["rack=1".to_owned()]));
        response.additional.push(Record::from_rdata(node, 0, text));
    }
    response
}

fn written(style: Style, request: &Request, response: &Response) -> (Message, usize) {
    let packet = style.write(request, response).unwrap();
    (Message::from_vec(&packet).unwrap(), packet.len())
}

#[test]
fn an_old_client_gets_a_few_answers_and_what_they_lead_to() {
    let request = ask(RecordType::SRV, None, Transport::Udp);
    let (message, length) = written(STYLE, &request, &ports(60));
    assert_eq!((message.answers.len(), message.additionals.len()), (3, 3));
    assert!(message.additionals.iter().all(|record| record.record_type() == RecordType::A));
    assert!(length <= 512 && !message.metadata.truncation);
    let (message, _) = written(STYLE, &request, &ports(3));
    assert_eq!((message.answers.len(), message.additionals.len()), (3, 6));
    let eight = Style { plain_answers: 100, ..STYLE };
    assert_eq!(written(eight, &ask(RecordType::A, None, Transport::Udp), &addresses(60)).0.answers.len(), 8);
    let none = Style { plain_answers: 0, ..STYLE };
    assert_eq!(written(none, &request, &ports(2)).0.answers.len(), 0);
}

#[test]
fn others_get_what_fits_and_the_operator_says_whether_a_cut_is_marked() {
    for payload in [600, 1232, 1400, 4096] {
        for kind in [RecordType::A, RecordType::SRV] {
            let request = ask(kind, Some(payload), Transport::Udp);
            let response = if kind == RecordType::A { addresses(2000) } else { ports(200) };
            for mark_cuts in [false, true] {
                let (message, length) = written(Style { mark_cuts, ..STYLE }, &request, &response);
                let room = usize::from(payload) - UDP_MARGIN;
                assert!(length <= room && length + 80 > room, "{payload} {kind} {length}");
                assert_eq!(message.metadata.truncation, mark_cuts);
                assert!(message.edns.is_none(), "the reference's cut takes it along");
            }
        }
    }
}

#[test]
fn what_fits_is_not_touched() {
    let request = ask(RecordType::A, Some(4096), Transport::Udp);
    let (message, _) = written(Style { mark_cuts: true, ..STYLE }, &request, &addresses(60));
    assert_eq!((message.answers.len(), message.metadata.truncation), (60, false));
    assert_eq!(message.edns.map(|edns| edns.max_payload()), Some(4096));
}

#[test]
fn a_message_over_tcp_may_be_as_long_as_any() {
    let request = ask(RecordType::A, None, Transport::Tcp);
    let (message, length) = written(STYLE, &request, &addresses(4000));
    assert_eq!(message.answers.len(), 4000);
    assert!(length > 60_000);
    let full = Style { compress: false, mark_cuts: true, ..STYLE };
    let (message, length) = written(full, &request, &addresses(4000));
    assert!(length <= 65_523 && length > 65_400, "{length}");
    assert!(message.metadata.truncation);
}

#[test]
fn pointers_lead_to_the_names_that_were_meant() {
    let request = ask(RecordType::SRV, None, Transport::Tcp);
    let mut response = ports(250);
    // Another spelling of the same name is not lost.
    let spelt = name("N249.node.dc1.consul.");
    let last = response.additional.last_mut().unwrap();
    last.name = spelt.clone();
    let (message, _) = written(STYLE, &request, &response);
    assert_eq!((&message.answers, &message.additionals), (&response.answers, &response.additional));
    assert!(message.additionals.last().unwrap().name.eq_case(&spelt));
}

#[test]
fn names_are_written_in_full_if_the_operator_wants_it() {
    let request = ask(RecordType::A, Some(4096), Transport::Udp);
    let (_, pointers) = written(STYLE, &request, &addresses(10));
    let (_, full) = written(Style { compress: false, ..STYLE }, &request, &addresses(10));
    assert_eq!(full - pointers, 10 * ("many.service.consul.".len() + 1 - 2));
}

#[test]
fn an_answer_that_cannot_fit_is_left_to_tcp() {
    let text = RData::TXT(TXT::new(vec!["x".repeat(250); 3]));
    let record = Record::from_rdata(name("n.node.consul."), 0, text);
    let response = Response { answers: vec![record.clone()], ..Response::authoritative() };
    let (message, _) = written(STYLE, &ask(RecordType::TXT, None, Transport::Udp), &response);
    assert!(message.answers.is_empty() && message.metadata.truncation);
    // What nobody asked for is only left out.
    let beside = Response { additional: vec![record], ..addresses(1) };
    let (message, _) = written(STYLE, &ask(RecordType::A, None, Transport::Udp), &beside);
    assert_eq!((message.answers.len(), message.additionals.len()), (1, 0));
    assert!(!message.metadata.truncation);
}
