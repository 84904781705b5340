//! Responses as packets, and what is left out of those that are too large.
//!
//! The limits are the reference's: a few answers for a client without EDNS, and otherwise as many
//! as fit into what it says that it can take. Of the records beside cut answers only those stay
//! that somebody is still pointed to. Whether a cut is marked is up to the operator: a client that
//! sees the mark asks again over TCP, which costs more than most need from a few more addresses.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use hickory_server::proto::op::{Metadata, ResponseCode};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};

use crate::encode::Parts;
use crate::message::{Request, Transport};

/// How many answers a client without EDNS gets however many the operator allows.
const MOST_PLAIN_ANSWERS: usize = 8;
/// How many answers a message can hold at all, with names of one byte.
const MOST_ANSWERS: usize = 4096;
/// The same for SRV records, which are longer.
const MOST_SRV_ANSWERS: usize = 1024;
/// The fewest bytes that an answer takes: a pointer to its name, and an IPv4 address.
const SMALLEST_ANSWER: usize = 16;
/// What is kept free of a UDP payload, in bytes.
const UDP_MARGIN: usize = 8;
/// What is kept free of a TCP message, in bytes.
const TCP_MARGIN: usize = 12;

/// What a question comes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) code: ResponseCode,
    pub(crate) authoritative: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
    /// Whether others might be answered something else.
    pub(crate) for_subnet: bool,
}

impl Response {
    /// A response that says only how it went.
    pub(crate) fn only(code: ResponseCode) -> Self {
        Self { code, ..Self::default() }
    }

    /// An empty response with authority.
    pub(crate) fn authoritative() -> Self {
        Self { authoritative: true, ..Self::default() }
    }
}

/// How responses are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// How many answers a client without EDNS gets.
    pub(crate) plain_answers: usize,
    /// Mark responses from which answers were cut.
    pub(crate) mark_cuts: bool,
    /// Write names that have occurred as pointers to them.
    pub(crate) compress: bool,
    /// There are recursors.
    pub(crate) recursion: bool,
}

impl Style {
    /// How many answers can be of use to a request: one more than it can get, so that there is
    /// something to cut if there are more.
    pub(crate) fn useful_answers(&self, request: &Request) -> usize {
        let most = self.most_answers(request);
        match request.transport {
            Transport::Udp => most.min(usize::from(request.payload()) / SMALLEST_ANSWER) + 1,
            Transport::Tcp => most + 1,
        }
    }

    fn most_answers(&self, request: &Request) -> usize {
        if request.is_plain() {
            return self.plain_answers.min(MOST_PLAIN_ANSWERS);
        }
        if request.query.query_type() == RecordType::SRV { MOST_SRV_ANSWERS } else { MOST_ANSWERS }
    }

    /// Writes a response within what its client can take. None if not even an empty one can be
    /// written, which no question comes to that could be read.
    pub(crate) fn write(&self, request: &Request, response: &Response) -> Option<Vec<u8>> {
        let edns = request.edns_of_response(response.for_subnet);
        let mut draft = Draft {
            request,
            parts: Parts {
                metadata: self.metadata(request, response),
                query: &request.query,
                answers: &response.answers,
                authority: &response.authority,
                additional: response.additional.iter().collect(),
                edns: edns.as_ref(),
            },
        };
        let most = self.most_answers(request);
        let payload = usize::from(request.payload());
        if response.answers.len() <= most
            && let Some(packet) = draft.parts.encode(self.compress)
            && packet.len() <= if response.answers.len() > 1 { room(request) } else { payload }
        {
            return Some(packet);
        }
        self.cut(&mut draft, most);
        if let Some(packet) = draft.parts.encode(self.compress).filter(|packet| packet.len() <= payload) {
            return Some(packet);
        }
        // Not even one answer fits with what stands beside it, or alone.
        draft.parts.additional.clear();
        if let Some(packet) = draft.parts.encode(self.compress).filter(|packet| packet.len() <= payload) {
            return Some(packet);
        }
        draft.parts.answers = &[];
        draft.parts.authority = &[];
        draft.parts.metadata.truncation = true;
        draft.parts.encode(self.compress)
    }

    fn metadata(&self, request: &Request, response: &Response) -> Metadata {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = response.code;
        metadata.authoritative = response.authoritative;
        metadata.recursion_available = self.recursion;
        metadata
    }

    /// Keeps as many answers as fit, but one if there are any.
    fn cut(&self, draft: &mut Draft<'_>, most: usize) {
        let all = draft.parts.answers;
        let kept = all.len().min(most);
        // Somewhere on the way to an old client a packet may be written anew, without pointers.
        let as_pointers = self.compress && !(draft.request.is_plain() && all.len() > most);
        let beside = pointed_to(all, &draft.parts.additional);
        draft.keep(all, kept, &beside);
        let room = room(draft.request);
        if !draft.fits(as_pointers, room) && kept > 1 {
            draft.parts.authority = &[];
            // Between a number that fits, or is the least there is, and one that does not.
            let (mut fits, mut too_many) = (1, kept);
            while too_many - fits > 1 {
                let middle = usize::midpoint(fits, too_many);
                draft.keep(all, middle, &beside);
                if draft.fits(as_pointers, room) {
                    fits = middle;
                } else {
                    too_many = middle;
                }
            }
            draft.keep(all, fits, &beside);
        }
        draft.parts.metadata.truncation = self.mark_cuts && draft.parts.answers.len() < all.len();
    }
}

/// How long a packet with several answers may be, in bytes.
fn room(request: &Request) -> usize {
    let margin = if request.transport == Transport::Tcp { TCP_MARGIN } else { UDP_MARGIN };
    usize::from(request.payload()) - margin
}

/// For each answer that leads on to a record beside it, its position and that record; once for
/// each place that is led to.
fn pointed_to<'r>(answers: &[Record], additional: &[&'r Record]) -> Vec<(usize, &'r Record)> {
    let mut by_name: HashMap<&Name, &'r Record> = HashMap::with_capacity(additional.len());
    for record in additional {
        if let Entry::Vacant(vacant) = by_name.entry(&record.name) {
            vacant.insert(record);
        }
    }
    let led_to = answers.iter().enumerate().filter_map(|(position, answer)| match &answer.data {
        RData::SRV(srv) => by_name.remove(&srv.target).map(|record| (position, record)),
        _ => None,
    });
    led_to.collect()
}

/// A response on its way to a packet.
struct Draft<'r> {
    request: &'r Request,
    parts: Parts<'r>,
}

impl<'r> Draft<'r> {
    /// Keeps so many answers with what they lead to. The pseudo-record goes the way of everything
    /// that no answer leads to, as it does for the reference.
    fn keep(&mut self, all: &'r [Record], kept: usize, beside: &[(usize, &'r Record)]) {
        self.parts.answers = all.get(..kept).unwrap_or(all);
        self.parts.additional.clear();
        let kept_beside = beside.iter().take_while(|(position, _)| *position < kept);
        self.parts.additional.extend(kept_beside.map(|(_, record)| *record));
        self.parts.edns = None;
    }

    fn fits(&self, compress: bool, room: usize) -> bool {
        self.parts.encode(compress).is_some_and(|packet| packet.len() <= room)
    }
}

#[cfg(test)]
mod tests;
