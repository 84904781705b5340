//! One enum of failure codes for the whole agent.
//!
//! A code says what kind of failure it is; each edge maps codes once to its own language (HTTP
//! status, DNS response code, RPC code, exit status). The message is for the person who asked: it
//! says what failed and, where it can, what to do. It never contains a secret.

use serde::{Deserialize, Serialize};

/// What went wrong, in kinds that callers can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Code {
    /// The request is malformed or names something impossible; repeating it does not help.
    InvalidArgument,
    /// The token does not permit it.
    PermissionDenied,
    /// What was named is not there.
    NotFound,
    /// A value is larger than the agent accepts.
    TooLarge,
    /// The caller sends more than its share; try again later.
    Overloaded,
    /// There is no leader to answer, or none reachable within the time allowed.
    NoLeader,
    /// The datacenter asked for is not known here.
    NoPath,
    /// It took longer than allowed; whether it happened is unknown.
    Timeout,
    /// The agent is stopping or not ready yet.
    Unavailable,
    /// The agent knows the request but this build does not answer it.
    Unimplemented,
    /// The request was understood but could not be carried out.
    Failed,
}

/// A failure: its kind, and a message for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Error {
    /// The kind of failure.
    pub code: Code,
    /// What failed and what to do about it.
    pub message: String,
}

/// The result of anything that crosses the seam.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of the given kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A request that is malformed or names something impossible.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// A request that was understood but could not be carried out.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Code::Failed, message)
    }

    /// Something named is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// There is no leader that could answer.
    #[must_use]
    pub fn no_leader() -> Self {
        Self::new(Code::NoLeader, "No cluster leader")
    }

    /// The datacenter asked for is not known.
    #[must_use]
    pub fn no_path() -> Self {
        Self::new(Code::NoPath, "No path to datacenter")
    }

    /// The agent is stopping.
    #[must_use]
    pub fn stopping() -> Self {
        Self::new(Code::Unavailable, "the agent is shutting down")
    }

    /// Whoever was asked gave an answer of a kind that the question cannot have.
    #[must_use]
    pub fn mismatch() -> Self {
        Self::failed("the answer is of another kind than what was asked")
    }
}
