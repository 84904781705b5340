//! Asking servers for what this agent does not have itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lictor_model::cluster::{ServerAnswer, ServerOptions, ServerRequest};
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::query::{Query, ReadOptions, Reply};
use lictor_model::seam::{Content, Saved};
use lictor_model::{Code, Error, Result};
use lictor_sys::random;
use tokio::time::Instant;

use crate::message::{self, Answer, Asked, Request};
use crate::servers::Servers;
use crate::transfer::{self, Elsewhere, Opened};
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
    /// Request or answer are too large to be sent; asking again does not help.
    TooLarge(String),
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
        match self.ask(Request::Read { query, options }, limit).await? {
            Answer::Reply(reply) => Ok(reply),
            _ => Err(Error::mismatch()),
        }
    }

    /// Changes replicated state. Tried again only where it certainly was not carried out.
    ///
    /// # Errors
    /// As for [`Remote::read`]; [`Timeout`](Code::Timeout) if it is unknown whether it happened.
    pub async fn write(&self, command: Command, options: WriteOptions) -> Result<Outcome> {
        let limit = WORK + self.settings.hold_timeout;
        match self.ask(Request::Write { command, options }, limit).await? {
            Answer::Outcome(outcome) => Ok(outcome),
            _ => Err(Error::mismatch()),
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
        let limit = WORK + self.settings.hold_timeout;
        match self.ask(Request::Servers { request, options }, limit).await? {
            Answer::Servers(answer) => Ok(answer),
            _ => Err(Error::mismatch()),
        }
    }

    /// Saves the whole state.
    ///
    /// # Errors
    /// As for [`Remote::read`]; what goes wrong later ends the content.
    pub async fn save(&self, options: ReadOptions) -> Result<Saved> {
        let Opened { id, at, meta } = self.open(Request::Save { options }).await?;
        Ok(Saved { meta, content: transfer::save(self.place(at), id) })
    }

    /// Replaces the whole state.
    ///
    /// # Errors
    /// As for [`Remote::write`].
    pub async fn restore(&self, content: Content, options: WriteOptions) -> Result<()> {
        let Opened { id, at, .. } = self.open(Request::Restore { options }).await?;
        transfer::restore(self.place(at), id, content).await
    }

    async fn open(&self, request: Request) -> Result<Opened> {
        match self.ask(request, WORK + self.settings.hold_timeout).await? {
            Answer::Opened(opened) => Ok(opened),
            _ => Err(Error::mismatch()),
        }
    }

    fn place(&self, at: SocketAddr) -> Arc<Elsewhere> {
        Arc::new(Elsewhere::new(Arc::clone(&self.transport), at))
    }

    async fn ask(&self, request: Request, limit: Duration) -> Result<Answer> {
        let may_repeat = request.may_repeat();
        let encoded =
            message::encode(&Asked { request, forwarded: false }).map_err(|error| unwritable(&error))?;
        let mut deadline = None;
        let mut lost = 0;
        loop {
            let server =
                self.servers.first().ok_or_else(|| Error::new(Code::NoLeader, "No known Consul servers"))?;
            let asked = tokio::select! {
                asked = call(self.transport.as_ref(), server, encoded.clone(), limit) => asked,
                // A connection may take long to notice what the pool knows.
                () = self.servers.gone(server) => Err(Lost::Unknown(format!("{server} has failed or left"))),
            };
            let error = match judge(asked, may_repeat) {
                Verdict::Final(outcome) => return outcome,
                Verdict::Later(error) => {
                    // It may be cut off from the others where this agent is not.
                    self.servers.failed(server);
                    error
                }
                Verdict::Elsewhere(error) => {
                    self.servers.failed(server);
                    lost += 1;
                    error
                }
            };
            // From the first failure on: what is asked may have waited for long before.
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.settings.hold_timeout);
            let has_others = (1..self.servers.count()).contains(&lost);
            let pause = if has_others {
                Duration::ZERO
            } else {
                lost = 0;
                PAUSE + random::jitter(self.settings.hold_timeout / JITTER_FRACTION)
            };
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// What is to become of a request.
enum Verdict {
    /// This is what it came to.
    Final(Result<Answer>),
    /// Ask again after a while: there is no leader.
    Later(Error),
    /// Ask somebody else at once.
    Elsewhere(Error),
}

fn judge(asked: std::result::Result<Answer, Lost>, may_repeat: bool) -> Verdict {
    match asked {
        Ok(Answer::Failed(error)) if error.code == Code::NoLeader => Verdict::Later(error),
        // It is stopping; what it was asked may or may not have been done.
        Ok(Answer::Failed(error)) if error.code == Code::Unavailable && may_repeat => {
            Verdict::Elsewhere(error)
        }
        Ok(Answer::Failed(error)) => Verdict::Final(Err(error)),
        Ok(Answer::NotLeader) => Verdict::Later(Error::no_leader()),
        Ok(answer) => Verdict::Final(Ok(answer)),
        Err(Lost::TooLarge(why)) => Verdict::Final(Err(Error::new(Code::TooLarge, why))),
        Err(Lost::NotDone(why)) => {
            Verdict::Elsewhere(Error::new(Code::NoLeader, format!("rpc error getting client: {why}")))
        }
        Err(Lost::Unknown(why)) => {
            let why = format!("rpc error making call: {why}");
            if may_repeat {
                Verdict::Elsewhere(Error::new(Code::NoLeader, why))
            } else {
                Verdict::Final(Err(Error::new(Code::Timeout, why)))
            }
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
    let may_repeat = request.may_repeat();
    let limit = match request {
        Request::Read { options, .. } => read_limit(options),
        _ => WORK,
    };
    let asked = Asked { request: request.clone(), forwarded: true };
    let encoded = message::encode(&asked).map_err(|error| unwritable(&error))?;
    match call(transport, leader, encoded, limit).await {
        Ok(Answer::Failed(error)) if error.code == Code::NoLeader => Ok(None),
        Ok(Answer::Failed(error)) if error.code == Code::Unavailable && may_repeat => Ok(None),
        Ok(Answer::Failed(error)) => Err(error),
        Ok(Answer::NotLeader) | Err(Lost::NotDone(_)) => Ok(None),
        Ok(answer) => Ok(Some(answer)),
        Err(Lost::TooLarge(why)) => Err(Error::new(Code::TooLarge, why)),
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
            CallError::Unreachable { .. } => Lost::NotDone(error.to_string()),
            CallError::TooLarge { .. } => Lost::TooLarge(error.to_string()),
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
