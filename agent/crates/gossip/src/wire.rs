//! Packets: a version, a kind, and what belongs to it. The one place where packets are sealed.
//!
//! Besides foca's own there are two: *ask* for a member's record, and *tell* it. An ask is padded
//! to the size of the largest answer, so that nobody can make a member send more to a third party
//! than was sent to it.

use std::num::NonZeroUsize;

use bytes::{BufMut, Bytes, BytesMut};

use crate::record::MAX_RECORD;

const VERSION: u8 = 1;
const HEAD: usize = 2;
const FOCA: u8 = 0;
const ASK: u8 = 1;
const TELL: u8 = 2;

/// The largest packet, such that no link breaks it up and room is left for sealing it.
pub(crate) const MAX_PACKET: usize = 1350;

/// The largest packet of foca's own.
pub(crate) const MAX_FOCA_PACKET: NonZeroUsize = match NonZeroUsize::new(MAX_PACKET - HEAD) {
    Some(size) => size,
    None => panic!("there is room for a packet"),
};

/// What a packet holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Foca(&'a [u8]),
    Ask,
    Tell(&'a [u8]),
}

impl Packet<'_> {
    pub(crate) fn seal(&self) -> Bytes {
        let (kind, body) = match self {
            Packet::Foca(body) => (FOCA, *body),
            Packet::Ask => (ASK, [].as_slice()),
            Packet::Tell(record) => (TELL, *record),
        };
        let mut packet = BytesMut::with_capacity(HEAD + body.len().max(MAX_RECORD));
        packet.put_u8(VERSION);
        packet.put_u8(kind);
        packet.put_slice(body);
        if kind == ASK {
            packet.put_bytes(0, MAX_RECORD);
        }
        packet.freeze()
    }
}

/// What a packet holds; `None` if it makes no sense.
pub(crate) fn open(packet: &[u8]) -> Option<Packet<'_>> {
    let (&[version, kind], body) = packet.split_first_chunk()?;
    if version != VERSION || packet.len() > MAX_PACKET {
        return None;
    }
    match kind {
        FOCA => Some(Packet::Foca(body)),
        ASK if body.len() >= MAX_RECORD => Some(Packet::Ask),
        TELL => Some(Packet::Tell(body)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_back_and_garbage_does_not() {
        for packet in [Packet::Foca(b"x"), Packet::Ask, Packet::Tell(b"y")] {
            let sealed = packet.seal();
            assert!(sealed.len() <= MAX_PACKET);
            assert_eq!(open(&sealed), Some(packet));
        }
        assert_eq!(open(&[]), None);
        assert_eq!(open(&[VERSION, ASK, 0, 0]), None, "a short question gets no long answer");
        assert_eq!(open(&[9, FOCA, 1]), None);
    }
}
