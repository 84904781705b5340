//! What stands on the disk and on the wire.
//!
//! Everything starts with a format byte. What follows is MessagePack with named fields, so that a
//! later build may add fields and this one ignores those it does not know; only log records have a
//! fixed head in front of their body, because there are many of them.

use bytes::Bytes;
use lictor_model::ids::RaftIndex;
use openraft::EntryPayload;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::{CommittedLeader, Entry, LogId, Payload};

/// The format that this build writes and reads.
pub(crate) const FORMAT: u8 = 1;

/// Format, kind, term and Raft id.
const HEAD: usize = 1 + 1 + 8 + 8;

const BLANK: u8 = 0;
const COMMAND: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// Why something cannot be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("it is cut short")]
    Short,
    #[error("it has format {0}, and this build reads format {FORMAT}; a newer build wrote it")]
    Format(u8),
    #[error("it is of the unknown kind {0}; a newer build wrote it")]
    Kind(u8),
    #[error("log entry {index}: {source}")]
    Entry {
        index: RaftIndex,
        #[source]
        source: Box<Self>,
    },
    #[error(transparent)]
    Encode(#[from] rmp_serde::encode::Error),
    #[error(transparent)]
    Decode(#[from] rmp_serde::decode::Error),
}

impl From<CodecError> for std::io::Error {
    fn from(error: CodecError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Bytes, CodecError> {
    let mut bytes = vec![FORMAT];
    rmp_serde::encode::write_named(&mut bytes, value)?;
    Ok(bytes.into())
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (format, body) = bytes.split_first().ok_or(CodecError::Short)?;
    if *format != FORMAT {
        return Err(CodecError::Format(*format));
    }
    Ok(rmp_serde::from_slice(body)?)
}

/// A log entry as it stands in the log file, where its index is the key.
pub(crate) fn encode_entry(entry: &Entry) -> Result<Vec<u8>, CodecError> {
    let membership;
    let (kind, body): (u8, &[u8]) = match &entry.payload {
        EntryPayload::Blank => (BLANK, &[]),
        EntryPayload::Normal(payload) => (COMMAND, payload.encoded()),
        EntryPayload::Membership(members) => {
            membership = encode(members)?;
            (MEMBERSHIP, &membership)
        }
    };
    let leader = entry.log_id.leader_id;
    let mut record = Vec::with_capacity(HEAD + body.len());
    record.push(FORMAT);
    record.push(kind);
    record.extend_from_slice(&leader.term.to_le_bytes());
    record.extend_from_slice(&leader.node_id.to_le_bytes());
    record.extend_from_slice(body);
    Ok(record)
}

pub(crate) fn decode_entry(index: u64, record: &[u8]) -> Result<Entry, CodecError> {
    decode_entry_at(index, record)
        .map_err(|source| CodecError::Entry { index: RaftIndex(index), source: Box::new(source) })
}

fn decode_entry_at(index: u64, record: &[u8]) -> Result<Entry, CodecError> {
    let (&[format, kind], rest) = record.split_first_chunk().ok_or(CodecError::Short)?;
    if format != FORMAT {
        return Err(CodecError::Format(format));
    }
    let (term, rest) = rest.split_first_chunk().ok_or(CodecError::Short)?;
    let (node_id, body) = rest.split_first_chunk().ok_or(CodecError::Short)?;
    let leader_id =
        CommittedLeader { term: u64::from_le_bytes(*term), node_id: u64::from_le_bytes(*node_id) };
    let payload = match kind {
        BLANK => EntryPayload::Blank,
        COMMAND => EntryPayload::Normal(Payload::from_encoded(Bytes::copy_from_slice(body))),
        MEMBERSHIP => EntryPayload::Membership(decode(body)?),
        other => return Err(CodecError::Kind(other)),
    };
    Ok(Entry { log_id: LogId { leader_id, index }, payload })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lictor_model::check::Check;
    use lictor_model::command::{Command, KvChange, Registration};
    use lictor_model::service::Service;

    use super::*;

    #[test]
    fn commands_come_back_as_they_were() {
        let commands = [
            Command::Kv(KvChange::Set {
                key: "a".into(),
                value: Bytes::from_static(b"\x00\xff"),
                flags: u64::MAX,
                cas: Some(RaftIndex(3)),
            }),
            Command::Register(Box::new(Registration {
                node: "n".into(),
                service: Some(Arc::new(Service::default())),
                checks: vec![Arc::new(Check::default())],
                ..Registration::default()
            })),
        ];
        for command in commands {
            let payload = Payload::new(command.clone()).unwrap();
            let decoded = Payload::from_encoded(payload.encoded().clone()).into_command().unwrap();
            assert_eq!(decoded, command);
        }
    }

    #[test]
    fn what_a_newer_build_wrote_is_refused_with_the_reason() {
        let error = decode::<u64>(&[9, 1]).unwrap_err().to_string();
        assert!(error.contains("newer build"), "{error}");
        let error = decode_entry(7, &[FORMAT, 77, 0]).unwrap_err().to_string();
        assert!(error.contains("log entry 7"), "{error}");
    }
}
