//! Messages as bytes.
//!
//! The library's encoder looks for names that have occurred one by one, and gives up after some
//! dozens. Almost all names of our responses are the one that was asked for or one that a record
//! before leads to; where these stand is known without a search.

use std::cell::RefCell;
use std::collections::HashMap;

use hickory_server::proto::ProtoError;
use hickory_server::proto::op::{Edns, EmitAndCount, Metadata, Query, emit_message_parts};
use hickory_server::proto::rr::{Name, RData, Record};
use hickory_server::proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use crate::message::PLAIN_PAYLOAD;

/// Where the name of the question stands: after the header.
const AT_QUESTION: u16 = 12;
/// The bits that tell a pointer from a label.
const POINTER: u16 = 0xc000;
/// How far into its data an SRV record has its target.
const BEFORE_TARGET: usize = 6;

/// Where names stand that records may point to.
type Places<'r> = RefCell<HashMap<&'r Name, u16>>;

/// A message before it is written.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'r> {
    pub(crate) metadata: Metadata,
    pub(crate) query: &'r Query,
    pub(crate) answers: &'r [Record],
    pub(crate) authority: &'r [Record],
    pub(crate) additional: Vec<&'r Record>,
    pub(crate) edns: Option<&'r Edns>,
}

impl Parts<'_> {
    /// Writes the message, with pointers to names that have occurred if `compress`. None if it is
    /// longer than any message can be.
    pub(crate) fn encode(&self, compress: bool) -> Option<Vec<u8>> {
        let mut packet = Vec::with_capacity(usize::from(PLAIN_PAYLOAD));
        let mut encoder = BinEncoder::new(&mut packet);
        let places = RefCell::new(HashMap::new());
        if compress {
            places.borrow_mut().insert(self.query.name(), AT_QUESTION);
        } else {
            encoder.set_name_encoding(NameEncoding::Uncompressed);
        }
        let places = compress.then_some(&places);
        let written = emit_message_parts(
            &self.metadata,
            &mut std::iter::once(self.query),
            &mut Section { records: self.answers.iter(), places },
            &mut self.authority.iter(),
            &mut Section { records: self.additional.iter().copied(), places },
            self.edns,
            None,
            &mut encoder,
        )
        .ok()?;
        let counts = written.counts;
        let pseudo_records = usize::from(self.edns.is_some());
        let is_whole = usize::from(counts.authorities) == self.authority.len()
            && usize::from(counts.additionals) == self.additional.len() + pseudo_records;
        is_whole.then_some(packet)
    }
}

/// Records, and where the names stand that they may point to, if they may.
struct Section<'p, 'r, I> {
    records: I,
    places: Option<&'p Places<'r>>,
}

impl<'r, I: Iterator<Item = &'r Record>> EmitAndCount for Section<'_, 'r, I> {
    fn emit(&mut self, encoder: &mut BinEncoder<'_>) -> Result<usize, ProtoError> {
        let mut count = 0;
        for record in &mut self.records {
            match self.places {
                None => record.emit(encoder)?,
                Some(places) => emit(record, encoder, &mut places.borrow_mut())?,
            }
            count += 1;
        }
        Ok(count)
    }
}

/// Writes a record whose name is a pointer if it stands at a known place.
fn emit<'r>(
    record: &'r Record,
    encoder: &mut BinEncoder<'_>,
    places: &mut HashMap<&'r Name, u16>,
) -> Result<(), ProtoError> {
    // Names are equal whatever the case of their letters, but are shown as they are written.
    match places.get_key_value(&record.name).filter(|(name, _)| name.eq_case(&record.name)) {
        Some((_, place)) => encoder.emit_u16(POINTER | place)?,
        None => record.name.emit(encoder)?,
    }
    record.record_type().emit(encoder)?;
    record.dns_class.emit(encoder)?;
    encoder.emit_u32(record.ttl)?;
    let length = encoder.place::<u16>()?;
    let target = encoder.offset() + BEFORE_TARGET;
    record.data.emit(encoder)?;
    if let (RData::SRV(srv), Ok(place)) = (&record.data, u16::try_from(target))
        && place < POINTER >> 2
    {
        places.entry(&srv.target).or_insert(place);
    }
    // A message has fewer bytes than its length has room for.
    let written = u16::try_from(encoder.len_since_place(&length)).unwrap_or(u16::MAX);
    length.replace(encoder, written)
}
