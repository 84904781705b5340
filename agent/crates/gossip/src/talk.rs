//! What members say to each other over streams: a question, and the answer to it.
//!
//! Streams carry what does not fit into packets. All of it is written with field names behind a
//! version byte, so that later builds can add to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keyring::KeyRequest;
use crate::record::Id;

const VERSION: u8 = 1;

/// The largest question or answer, in bytes.
pub(crate) const MAX_TALK: usize = 32 * 1024 * 1024;

/// A question, with who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The pool it is about.
    pub(crate) pool: String,
    /// What the one who asks says of itself.
    pub(crate) record: Bytes,
    pub(crate) question: Question,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// What do you know? This is what I know.
    Sync(Knowledge),
    /// What do these members say of themselves?
    Records(Vec<u64>),
    /// Take these records, which you do not have.
    Take(Vec<Bytes>),
    /// Hear of these events, which you have not heard of.
    Hear(Vec<Bytes>),
    /// A ping for which no answer came by packet.
    Ping(Bytes),
    /// About the keys.
    Keys(KeyRequest),
}

impl Question {
    /// Whether it may hold keys, and its answer too.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self, Self::Keys(_))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Knowledge(Box<Knowledge>),
    Records(Vec<Bytes>),
    Done,
    /// Packets that would have been sent.
    Packets(Vec<Bytes>),
    Keys(KeysOf),
    /// No, and why.
    Refused(String),
    /// No, for somebody else who lives has the same name.
    NameTaken(String),
}

/// What a member knows of its pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Knowledge {
    /// Who is there and who is not, with incarnation and state.
    pub(crate) members: Vec<(Id, u16, u8)>,
    /// How new the records are that it has.
    pub(crate) versions: Vec<(u64, u64)>,
    /// Records that the other does not have.
    pub(crate) records: Vec<Bytes>,
    /// The time of the next event.
    #[serde(default)]
    pub(crate) clock: u64,
    /// What tells the events that it has heard of from others.
    #[serde(default)]
    pub(crate) heard: Vec<u64>,
    /// Events from before this time are no news to it.
    #[serde(default)]
    pub(crate) hears_from: u64,
    /// Events that the other has not heard of.
    #[serde(default)]
    pub(crate) events: Vec<Bytes>,
}

/// The keys of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeysOf {
    /// All of them, the one that seals first.
    pub(crate) keys: Vec<String>,
    /// What went wrong; empty if nothing did.
    pub(crate) error: String,
}

pub(crate) fn encode(said: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    if let Err(error) = rmp_serde::encode::write_named(&mut bytes, said) {
        // All of it is made of numbers, texts and lists of them.
        tracing::error!(%error, "gossip cannot be encoded");
    }
    bytes
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (&version, body) = bytes.split_first()?;
    if version != VERSION {
        return None;
    }
    rmp_serde::from_slice(body).ok()
}

/// What became of a request about the keys of all members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyReport {
    /// How many members were asked.
    pub nodes: usize,
    /// What those said for whom it went wrong, by name.
    pub errors: BTreeMap<String, String>,
    /// How many members have each key.
    pub keys: BTreeMap<String, usize>,
    /// How many members seal with each key.
    pub primary: BTreeMap<String, usize>,
}

impl KeyReport {
    pub(crate) fn add(&mut self, name: &str, answer: Result<KeysOf, String>) {
        self.nodes += 1;
        let failed = match answer {
            Ok(of) if of.error.is_empty() => {
                for key in &of.keys {
                    *self.keys.entry(key.clone()).or_default() += 1;
                }
                if let Some(first) = of.keys.into_iter().next() {
                    *self.primary.entry(first).or_default() += 1;
                }
                return;
            }
            Ok(of) => of.error,
            Err(error) => error,
        };
        self.errors.insert(name.to_owned(), failed);
    }
}
