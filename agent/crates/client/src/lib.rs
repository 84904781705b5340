//! A typed client of the HTTP API, as the commands use it.
//!
//! [`Client`] knows addresses, tokens and what failures look like; the modules know one endpoint
//! family each. It must never retry: whether a request may be repeated only its caller knows.

mod acl;
mod agent;
mod catalog;
mod coordinate;
mod event;
mod kv;
mod operator;
mod snapshot;

use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

pub use catalog::{CatalogNode, NodeService, NodeServices};
pub use event::EventFilters;
pub use kv::{Entry, PutOptions};

/// How long a request may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a stream may go on: longer than any agent runs.
const STREAM_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// What stays as it is in a path.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');
/// What stays as it is in a parameter.
const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where to send requests, and on whose behalf.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `host:port`, an `http` URL, or `unix://` and a path.
    pub address: String,
    /// The secret of a token; empty for none.
    pub token: String,
    /// `user:password` for a proxy in between; empty for none.
    pub basic_auth: String,
    /// The datacenter to ask; empty for the agent's own.
    pub datacenter: String,
    /// Take an answer of any server.
    pub stale: bool,
}

/// A client of one agent.
#[derive(Clone)]
pub struct Client {
    options: Options,
    base: String,
    http: reqwest::Client,
}

/// Why a request did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The agent could not be reached, or did not answer.
    #[error("{method} \"{url}\": {reason}")]
    Unreachable {
        /// The request's method, capitalised once, as operators know it.
        method: &'static str,
        /// Where to.
        url: String,
        /// Why.
        reason: String,
    },
    /// The agent answered with a failure.
    #[error("Unexpected response code: {status} ({message})")]
    Refused {
        /// The status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// No request can be sent with such options.
    #[error("{0}")]
    Unusable(String),
    /// The agent answered with something else than expected.
    #[error("the agent's answer cannot be understood: {0}")]
    Garbled(String),
}

/// An answer that is not a failure.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| Failure::Garbled(error.to_string()))
    }
}

/// The parameters of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(&'static str, Option<String>)>);

impl Parameters {
    pub(crate) fn flag(mut self, name: &'static str, set: bool) -> Self {
        if set {
            self.0.push((name, None));
        }
        self
    }

    pub(crate) fn value(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.push((name, Some(value.to_string())));
        self
    }

    pub(crate) fn unless_empty(self, name: &'static str, value: &str) -> Self {
        if value.is_empty() { self } else { self.value(name, value) }
    }

    fn written(&self) -> String {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| match value {
                None => (*name).to_owned(),
                Some(value) => format!("{name}={}", utf8_percent_encode(value, PARAMETER)),
            })
            .collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

impl Client {
    /// A client with the given options.
    ///
    /// # Errors
    /// If the address is none that requests can be sent to.
    pub fn new(options: Options) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
        let base = match options.address.split_once("://") {
            Some(("http", _)) => options.address.trim_end_matches('/').to_owned(),
            Some(("unix", path)) => {
                builder = builder.unix_socket(path);
                // Whoever answers at the path answers for any host.
                "http://127.0.0.1".to_owned()
            }
            Some((scheme, _)) => {
                return Err(Failure::Unusable(format!(
                    "{scheme}:// addresses are not part of this build; use http://host:port or unix:///path"
                )));
            }
            None => format!("http://{}", options.address),
        };
        let http = builder.build().map_err(|error| Failure::Unusable(error.to_string()))?;
        Ok(Self { options, base, http })
    }

    pub(crate) async fn get(&self, path: &str, parameters: Parameters) -> Result<Answer, Failure> {
        let parameters = parameters.flag("stale", self.options.stale);
        self.send(reqwest::Method::GET, "Get", path, parameters, Vec::new()).await
    }

    pub(crate) async fn put(
        &self,
        path: &str,
        parameters: Parameters,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        self.send(reqwest::Method::PUT, "Put", path, parameters, body).await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        parameters: Parameters,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        self.send(reqwest::Method::POST, "Post", path, parameters, body).await
    }

    pub(crate) async fn delete(&self, path: &str, parameters: Parameters) -> Result<Answer, Failure> {
        self.delete_with(path, parameters, Vec::new()).await
    }

    /// The same with a body.
    pub(crate) async fn delete_with(
        &self,
        path: &str,
        parameters: Parameters,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        self.send(reqwest::Method::DELETE, "Delete", path, parameters, body).await
    }

    /// Bytes as the agent sends them, for as long as it does.
    pub(crate) async fn stream(&self, path: &str, parameters: Parameters) -> Result<Stream, Failure> {
        let (url, request) = self.request(reqwest::Method::GET, path, parameters);
        let unreachable = |error: &reqwest::Error| Failure::Unreachable {
            method: "Get",
            url: url.clone(),
            reason: innermost(error),
        };
        let response = request.timeout(STREAM_TIMEOUT).send().await.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(Stream { response, url });
        }
        let message = response.text().await.map_err(|error| unreachable(&error))?;
        Err(Failure::Refused { status, message: message.trim_end().to_owned() })
    }

    fn request(
        &self,
        method: reqwest::Method,
        path: &str,
        parameters: Parameters,
    ) -> (String, reqwest::RequestBuilder) {
        let parameters = parameters.unless_empty("dc", &self.options.datacenter).written();
        let url = format!("{}{}{parameters}", self.base, utf8_percent_encode(path, PATH));
        let mut request = self.http.request(method, &url);
        if !self.options.token.is_empty() {
            request = request.header("X-Consul-Token", &self.options.token);
        }
        if let Some((user, password)) = self.options.basic_auth.split_once(':') {
            request = request.basic_auth(user, Some(password));
        }
        (url, request)
    }

    async fn send(
        &self,
        method: reqwest::Method,
        word: &'static str,
        path: &str,
        parameters: Parameters,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let (url, request) = self.request(method, path, parameters);
        let request = request.body(body);
        let unreachable = |error: &reqwest::Error| Failure::Unreachable {
            method: word,
            url: url.clone(),
            reason: innermost(error),
        };
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| unreachable(&error))?.to_vec();
        if status == 200 || status == 404 && body.is_empty() {
            return Ok(Answer { status, body });
        }
        let message = String::from_utf8_lossy(&body).trim_end().to_owned();
        Err(Failure::Refused { status, message })
    }
}

/// Bytes that come one after the other.
#[derive(Debug)]
pub struct Stream {
    response: reqwest::Response,
    url: String,
}

impl Stream {
    /// The Raft index of what comes; 0 if it has none.
    #[must_use]
    pub fn index(&self) -> u64 {
        let header = self.response.headers().get("X-Consul-Index");
        header.and_then(|index| index.to_str().ok()?.parse().ok()).unwrap_or_default()
    }

    /// The next ones; nothing once the agent has ended the stream.
    ///
    /// # Errors
    /// If the connection broke.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let piece = self.response.chunk().await.map_err(|error| Failure::Unreachable {
            method: "Get",
            url: self.url.clone(),
            reason: innermost(&error),
        })?;
        Ok(piece.map(|piece| piece.to_vec()))
    }
}

/// The deepest cause: what the operating system said.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
