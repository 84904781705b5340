//! What a member says of itself.

use std::net::SocketAddr;

use foca::Identity;
use lictor_model::local::{Member, MemberStatus};
use serde::{Deserialize, Serialize};

use crate::pool::events::{EVENT, Fired};
use crate::tags::Tags;

/// The format of records that this build writes and reads.
const FORMAT: u8 = 1;
/// Stands at the place of the format where there is only a note that a record has changed.
const NOTICE: u8 = 0x80;
/// How large an encoded record may be, in bytes.
pub(crate) const MAX_RECORD: usize = 64 * 1024;
/// How large one may be to be spread in packets, beside other things.
const MAX_SPREAD: usize = 1000;

/// Who a member is to foca, small because it is in every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Id {
    pub(crate) address: SocketAddr,
    /// Stands for the node id.
    pub(crate) key: u64,
    /// Grows with every start, and whenever others took this member for dead.
    pub(crate) birth: u64,
}

impl Identity for Id {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Self> {
        Some(Self { birth: self.birth.saturating_add(1), ..*self })
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        // The key only decides between two nodes that started in the same millisecond.
        (self.birth, self.key) > (adversary.birth, adversary.key)
    }
}

/// Why a member cannot say this of itself.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is too long.
    #[error("name and tags take {0} bytes in gossip, at most {MAX_RECORD} are possible; use shorter tags")]
    TooLong(usize),
    /// It cannot be encoded.
    #[error("name and tags cannot be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
}

/// What a member says of itself, with short names on the wire: most fit into a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(rename = "i")]
    pub(crate) id: Id,
    /// The greater one is newer.
    #[serde(rename = "v")]
    pub(crate) version: u64,
    #[serde(rename = "n")]
    pub(crate) name: String,
    #[serde(rename = "t", default)]
    pub(crate) tags: Tags,
    /// Whether it is leaving, so that it has not failed when it stops answering.
    #[serde(rename = "l", default)]
    pub(crate) leaving: bool,
    /// Whether it is to be forgotten at once; with `leaving`.
    #[serde(rename = "x", default)]
    pub(crate) pruned: bool,
    #[serde(rename = "p", default)]
    pub(crate) protocols: Protocols,
}

/// That there is a newer record of a member, which is too large to be spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(crate) id: Id,
    pub(crate) version: u64,
}

/// What is spread beside foca's own news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Record(Record),
    Notice(Notice),
    Event(Fired),
}

impl News {
    /// Reads what was spread; `None` if it makes no sense to this build.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&NOTICE, body) => rmp_serde::from_slice(body).ok().map(Self::Notice),
            (&EVENT, body) => Fired::decode(body).map(Self::Event),
            _ => Record::decode(bytes).map(Self::Record),
        }
    }
}

/// The protocols a member understands and speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Protocols(u8, u8, u8, u8, u8, u8);

impl Default for Protocols {
    fn default() -> Self {
        Self(1, 5, 2, 2, 5, 4)
    }
}

impl Record {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let mut bytes = vec![FORMAT];
        rmp_serde::encode::write_named(&mut bytes, self)?;
        if bytes.len() > MAX_RECORD {
            return Err(RecordError::TooLong(bytes.len()));
        }
        Ok(bytes)
    }

    /// What is spread of it, given what it encodes to: itself, or that it is there.
    pub(crate) fn spread(&self, encoded: &[u8]) -> Result<Vec<u8>, RecordError> {
        if encoded.len() <= MAX_SPREAD {
            return Ok(encoded.to_vec());
        }
        let mut bytes = vec![NOTICE];
        rmp_serde::encode::write(&mut bytes, &Notice { id: self.id, version: self.version })?;
        Ok(bytes)
    }

    /// Whether others would be told anything else of the member.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.tags == other.tags
            && self.id.address == other.id.address
            && self.protocols == other.protocols
    }

    /// Reads a record; `None` if it makes no sense to this build.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (format, body) = bytes.split_first()?;
        if *format != FORMAT || bytes.len() > MAX_RECORD {
            return None;
        }
        rmp_serde::from_slice(body).ok()
    }

    pub(crate) fn member(&self, status: MemberStatus) -> Member {
        let Protocols(protocol_min, protocol_max, protocol_cur, delegate_min, delegate_max, delegate_cur) =
            self.protocols;
        Member {
            name: self.name.clone(),
            addr: self.id.address.ip().to_string(),
            port: self.id.address.port(),
            tags: self.tags.clone().into(),
            status,
            protocol_min,
            protocol_max,
            protocol_cur,
            delegate_min,
            delegate_max,
            delegate_cur,
        }
    }
}

/// Stands for a node id where there is no room for it.
pub(crate) fn key_of(node_id: &str) -> u64 {
    hash(node_id.as_bytes())
}

/// FNV-1a, which every build computes alike.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
