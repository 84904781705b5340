//! Packets: what kind it is, of which pool, and what belongs to it. The one place where packets
//! are sealed.
//!
//! Besides foca's own there are three. An answer to a ping carries the point where the one that
//! answers is. A *nack* says that somebody who was asked to ping another got no answer, and so
//! that the one who asked can still be reached. A *tell* spreads a record.

use std::num::NonZeroUsize;

use bytes::{BufMut, Bytes, BytesMut};
use lictor_model::coordinate::Coordinate;
use rand_for_foca::Rng;

use crate::keyring::{self, Keyring};
use crate::record::key_of;

/// The first byte: the version, and whether the rest is sealed.
const PLAIN: u8 = 2;
const SEALED: u8 = 3;
/// The first byte and the pool.
const HEAD: usize = 1 + 4;

/// Stands where the pool would in what goes by stream.
const ANY_POOL: [u8; 4] = [0; 4];

const FOCA: u8 = 0;
const ANSWER: u8 = 1;
const NACK: u8 = 2;
const TELL: u8 = 3;

/// How many numbers a point has on the wire.
const POINT: usize = 8 + 3;
/// The largest packet, such that no link breaks it up.
pub(crate) const MAX_PACKET: usize = 1400;
/// What is added to what foca sends at the most: the kind, a point, what sealing takes.
const MOST_ADDED: usize = HEAD + 1 + POINT * 4 + keyring::OVERHEAD;

/// The largest packet of foca's own.
pub(crate) const MAX_FOCA_PACKET: NonZeroUsize = match NonZeroUsize::new(MAX_PACKET - MOST_ADDED) {
    Some(size) => size,
    None => panic!("there is room for a packet"),
};

/// What a packet holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Packet {
    Foca(Bytes),
    /// The same, an answer to a ping, from somebody who is at this point.
    Answer(Coordinate, Bytes),
    /// No answer came from the one that the ping of this number was for.
    Nack(u8),
    Tell(Bytes),
}

impl Packet {
    fn encode(&self) -> BytesMut {
        let mut packet = BytesMut::with_capacity(MAX_PACKET);
        match self {
            Self::Foca(body) => {
                packet.put_u8(FOCA);
                packet.put_slice(body);
            }
            Self::Answer(point, body) => {
                packet.put_u8(ANSWER);
                let numbers = [point.error, point.adjustment, point.height];
                for at in 0..POINT - numbers.len() {
                    packet.put_f32(point.vec.get(at).copied().unwrap_or_default() as f32);
                }
                for number in numbers {
                    packet.put_f32(number as f32);
                }
                packet.put_slice(body);
            }
            Self::Nack(number) => {
                packet.put_u8(NACK);
                packet.put_u8(*number);
            }
            Self::Tell(record) => {
                packet.put_u8(TELL);
                packet.put_slice(record);
            }
        }
        packet
    }

    fn decode(packet: &Bytes) -> Option<Self> {
        let body = packet.slice(1.min(packet.len())..);
        match *packet.first()? {
            FOCA => Some(Self::Foca(body)),
            ANSWER => {
                let (point, _) = body.split_at_checked(POINT * 4)?;
                let mut numbers = point
                    .chunks_exact(4)
                    .map(|four| f64::from(f32::from_be_bytes(four.try_into().unwrap_or_default())));
                let vec = numbers.by_ref().take(POINT - 3).collect();
                let (error, adjustment, height) = (numbers.next()?, numbers.next()?, numbers.next()?);
                Some(Self::Answer(Coordinate { vec, error, adjustment, height }, body.slice(POINT * 4..)))
            }
            NACK => body.first().copied().map(Self::Nack),
            TELL => Some(Self::Tell(body)),
            _ => None,
        }
    }
}

/// Closes and opens what goes between members, packets and streams alike.
pub(crate) struct Seal {
    pub(crate) keys: Keyring,
    verify_incoming: bool,
    verify_outgoing: bool,
    /// Stands for the pool's name.
    pool: [u8; 4],
}

impl Seal {
    pub(crate) fn new(pool: &str, keys: Keyring, verify_incoming: bool, verify_outgoing: bool) -> Self {
        let pool = (key_of(pool) as u32).to_be_bytes();
        Self { keys, verify_incoming, verify_outgoing, pool }
    }

    /// Closes anything; seals it if there are keys and it has to be.
    fn close(&self, content: &[u8], pool: [u8; 4], has_to_be: bool, chance: &mut impl Rng) -> Bytes {
        let sealed = if has_to_be { self.keys.seal(content, &pool, chance) } else { None };
        let (first, body) = match &sealed {
            Some(sealed) => (SEALED, sealed.as_slice()),
            None => (PLAIN, content),
        };
        let mut whole = BytesMut::with_capacity(HEAD + body.len());
        whole.put_u8(first);
        whole.put_slice(&pool);
        whole.put_slice(body);
        whole.freeze()
    }

    fn open(&self, whole: &Bytes, expected: [u8; 4]) -> Result<Bytes, Closed> {
        let (head, body) = whole.split_first_chunk::<HEAD>().ok_or(Closed::Garbage)?;
        let [first, pool @ ..] = head;
        match *first {
            PLAIN if !self.keys.is_empty() && self.verify_incoming => Err(Closed::NotEncrypted),
            PLAIN | SEALED if *pool != expected => Err(Closed::OtherPool),
            PLAIN => Ok(whole.slice(HEAD..)),
            SEALED if self.keys.is_empty() => Err(Closed::Encrypted),
            SEALED => self.keys.open(body, pool).map(Bytes::from).ok_or(Closed::NoKey),
            _ => Err(Closed::Garbage),
        }
    }

    /// Closes what goes by stream. It names its pool within, so that a member of another one can
    /// say why it refuses. What is secret is sealed even while nothing else has to be.
    pub(crate) fn close_stream(&self, content: &[u8], is_secret: bool, chance: &mut impl Rng) -> Bytes {
        self.close(content, ANY_POOL, is_secret || self.verify_outgoing, chance)
    }

    /// Whether something that came was sealed.
    pub(crate) fn is_sealed(whole: &Bytes) -> bool {
        whole.first() == Some(&SEALED)
    }

    /// Opens what came by stream.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(crate) fn open_stream(&self, whole: &Bytes) -> Result<Bytes, Closed> {
        self.open(whole, ANY_POOL)
    }

    pub(crate) fn close_packet(&self, packet: &Packet, chance: &mut impl Rng) -> Bytes {
        self.close(&packet.encode(), self.pool, self.verify_outgoing, chance)
    }

    /// What a packet holds; `None` if it makes no sense or is none of ours.
    pub(crate) fn open_packet(&self, packet: &Bytes) -> Option<Packet> {
        if packet.len() > MAX_PACKET {
            return None;
        }
        Packet::decode(&self.open(packet, self.pool).ok()?)
    }
}

/// Why something that came cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Closed {
    #[error("it is no gossip of this version")]
    Garbage,
    #[error("it is of another pool")]
    OtherPool,
    #[error("Remote state is encrypted and encryption is not configured")]
    Encrypted,
    #[error("Encryption is configured but remote state is not encrypted")]
    NotEncrypted,
    #[error("No installed keys could decrypt the message")]
    NoKey,
}

#[cfg(test)]
mod tests {
    use rand_for_foca::SeedableRng;
    use rand_for_foca::rngs::StdRng;

    use super::*;

    const KEY: &str = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=";

    fn seal(keys: &[&str], incoming: bool, outgoing: bool) -> Seal {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        Seal::new("lan.dc1", Keyring::new(&keys).unwrap(), incoming, outgoing)
    }

    #[test]
    fn packets_come_back_and_garbage_does_not() {
        let mut chance = StdRng::seed_from_u64(5);
        let point = Coordinate { vec: vec![0.5; 8], error: 1.5, adjustment: -0.25, height: 0.125 };
        for seal in [seal(&[], true, true), seal(&[KEY], true, true)] {
            let packets = [
                Packet::Foca(Bytes::from(vec![7; MAX_FOCA_PACKET.get()])),
                Packet::Answer(point.clone(), Bytes::from(vec![7; MAX_FOCA_PACKET.get()])),
                Packet::Nack(51),
                Packet::Tell(Bytes::from_static(b"y")),
            ];
            for packet in packets {
                let sealed = seal.close_packet(&packet, &mut chance);
                assert!(sealed.len() <= MAX_PACKET);
                assert_eq!(seal.open_packet(&sealed), Some(packet));
            }
            for garbage in [&[][..], &[PLAIN], &[PLAIN, 1, 2, 3, 4, FOCA], &[9, 0, 0, 0, 0, 0]] {
                assert_eq!(seal.open_packet(&Bytes::copy_from_slice(garbage)), None);
            }
        }
    }

    #[test]
    fn what_is_expected_to_be_sealed_has_to_be() {
        let mut chance = StdRng::seed_from_u64(6);
        let plain = seal(&[], true, true).close_stream(b"x", true, &mut chance);
        let sealed = seal(&[KEY], true, true).close_stream(b"x", false, &mut chance);
        assert_eq!(seal(&[KEY], true, true).open_stream(&plain), Err(Closed::NotEncrypted));
        assert_eq!(seal(&[], true, true).open_stream(&sealed), Err(Closed::Encrypted));
        // Encryption is brought in without a break: first nobody insists, then nobody sends plainly.
        assert!(seal(&[KEY], false, false).open_stream(&plain).is_ok());
        assert_eq!(seal(&[KEY], false, false).close_stream(b"x", false, &mut chance), plain);
        let secret = seal(&[KEY], false, false).close_stream(b"x", true, &mut chance);
        assert!(Seal::is_sealed(&secret) && !Seal::is_sealed(&plain));
        assert!(seal(&[KEY], false, true).open_stream(&sealed).is_ok());
        let packet = seal(&[], true, true).close_packet(&Packet::Nack(1), &mut chance);
        let other = Seal::new("lan.dc2", Keyring::default(), true, true);
        assert_eq!(other.open_packet(&packet), None, "of another pool");
    }
}
