//! HTTP requests.

use std::time::Duration;

use crate::probe::{Timings, TlsOptions};

/// An end of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The first bytes.
    #[default]
    Head,
    /// The last bytes.
    Tail,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: asked for in the TLS handshake with `https`, known beforehand with `http`.
    Http2,
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The version to speak; no other is accepted.
    pub version: Version,
    /// The method, such as `GET`.
    pub method: String,
    /// An absolute `http` or `https` URL.
    pub url: String,
    /// Headers in order. A `host` header replaces the one made from the URL.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Option<Vec<u8>>,
    /// How to speak TLS.
    pub tls: TlsOptions,
    /// How many redirects to follow; with 0 the first answer is the answer.
    pub max_redirects: u32,
    /// How many bytes of the answer's body to keep.
    pub body_limit: u32,
    /// Which end of a longer body to keep.
    pub body_end: End,
    /// A time within which all of it must be done; what is left of the run's own if none.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A request with the given method that follows up to 10 redirects and keeps 4096 bytes.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            version: Version::default(),
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            tls: TlsOptions::default(),
            max_redirects: 10,
            body_limit: 4096,
            body_end: End::Head,
            timeout: None,
        }
    }

    /// A GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The text that came with it; may be empty.
    pub reason: String,
    /// The headers in order.
    pub headers: Vec<(String, String)>,
    /// The body, or as much of it as was to be kept.
    pub body: Vec<u8>,
    /// The headers that came after the body, in order.
    pub trailers: Vec<(String, String)>,
    /// Whether this is not the whole body: it was longer, or ended before its time.
    pub truncated: bool,
    /// The URL that gave the answer, after redirects.
    pub url: String,
    /// The address that gave the answer.
    pub peer: String,
    /// How long the phases took, summed over redirects.
    pub timings: Timings,
}

impl Response {
    /// A bare answer, to script a mock host with.
    pub fn new(status: u16, reason: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { status, reason: reason.into(), body: body.into(), ..Self::default() }
    }

    /// The first header of that name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text, with replacement characters for what is none.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
