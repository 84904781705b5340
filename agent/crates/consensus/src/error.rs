//! Why consensus cannot be opened, or did not agree.

use std::io;
use std::time::Duration;

use lictor_model::{Code, Error};

use crate::types::PeerInfo;

/// Why consensus cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk cannot be used; the message says where and what to do.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// What is on the disk is damaged beyond what this server can repair alone.
    #[error("{0}")]
    Damaged(String),
    /// The servers that an operator has listed cannot be taken up.
    #[error("{0}")]
    Recovery(String),
    /// The settings make no sense.
    #[error("raft settings: {0}")]
    Settings(String),
    /// Raft did not start.
    #[error("raft did not start: {0}")]
    Raft(String),
}

/// Why a proposal has no outcome, or a read may not be answered here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Another server leads, or none does. Nothing was proposed, so it may be tried there.
    #[error("this server does not lead the cluster{}", match leader {
        Some(leader) => format!("; {leader} does"),
        None => String::new(),
    })]
    NotLeader {
        /// Who leads, if anyone is known to.
        leader: Option<PeerInfo>,
    },
    /// There is no quorum to agree with. Nothing was proposed.
    #[error("there is no quorum of servers to agree with: {reason}")]
    Unavailable {
        /// What is known of it.
        reason: String,
    },
    /// Leadership was lost, or time ran out, on the way: whether it happened is unknown.
    #[error("whether it happened is unknown: {reason}")]
    Unknown {
        /// What happened.
        reason: String,
    },
    /// More is waiting to be agreed on than this server keeps in memory. Nothing was proposed.
    #[error("too many writes are waiting to be agreed on, try again later")]
    Overloaded,
    /// The command is larger than the log takes.
    #[error("a command of {size} bytes is too large, at most {limit} are possible")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest size possible.
        limit: usize,
    },
    /// What was asked for makes no sense here. Nothing was proposed.
    #[error("{0}")]
    Invalid(String),
    /// It would put the cluster's quorum at risk. Nothing was proposed.
    #[error("this would put the quorum at risk: {0}")]
    Unsafe(String),
    /// This server has stopped, or its disk failed; it answers nothing any more.
    #[error("{0}")]
    Fatal(String),
}

impl ProposeError {
    pub(crate) fn too_slow(limit: Duration) -> Self {
        Self::Unknown { reason: format!("there was no agreement within {limit:?}") }
    }
}

impl From<ProposeError> for Error {
    fn from(error: ProposeError) -> Self {
        let code = match &error {
            ProposeError::NotLeader { .. } | ProposeError::Unavailable { .. } => return Self::no_leader(),
            ProposeError::Unknown { .. } => Code::Timeout,
            ProposeError::Overloaded => Code::Overloaded,
            ProposeError::TooLarge { .. } => Code::TooLarge,
            ProposeError::Invalid(_) => Code::InvalidArgument,
            ProposeError::Unsafe(_) => Code::Failed,
            ProposeError::Fatal(_) => Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}
