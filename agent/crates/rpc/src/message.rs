//! What agents ask servers, and how it is written.
//!
//! A message starts with a format byte. What follows is MessagePack with named fields, so that a
//! later build may add fields and this one ignores those it does not know.

use bytes::Bytes;
use lictor_model::cluster::{ServerAnswer, ServerOptions, ServerRequest};
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::query::{Query, ReadOptions, Reply};
use lictor_model::{Datacenter, Error};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::transfer::Opened;

/// The format that this build writes and reads.
const FORMAT: u8 = 1;

/// A request to a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Read replicated state → [`Answer::Reply`].
    Read {
        /// What is asked.
        query: Query,
        /// How it is to be answered.
        options: ReadOptions,
    },
    /// Change replicated state → [`Answer::Outcome`].
    Write {
        /// What is to be done.
        command: Command,
        /// How.
        options: WriteOptions,
    },
    /// Ask or tell the servers something about themselves → [`Answer::Servers`].
    Servers {
        /// What.
        request: ServerRequest,
        /// How.
        options: ServerOptions,
    },
    /// Begin to save the whole state → [`Answer::Opened`].
    Save {
        /// How.
        options: ReadOptions,
    },
    /// Begin to replace the whole state → [`Answer::Opened`].
    Restore {
        /// How.
        options: WriteOptions,
    },
}

impl Request {
    /// The datacenter that it is for; the agent's own if absent.
    #[must_use]
    pub fn datacenter(&self) -> Option<&Datacenter> {
        match self {
            Self::Read { options, .. } | Self::Save { options } => options.datacenter.as_ref(),
            Self::Write { options, .. } | Self::Restore { options } => options.datacenter.as_ref(),
            Self::Servers { options, .. } => options.datacenter.as_ref(),
        }
    }

    /// Whether it may be asked again when it is unknown whether it was carried out.
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        match self {
            // A transfer that nobody goes on with does nothing.
            Self::Read { .. } | Self::Save { .. } => true,
            // One restoration at a time: the second try would meet the first.
            Self::Write { .. } | Self::Restore { .. } => false,
            Self::Servers { request, .. } => request.only_asks(),
        }
    }
}

/// A request with the way it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Whether a server passes it on to the leader. It is not passed on a second time.
    pub forwarded: bool,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// To a read.
    Reply(Reply),
    /// To a write.
    Outcome(Outcome),
    /// To a question about the servers.
    Servers(ServerAnswer),
    /// A transfer has begun.
    Opened(Opened),
    /// It was refused, or failed.
    Failed(Error),
    /// The request was for the leader, which this server is not. Nothing was done.
    NotLeader,
}

/// Why a message cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// A newer build wrote it.
    #[error("it has format {0}, and this build reads format {FORMAT}; a newer build wrote it")]
    Format(u8),
    /// It cannot be written.
    #[error(transparent)]
    Encode(#[from] rmp_serde::encode::Error),
    /// It makes no sense.
    #[error(transparent)]
    Decode(#[from] rmp_serde::decode::Error),
}

/// Writes a message.
///
/// # Errors
/// If it has a shape that MessagePack has not.
pub fn encode<T: Serialize>(message: &T) -> Result<Bytes, CodecError> {
    let mut bytes = vec![FORMAT];
    rmp_serde::encode::write_named(&mut bytes, message)?;
    Ok(bytes.into())
}

/// Reads a message.
///
/// # Errors
/// If it is none that this build knows.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match bytes.split_first() {
        Some((&FORMAT, body)) => Ok(rmp_serde::from_slice(body)?),
        Some((format, _)) => Err(CodecError::Format(*format)),
        None => Err(CodecError::Empty),
    }
}
