//! One request on its way to an endpoint.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use lictor_model::cluster::{ServerAnswer, ServerOptions, ServerRequest};
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::local::{LocalAnswer, LocalRequest};
use lictor_model::query::{CacheControl, Consistency, Query, ReadOptions, Reply};
use lictor_model::seam::Backend;

use crate::Settings;
use crate::failure::Failure;
use crate::params::Params;
use crate::timing::Timings;

/// What all endpoints share.
pub(crate) struct Api {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) settings: Settings,
    pub(crate) timings: Timings,
}

/// One request.
pub(crate) struct Call {
    pub(crate) api: Arc<Api>,
    pub(crate) method: Method,
    /// What follows the route's path, decoded.
    pub(crate) rest: String,
    pub(crate) params: Params,
    pub(crate) headers: HeaderMap,
    /// The address that it came from, if it came over the network.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) body: Result<Bytes, Oversized>,
    /// The body as it comes, for those few that do not wait for all of it; else empty. Behind a
    /// lock, since a body by itself cannot be lent to other threads.
    pub(crate) stream: Mutex<Body>,
}

impl Call {
    /// The rest of the path, which names something.
    pub(crate) fn named(&self, what: &str) -> Result<&str, Failure> {
        if self.rest.is_empty() {
            return Err(Failure::bad_request(format!("Missing {what}")));
        }
        Ok(&self.rest)
    }

    /// How reads of this request are to be answered.
    pub(crate) fn read_options(&self) -> Result<ReadOptions, Failure> {
        self.params.read_options(&self.headers)
    }

    /// The same, where the agent may answer from what it has kept if it is asked to.
    pub(crate) fn cached_read_options(&self) -> Result<ReadOptions, Failure> {
        let mut options = self.read_options()?;
        if self.params.has("cached") {
            if options.consistency == Consistency::Consistent {
                return Err(Failure::bad_request(
                    "Cannot specify ?cached with ?consistent, conflicting semantics.",
                ));
            }
            let control = cache_control(&self.headers)?;
            options.cache = self.api.settings.use_cache.then_some(control);
        }
        Ok(options)
    }

    /// How writes of this request are to be carried out.
    pub(crate) fn write_options(&self) -> WriteOptions {
        WriteOptions { token: self.params.token(&self.headers), datacenter: self.params.datacenter() }
    }

    pub(crate) async fn read(&self, query: Query, options: ReadOptions) -> Result<Reply, Failure> {
        let Some(most) = self.params.max_stale()?.filter(|_| options.consistency == Consistency::Stale)
        else {
            return Ok(self.api.backend.read(query, options).await?);
        };
        let reply = self.api.backend.read(query.clone(), options.clone()).await?;
        if reply.meta.last_contact <= most {
            return Ok(reply);
        }
        let options = ReadOptions { consistency: Consistency::Default, ..options };
        Ok(self.api.backend.read(query, options).await?)
    }

    /// Writes, and returns what it came to, refusals included.
    pub(crate) async fn outcome(&self, command: Command) -> Result<Outcome, Failure> {
        Ok(self.api.backend.write(command, self.write_options()).await?)
    }

    /// From where it was asked in the first place: proxies say so.
    pub(crate) fn origin(&self) -> Option<IpAddr> {
        let forwarded = self.headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        let first = forwarded.and_then(|hosts| hosts.split(',').next()?.trim().parse().ok());
        first.or(self.peer).map(|address: IpAddr| address.to_canonical())
    }

    /// Writes, and turns a refusal by the state machine into a failure.
    pub(crate) async fn write(&self, command: Command) -> Result<bool, Failure> {
        match self.outcome(command).await? {
            Outcome::Done => Ok(true),
            Outcome::Applied(applied) => Ok(applied),
            Outcome::Refused(error) => Err(error.into()),
            Outcome::Session(_) | Outcome::Transaction(_) | Outcome::PreparedQuery(_) => {
                Err(Failure::mismatch())
            }
        }
    }

    pub(crate) async fn agent(&self, request: LocalRequest) -> Result<LocalAnswer, Failure> {
        Ok(self.api.backend.agent(request, self.params.token(&self.headers)).await?)
    }

    /// Asks or tells the servers something about themselves.
    pub(crate) async fn about_servers(&self, request: ServerRequest) -> Result<ServerAnswer, Failure> {
        let options = ServerOptions {
            token: self.params.token(&self.headers),
            datacenter: self.params.datacenter(),
            stale: self.params.has("stale"),
        };
        match self.agent(LocalRequest::Servers { request, options }).await? {
            LocalAnswer::Servers(answer) => Ok(answer),
            _ => Err(Failure::mismatch()),
        }
    }

    /// The body of an endpoint without a limit of its own.
    pub(crate) fn whole_body(&self) -> Result<&Bytes, Failure> {
        self.body.as_ref().map_err(|oversized| {
            Failure::too_large(format!(
                "Request body({} bytes) too large, max size: {} bytes",
                oversized.length, self.api.settings.max_body
            ))
        })
    }
}

/// What the client says about the age of kept answers.
fn cache_control(headers: &HeaderMap) -> Result<CacheControl, Failure> {
    let mut control = CacheControl::default();
    let given = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let seconds = |text: &str| {
        text.parse()
            .map(Duration::from_secs)
            .map_err(|_| Failure::bad_request("Invalid Cache-Control header."))
    };
    for directive in given.unwrap_or_default().to_ascii_lowercase().split(',').map(str::trim) {
        if let Some(age) = directive.strip_prefix("max-age=") {
            control.max_age = Some(seconds(age)?);
        } else if let Some(age) = directive.strip_prefix("stale-if-error=") {
            control.stale_if_error = Some(seconds(age)?);
        }
    }
    Ok(control)
}

/// The body, if it has at most `limit` bytes; otherwise how many it has.
pub(crate) async fn body_within(limit: usize, headers: &HeaderMap, body: Body) -> Result<Bytes, Oversized> {
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if let Some(length) = declared.filter(|length| *length > limit) {
        return Err(Oversized { length });
    }
    axum::body::to_bytes(body, limit).await.map_err(|_| Oversized { length: limit + 1 })
}

/// A body that is larger than its endpoint accepts.
pub(crate) struct Oversized {
    /// How many bytes it has, or one more than accepted if that is not known.
    pub(crate) length: usize,
}
