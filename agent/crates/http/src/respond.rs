//! Answers as bytes.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use lictor_model::RaftIndex;
use lictor_model::query::{Cached, Consistency, Meta};
use serde::Serialize;
use serde_json::Value;

use crate::call::Call;
use crate::failure::Failure;

pub(crate) const TEXT_UTF8: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const INDEX: HeaderName = HeaderName::from_static("x-consul-index");
const KNOWN_LEADER: HeaderName = HeaderName::from_static("x-consul-knownleader");
const LAST_CONTACT: HeaderName = HeaderName::from_static("x-consul-lastcontact");
const EFFECTIVE_CONSISTENCY: HeaderName = HeaderName::from_static("x-consul-effective-consistency");
const CACHE: HeaderName = HeaderName::from_static("x-cache");
const ACL_POLICY: HeaderName = HeaderName::from_static("x-consul-default-acl-policy");

/// A JSON answer.
pub(crate) fn json<T: Serialize + ?Sized>(call: &Call, value: &T) -> Result<Response<Body>, Failure> {
    let bytes = if call.api.settings.pretty || call.params.has("pretty") {
        pretty(value)
    } else {
        serde_json::to_vec(value)
    }
    .map_err(|error| Failure::internal(format!("the answer cannot be written as JSON: {error}")))?;
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    Ok(response)
}

fn pretty<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, indent))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What is known of an answer's freshness, where the body says so too.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Freshness {
    index: RaftIndex,
    /// In nanoseconds.
    last_contact: u64,
    known_leader: bool,
    consistency_level: &'static str,
    not_modified: bool,
    backend: u64,
    #[serde(rename = "ResultsFilteredByACLs")]
    results_filtered_by_acls: bool,
}

impl From<&Meta> for Freshness {
    fn from(meta: &Meta) -> Self {
        Self {
            index: meta.index,
            last_contact: u64::try_from(meta.last_contact.as_nanos()).unwrap_or(u64::MAX),
            known_leader: meta.known_leader,
            consistency_level: consistency(meta.consistency),
            not_modified: false,
            backend: 0,
            results_filtered_by_acls: false,
        }
    }
}

impl Freshness {
    /// The same, without saying under which guarantee.
    pub(crate) fn without_guarantee(self) -> Self {
        Self { consistency_level: "", ..self }
    }
}

/// A row as it is kept, of which one list is `null` if there is nothing in it. Most endpoints show
/// such a list as an empty one; those of transactions and prepared queries do not.
pub(crate) fn without_empty(row: &impl Serialize, list: &str) -> Value {
    let mut value = serde_json::to_value(row).unwrap_or_default();
    if let Some(list) = value.get_mut(list).filter(|list| list.as_array().is_some_and(Vec::is_empty)) {
        *list = Value::Null;
    }
    value
}

/// A JSON answer with what is known of its freshness.
pub(crate) fn json_with_meta<T: Serialize + ?Sized>(
    call: &Call,
    meta: &Meta,
    value: &T,
) -> Result<Response<Body>, Failure> {
    let mut response = json(call, value)?;
    add_meta(response.headers_mut(), meta);
    add_effective_consistency(response.headers_mut(), meta);
    if let Some(cached) = meta.cached {
        add_cached(response.headers_mut(), cached);
    }
    Ok(response)
}

/// A text of this type.
pub(crate) fn text(text: String, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer without a body that is a success.
pub(crate) fn done() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT_UTF8);
    response
}

/// An answer that something asked for does not exist, which can be waited for.
pub(crate) fn absent(meta: &Meta) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_FOUND;
    add_meta(response.headers_mut(), meta);
    response
}

/// What to wait on for another answer.
pub(crate) fn add_index(headers: &mut HeaderMap, index: u64) {
    headers.insert(INDEX, HeaderValue::from(index));
}

/// The freshness of an answer.
pub(crate) fn add_meta(headers: &mut HeaderMap, meta: &Meta) {
    add_index(headers, meta.index.0);
    add_contact(headers, meta);
}

/// The freshness of an answer that cannot be waited on.
pub(crate) fn add_contact(headers: &mut HeaderMap, meta: &Meta) {
    let known_leader = if meta.known_leader { "true" } else { "false" };
    let last_contact = u64::try_from(meta.last_contact.as_millis()).unwrap_or(u64::MAX);
    headers.insert(KNOWN_LEADER, HeaderValue::from_static(known_leader));
    headers.insert(LAST_CONTACT, HeaderValue::from(last_contact));
}

fn add_cached(headers: &mut HeaderMap, cached: Cached) {
    let word = match cached {
        Cached::Miss => "MISS",
        Cached::Hit { age } => {
            headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
            "HIT"
        }
    };
    headers.insert(CACHE, HeaderValue::from_static(word));
}

fn add_effective_consistency(headers: &mut HeaderMap, meta: &Meta) {
    headers.insert(EFFECTIVE_CONSISTENCY, HeaderValue::from_static(consistency(meta.consistency)));
}

/// The word for the guarantee under which something was answered.
pub(crate) fn consistency(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Default => "leader",
        Consistency::Consistent => "consistent",
        Consistency::Stale => "stale",
    }
}

/// Headers that every answer of an endpoint has.
pub(crate) fn add_common(headers: &mut HeaderMap) {
    headers.insert(ACL_POLICY, HeaderValue::from_static("allow"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
}
