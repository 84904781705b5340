//! One HTTP request as a probe makes it: each hop on a connection of its own, redirects within the
//! grants, every phase timed, bodies capped.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use url::{Position, Url};

use super::fault::{self, http_fault};
use super::{Leash, http2, micros, no_timings, tls};
use crate::bindings::http::{End, Request, Response, Version};
use crate::bindings::types::{Misbehaviour, ProbeError, Timings, TlsOptions};
use crate::grants::url_place;

/// A stream, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// What the next hop is to be asked.
struct Hop {
    version: Version,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Bytes>,
    redirected: bool,
}

/// Makes one request and follows its redirects.
pub(crate) async fn send(leash: &Leash, request: Request) -> Result<Response, ProbeError> {
    if let Some((name, _)) = request.options.first() {
        return Err(ProbeError::Invalid(format!("there is no option {name:?}")));
    }
    let leash = leash.within(request.timeout_ms);
    let started = Instant::now();
    let mut timings = no_timings();
    let mut hop = first_hop(&request)?;
    let mut redirects = 0;
    loop {
        let (response, peer) = exchange(&leash, &hop, &request.tls, &mut timings).await?;
        if request.max_redirects > 0
            && let Some(next) = next_hop(&hop, &response)?
        {
            if redirects == request.max_redirects {
                return Err(fault::target(
                    Misbehaviour::Protocol,
                    format!("stopped after {redirects} redirects"),
                ));
            }
            redirects += 1;
            hop = next;
            continue;
        }
        let (parts, body) = response.into_parts();
        let limit = usize::try_from(request.body_limit).unwrap_or(usize::MAX);
        let Read { body, trailers, truncated } = read_body(&leash, body, limit, request.body_end).await;
        timings.total = micros(started.elapsed());
        return Ok(Response {
            status: parts.status.as_u16(),
            reason: reason(parts.status, parts.extensions.get()),
            headers: texts(&parts.headers),
            body,
            trailers: texts(&trailers),
            truncated,
            url: hop.url.into(),
            peer,
            timings,
        });
    }
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect()
}

/// The text after the code, as sent, or the usual one.
fn reason(status: StatusCode, sent: Option<&ReasonPhrase>) -> String {
    match sent {
        Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
        None => status.canonical_reason().unwrap_or_default().to_owned(),
    }
}

fn first_hop(request: &Request) -> Result<Hop, ProbeError> {
    let url = parse_url(&request.url)?;
    let invalid = |what: &str, text: &str| ProbeError::Invalid(format!("{text:?} is no {what}"));
    let method =
        Method::from_bytes(request.method.as_bytes()).map_err(|_| invalid("method", &request.method))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("name of a header", name))?;
        let value = HeaderValue::from_str(value).map_err(|_| invalid("value of a header", name))?;
        headers.append(key, value);
    }
    if !url.username().is_empty() && !headers.contains_key(AUTHORIZATION) {
        let credentials = BASE64.encode(format!("{}:{}", url.username(), url.password().unwrap_or_default()));
        if let Ok(value) = HeaderValue::from_str(&format!("Basic {credentials}")) {
            headers.insert(AUTHORIZATION, value);
        }
    }
    let body = request.body.clone().map(Bytes::from);
    Ok(Hop { version: request.version, method, url, headers, body, redirected: false })
}

/// The complaints are those that existing tools print for the same URLs.
pub(super) fn parse_url(text: &str) -> Result<Url, ProbeError> {
    let complain = |what: &str| ProbeError::Invalid(format!("parse {text:?}: {what}"));
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase if text.starts_with(':') => {
            complain("missing protocol scheme")
        }
        url::ParseError::RelativeUrlWithoutBase => complain("unsupported protocol scheme \"\""),
        other => complain(&other.to_string()),
    })?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(ProbeError::Invalid(format!("unsupported protocol scheme {other:?}"))),
    }
}

/// Sends one request over a connection of its own, up to the head of the answer.
async fn exchange(
    leash: &Leash,
    hop: &Hop,
    tls: &TlsOptions,
    timings: &mut Timings,
) -> Result<(http::Response<Incoming>, String), ProbeError> {
    let mut request = http::Request::new(Full::new(hop.body.clone().unwrap_or_default()));
    *request.method_mut() = hop.method.clone();
    *request.headers_mut() = hop.headers.clone();
    let headers = request.headers_mut();
    let authority = &hop.url[Position::BeforeHost..Position::AfterPort];
    let target = match hop.version {
        Version::Http1 => {
            if !headers.contains_key(HOST) {
                let value = HeaderValue::from_str(authority);
                headers.insert(HOST, value.map_err(|_| ProbeError::Invalid("unusable host".to_owned()))?);
            }
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            hop.url[Position::BeforePath..Position::AfterQuery].to_owned()
        }
        // There is no such header: what it says belongs to the target.
        Version::Http2 => {
            let given = headers.remove(HOST);
            let authority = given.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(authority);
            let path = &hop.url[Position::BeforePath..Position::AfterQuery];
            format!("{}://{authority}{path}", hop.url.scheme())
        }
    };
    *request.uri_mut() = target.parse().map_err(|_| ProbeError::Invalid(format!("{target:?} is no path")))?;

    let (stream, peer) = open(leash, &hop.url, hop.redirected, hop.version, tls, timings).await?;
    let asked = Instant::now();
    let answer = async {
        match hop.version {
            Version::Http1 => converse(stream, request).await,
            Version::Http2 => http2::converse(stream, request).await,
        }
    };
    let response = leash.deadline.limit("waiting for the answer", answer).await?;
    timings.first_byte += micros(asked.elapsed());
    Ok((response, peer))
}

/// Connects to where a URL leads, if that is granted.
pub(crate) async fn open(
    leash: &Leash,
    url: &Url,
    redirected: bool,
    version: Version,
    tls: &TlsOptions,
    timings: &mut Timings,
) -> Result<(Box<dyn Stream>, String), ProbeError> {
    let reach = leash.grants.check_url(url, redirected).map_err(ProbeError::Denied)?;
    let Some((host, port)) = url_place(url) else {
        return Err(ProbeError::Invalid(format!("{url} names no host")));
    };
    let link = leash.connect(&host, port, reach, timings).await?;
    let peer = link.peer.to_string();
    if url.scheme() != "https" {
        return Ok((Box::new(link.stream), peer));
    }
    let started = Instant::now();
    let handshake = leash.tls.handshake(link.stream, &host, tls, version == Version::Http2);
    let stream = leash.deadline.limit("shaking hands", handshake).await?;
    timings.tls += micros(started.elapsed());
    let chosen = stream.get_ref().1.alpn_protocol();
    if version == Version::Http2 && chosen.is_some_and(|chosen| chosen != tls::HTTP2) {
        return Err(http2::not_spoken());
    }
    Ok((Box::new(stream), peer))
}

/// Speaks HTTP/1.1 over a stream. The connection lives in a task of its own until the body of the
/// answer is read or dropped.
pub(crate) async fn converse<B>(
    stream: Box<dyn Stream>,
    request: http::Request<B>,
) -> Result<http::Response<Incoming>, ProbeError>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let handshake =
        http1::Builder::new().max_buf_size(64 << 10).max_headers(200).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| http_fault(&error))?;
    tokio::spawn(async move {
        // What goes wrong here shows on the request or on its body as well.
        let _ = connection.await;
    });
    sender.send_request(request).await.map_err(|error| http_fault(&error))
}

/// The request that a redirect asks for, if the answer is one.
fn next_hop(hop: &Hop, response: &http::Response<Incoming>) -> Result<Option<Hop>, ProbeError> {
    let keep = match response.status().as_u16() {
        301..=303 => false,
        307 | 308 => true,
        _ => return Ok(None),
    };
    let Some(location) = response.headers().get(http::header::LOCATION) else { return Ok(None) };
    let text = String::from_utf8_lossy(location.as_bytes());
    let url = hop.url.join(&text).map_err(|error| {
        fault::target(Misbehaviour::Protocol, format!("failed to parse Location header {text:?}: {error}"))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        let complaint = format!("unsupported protocol scheme {:?}", url.scheme());
        return Err(fault::target(Misbehaviour::Protocol, complaint));
    }
    let mut headers = hop.headers.clone();
    // A name that was given by hand belongs to where the first request went.
    if Url::parse(&text).is_ok() {
        headers.remove(HOST);
    }
    if url.host() != hop.url.host() {
        headers.remove(AUTHORIZATION);
        headers.remove(COOKIE);
    }
    let plain = matches!(hop.method, Method::GET | Method::HEAD);
    let method = if keep || plain { hop.method.clone() } else { Method::GET };
    let body = if keep { hop.body.clone() } else { None };
    Ok(Some(Hop { version: hop.version, method, url, headers, body, redirected: true }))
}

/// Time that is kept back for the plugin to judge an answer whose body does not end.
const RESERVE: Duration = Duration::from_millis(5);

/// What was read of an answer after its head.
#[derive(Default)]
struct Read {
    body: Vec<u8>,
    trailers: HeaderMap,
    /// The body is not whole.
    truncated: bool,
}

/// Reads a body as far as it is wanted, granted and there. What is there counts even if the rest
/// does not come: the status was already sent.
async fn read_body(leash: &Leash, mut body: Incoming, limit: usize, end: End) -> Read {
    let limit = limit.min(leash.inbound_left());
    let mut read = Read::default();
    let until = leash.deadline.instant().checked_sub(RESERVE).unwrap_or_else(|| leash.deadline.instant());
    loop {
        let data = match tokio::time::timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => data,
                Err(other) => {
                    read.trailers = other.into_trailers().unwrap_or_default();
                    continue;
                }
            },
            Ok(None) => return read,
            Ok(Some(Err(_))) | Err(_) => return Read { truncated: true, ..read },
        };
        leash.count_inbound(data.len());
        read.body.extend_from_slice(&data);
        if read.body.len() > limit {
            read.truncated = true;
            match end {
                End::Head => read.body.truncate(limit),
                End::Tail => drop(read.body.drain(..read.body.len() - limit)),
            }
        }
        if (read.truncated && matches!(end, End::Head)) || leash.inbound_left() == 0 {
            return Read { truncated: true, ..read };
        }
    }
}
