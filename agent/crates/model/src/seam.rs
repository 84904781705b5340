//! The traits across which the rooms meet.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;

use crate::command::{Command, Outcome, WriteOptions};
use crate::error::{Code, Error, Result};
use crate::ids::Token;
use crate::local::{LocalAnswer, LocalRequest};
use crate::query::{Meta, Query, ReadOptions, Reply};

/// The whole agent as the edges and its own duties see it.
///
/// Authorization and validation happen where a request is evaluated, not here: the token travels
/// with it. Every call may be dropped at any time; a write that was dropped may still happen.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Answers a question about replicated state; a blocking one waits on the serving server.
    ///
    /// # Errors
    /// [`NoLeader`](crate::Code::NoLeader) if nobody can answer, [`NoPath`](crate::Code::NoPath)
    /// for an unknown datacenter, and whatever the evaluation refuses.
    async fn read(&self, query: Query, options: ReadOptions) -> Result<Reply>;

    /// Changes replicated state and answers once the change is durable and applied.
    ///
    /// # Errors
    /// As for [`Backend::read`]; [`Timeout`](crate::Code::Timeout) leaves open whether it happened.
    async fn write(&self, command: Command, options: WriteOptions) -> Result<Outcome>;

    /// Asks this very agent about itself, or tells it to do something.
    ///
    /// # Errors
    /// Whatever the agent refuses.
    async fn agent(&self, request: LocalRequest, token: Token) -> Result<LocalAnswer>;

    /// Asks for bytes that come one after the other, as they are there, until the agent stops.
    ///
    /// # Errors
    /// Whatever the agent refuses; [`Unimplemented`](Code::Unimplemented) if it has no streams.
    async fn stream(&self, _request: StreamRequest, _token: Token) -> Result<ByteStream> {
        Err(Error::new(Code::Unimplemented, "this agent streams nothing"))
    }

    /// Saves all replicated state, as one file that [`Backend::restore`] takes.
    ///
    /// # Errors
    /// As for [`Backend::read`]; what goes wrong later ends the content with an error.
    async fn save(&self, _options: ReadOptions) -> Result<Saved> {
        Err(Error::new(Code::Unimplemented, "this agent saves nothing"))
    }

    /// Replaces all replicated state by a saved one: as a whole, or if anything is wrong not at all.
    ///
    /// # Errors
    /// As for [`Backend::write`], and what is wrong with the file.
    async fn restore(&self, _content: Content, _options: WriteOptions) -> Result<()> {
        Err(Error::new(Code::Unimplemented, "this agent restores nothing"))
    }
}

/// A file as it comes; whoever reads slowly holds it up. If it does not come whole, its last item
/// is an error.
pub type Content = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// All replicated state, saved.
pub struct Saved {
    /// Its freshness.
    pub meta: Meta,
    /// The file.
    pub content: Content,
}

/// Bytes as they come. Whoever reads too slowly misses some instead of holding anything up.
pub type ByteStream = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// A request for a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamRequest {
    /// Lines of the agent's log from now on, each with its line feed.
    Monitor {
        /// The name of the least severe level.
        level: String,
        /// A JSON object a line.
        json: bool,
    },
}
