//! Asking servers for what this agent does not have itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lictor_model::cluster::{ServerAnswer, ServerOptions, ServerRequest};
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::query::{Query, ReadOptions, Reply};
use lictor_model::{Code, Error, Result};
use lictor_sys::random;
use tokio::time::Instant;

use crate::message::{self, Answer, Asked, Request};
use crate::servers::Servers;
use crate::transport::{CallError, Lane, Transport};

/// What a server may take to carry a request out, beside the time that the request may wait.
const WORK: Duration = Duration::from_secs(30);
/// The longest wait of a blocking read that is not told by its options.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Blocking reads wait up to this part longer than they ask for.
const JITTER_FRACTION: u32 = 16;
/// The least pause before asking again.
const PAUSE: Duration = Duration::from_millis(20);

/// How servers are asked.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// For how long a request is tried again, beginning when it first failed.
    pub hold_timeout: Duration,
}

/// Asks servers.
pub struct Remote {
    transport: Arc<dyn Transport>,
    servers: Servers,
    settings: Settings,
}

/// Why a server gave no answer.
enum Lost {
    /// It did nothing.
    NotDone(String),
    /// It may have carried the request out.
    Unknown(String),
}

impl Remote {
    /// Asks over `transport`; [`Remote::servers`] says whom.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, settings: Settings) -> Self {
        Self { transport, servers: Servers::default(), settings }
    }

    /// The servers that are asked.
    #[must_use]
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Reads replicated state, from whichever server can be reached.
    ///
    /// # Errors
    /// [`NoLeader`](Code::NoLeader) if none can be reached or none can answer, and what the server
    /// refuses.
    pub async fn read(&self, query: Query, options: ReadOptions) -> Result<Reply> {
        let limit = read_limit(&options) + self.settings.hold_timeout;
        match self.ask(Request::Read { query, options }, limit, true).await? {
            Answer::Reply(reply) => Ok(reply),
            _ => Err(mismatch()),
        }
    }

    /// Changes replicated state. Tried again only where it certainly was not carried out.
    ///
    /// # Errors
    /// As for [`Remote::read`]; [`Timeout`](Code::Timeout) if it is unknown whether it happened.
    pub async fn write(&self, command: Command, options: WriteOptions) -> Result<Outcome> {
        let limit = WORK + self.settings.hold_timeout;
        match self.ask(Request::Write { command, options }, limit, false).await? {
            Answer::Outcome(outcome) => Ok(outcome),
            _ => Err(mismatch()),
        }
    }

    /// Asks or tells the servers something about themselves.
    ///
    /// # Errors
    /// As for [`Remote::write`].
    pub async fn about_servers(
        &self,
        request: ServerRequest,
        options: ServerOptions,
    ) -> Result<ServerAnswer> {
        let may_repeat = request.only_asks();
        let limit = WORK + self.settings.hold_timeout;
        match self.ask(Request::Servers { request, options }, limit, may_repeat).await? {
            Answer::Servers(answer) => Ok(answer),
            _ => Err(mismatch()),
        }
    }

    async fn ask(&self, request: Request, limit: Duration, may_repeat: bool) -> Result<Answer> {
        let encoded =
            message::encode(&Asked { request, forwarded: false }).map_err(|error| unwritable(&error))?;
        let mut deadline = None;
        loop {
            let server =
                self.servers.first().ok_or_else(|| Error::new(Code::NoLeader, "No known Consul servers"))?;
            let asked = tokio::select! {
                asked = call(self.transport.as_ref(), server, encoded.clone(), limit) => asked,
                // A connection may take long to notice what the pool knows.
                () = self.servers.gone(server) => Err(Lost::Unknown(format!("{server} has failed or left"))),
            };
            let error = match asked {
                Ok(Answer::Failed(error)) if error.code == Code::NoLeader => error,
                Ok(Answer::Failed(error)) => return Err(error),
                Ok(Answer::NotLeader) => Error::no_leader(),
                Ok(answer) => return Ok(answer),
                Err(Lost::NotDone(why)) => {
                    self.servers.failed(server);
                    Error::new(Code::NoLeader, format!("rpc error getting client: {why}"))
                }
                Err(Lost::Unknown(why)) => {
                    self.servers.failed(server);
                    if !may_repeat {
                        return Err(Error::new(Code::Timeout, format!("rpc error making call: {why}")));
                    }
                    Error::new(Code::NoLeader, format!("rpc error making call: {why}"))
                }
            };
            // From the first failure on: what is asked may have waited for long before.
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.settings.hold_timeout);
            let pause = PAUSE + random::jitter(self.settings.hold_timeout / JITTER_FRACTION);
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Passes a request on to the leader. Absent: it is not the leader any more, cannot be reached, or
/// broke off something that may be repeated, so that the caller may look for the leader again.
///
/// # Errors
/// What the leader refuses; [`Timeout`](Code::Timeout) if it is unknown whether a write happened.
pub async fn forward(
    transport: &dyn Transport,
    leader: SocketAddr,
    request: &Request,
) -> Result<Option<Answer>> {
    let (limit, may_repeat) = match request {
        Request::Read { options, .. } => (read_limit(options), true),
        Request::Write { .. } => (WORK, false),
        Request::Servers { request, .. } => (WORK, request.only_asks()),
    };
    let asked = Asked { request: request.clone(), forwarded: true };
    let encoded = message::encode(&asked).map_err(|error| unwritable(&error))?;
    match call(transport, leader, encoded, limit).await {
        Ok(Answer::Failed(error)) if error.code != Code::NoLeader => Err(error),
        Ok(Answer::Failed(_) | Answer::NotLeader) | Err(Lost::NotDone(_)) => Ok(None),
        Ok(answer) => Ok(Some(answer)),
        Err(Lost::Unknown(_)) if may_repeat => Ok(None),
        Err(Lost::Unknown(why)) => Err(Error::new(Code::Timeout, format!("rpc error making call: {why}"))),
    }
}

async fn call(
    transport: &dyn Transport,
    server: SocketAddr,
    request: Bytes,
    limit: Duration,
) -> std::result::Result<Answer, Lost> {
    let answer =
        transport.call(server, Lane::Queries, request, limit).await.map_err(|error| match error {
            CallError::Unreachable { .. } | CallError::TooLarge { .. } => Lost::NotDone(error.to_string()),
            CallError::TimedOut { .. } | CallError::Broken { .. } => Lost::Unknown(error.to_string()),
        })?;
    message::decode(&answer).map_err(|error| Lost::Unknown(format!("the answer of {server}: {error}")))
}

/// How long a read may take at the server that evaluates it.
fn read_limit(options: &ReadOptions) -> Duration {
    if !options.is_blocking() {
        return WORK;
    }
    let wait = options.max_wait.filter(|wait| !wait.is_zero()).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
    wait + wait / JITTER_FRACTION + WORK
}

fn unwritable(error: &message::CodecError) -> Error {
    Error::failed(format!("the request cannot be sent to a server: {error}"))
}

fn mismatch() -> Error {
    Error::failed("the server answered something else than was asked")
}
