//! The vocabulary of Lictor: what every other room talks about, and the one seam they talk across.
//!
//! Start with [`query`], [`command`] and [`local`]: everything the HTTP, DNS and CLI edges can ask
//! is one of these three, and [`seam::Backend`] is the only way to ask it. The nouns they carry are
//! in [`node`], [`service`], [`check`], [`kv`], [`session`], [`prepared`], [`txn`] and [`event`]; [`definition`] is what
//! users write down.
//!
//! This crate does no I/O, reads no clock and knows no other crate of the project. Types here are
//! plain data: the field names are those of the HTTP API (`PascalCase`), and the same encoding is
//! used in the Raft log, so a field that is added must have a default.

pub mod check;
pub mod cluster;
pub mod command;
pub mod coordinate;
pub mod definition;
pub mod duration;
pub mod error;
pub mod event;
pub mod filter;
pub mod ids;
pub mod kv;
pub mod local;
pub mod node;
pub mod operator;
pub mod pattern;
pub mod prepared;
pub mod probe;
pub mod query;
pub mod seam;
pub mod service;
pub mod session;
pub mod txn;
pub mod version;

pub use error::{Code, Error, Result};
pub use ids::{
    CheckId, Datacenter, Key, NodeId, NodeName, PreparedQueryId, RaftIndex, ServiceId, ServiceName,
    SessionId, Token,
};
