//! `/v1/kv/`: the key-value store.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Response, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lictor_model::command::{Command, KvChange, Outcome};
use lictor_model::kv::KvEntry;
use lictor_model::query::{Answer, Query};
use lictor_model::{Key, RaftIndex};
use serde::{Serialize, Serializer};

use crate::call::Call;
use crate::failure::Failure;
use crate::respond;

pub(crate) async fn endpoint(call: Call) -> Result<Response<Body>, Failure> {
    match call.method {
        Method::PUT => put(call).await,
        Method::DELETE => delete(call).await,
        _ => get(call).await,
    }
}

async fn get(call: Call) -> Result<Response<Body>, Failure> {
    let options = call.read_options()?;
    let path = Key::from(call.rest.as_str());
    if call.params.has("keys") {
        let separator = call.params.get("separator").to_owned();
        let reply = call.read(Query::KvKeys { prefix: path, separator }, options).await?;
        let Answer::Keys(keys) = reply.answer.as_ref() else { return Err(Failure::mismatch()) };
        // The root always exists, even when nothing is in it.
        if keys.is_empty() && !call.rest.is_empty() {
            return Ok(respond::absent(&reply.meta));
        }
        return answer(&call, &reply.meta, keys);
    }
    if call.params.has("recurse") {
        let reply = call.read(Query::KvList { prefix: path }, options).await?;
        let Answer::Entries(entries) = reply.answer.as_ref() else {
            return Err(Failure::mismatch());
        };
        if entries.is_empty() {
            return Ok(respond::absent(&reply.meta));
        }
        let rows: Vec<Row<'_>> = entries.iter().map(|entry| Row::from(entry.as_ref())).collect();
        return answer(&call, &reply.meta, &rows);
    }
    call.named("key name")?;
    let reply = call.read(Query::KvGet { key: path }, options).await?;
    match reply.answer.as_ref() {
        Answer::Entry(None) => Ok(respond::absent(&reply.meta)),
        Answer::Entry(Some(entry)) if call.params.has("raw") => Ok(raw(&reply.meta, entry)),
        Answer::Entry(Some(entry)) => answer(&call, &reply.meta, &[Row::from(entry.as_ref())]),
        _ => Err(Failure::mismatch()),
    }
}

fn answer<T: Serialize + ?Sized>(
    call: &Call,
    meta: &lictor_model::query::Meta,
    value: &T,
) -> Result<Response<Body>, Failure> {
    let mut response = respond::json(call, value)?;
    respond::add_meta(response.headers_mut(), meta);
    Ok(response)
}

/// The bare value. The headers keep a browser from taking it for a page of this origin.
fn raw(meta: &lictor_model::query::Meta, entry: &KvEntry) -> Response<Body> {
    let mut response = Response::new(Body::from(entry.value.clone()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    let no_sniff = HeaderName::from_static("x-content-type-options");
    headers.insert(no_sniff, HeaderValue::from_static("nosniff"));
    respond::add_meta(headers, meta);
    response
}

async fn put(call: Call) -> Result<Response<Body>, Failure> {
    let key = Key::from(call.named("key name")?);
    no_conflict(&call, &["cas", "acquire", "release"])?;
    let flags = match call.params.get("flags") {
        "" => 0,
        flags => parse_uint(flags)?,
    };
    let cas = cas(&call)?;
    let limit = call.api.settings.kv_max_value;
    let value = call.body.as_ref().map_err(|oversized| {
        Failure::too_large(format!(
            "Request body({} bytes) too large, max size: {limit} bytes. See https://www.consul.io/docs/agent/config/config-files#kv_max_value_size.",
            oversized.length
        ))
    })?;
    let value = value.clone();
    let session = |name| call.params.get(name).to_ascii_lowercase().into();
    let change = if call.params.has("acquire") {
        KvChange::Lock { key, value, flags, session: session("acquire") }
    } else if call.params.has("release") {
        KvChange::Unlock { key, value, flags, session: session("release") }
    } else {
        KvChange::Set { key, value, flags, cas }
    };
    carry_out(&call, change).await
}

async fn delete(call: Call) -> Result<Response<Body>, Failure> {
    no_conflict(&call, &["recurse", "cas"])?;
    let cas = cas(&call)?;
    let change = if call.params.has("recurse") {
        KvChange::DeleteTree { prefix: Key::from(call.rest.as_str()) }
    } else {
        KvChange::Delete { key: Key::from(call.named("key name")?), cas }
    };
    carry_out(&call, change).await
}

async fn carry_out(call: &Call, change: KvChange) -> Result<Response<Body>, Failure> {
    match call.outcome(Command::Kv(change)).await? {
        Outcome::Applied(applied) => respond::json(call, &applied),
        Outcome::Refused(error) => Err(Failure::internal(format!("raft apply failed: {}", error.message))),
        _ => Err(Failure::mismatch()),
    }
}

/// Refuses parameters of which only one can be meant.
fn no_conflict(call: &Call, names: &[&str]) -> Result<(), Failure> {
    if names.iter().filter(|name| call.params.has(name)).count() < 2 {
        return Ok(());
    }
    Err(Failure::bad_request(format!("Conflicting flags: {}\n", call.params.encode())))
}

fn cas(call: &Call) -> Result<Option<RaftIndex>, Failure> {
    if !call.params.has("cas") {
        return Ok(None);
    }
    Ok(Some(RaftIndex(parse_uint(call.params.get("cas"))?)))
}

/// A number in the wording of Go's parser, which clients of the reference know.
fn parse_uint(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let why = match error.kind() {
            std::num::IntErrorKind::PosOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Failure::internal(format!("strconv.ParseUint: parsing {text:?}: {why}"))
    })
}

/// An entry as JSON.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Row<'e> {
    lock_index: u64,
    key: &'e str,
    flags: u64,
    value: Base64<'e>,
    #[serde(skip_serializing_if = "str::is_empty")]
    session: &'e str,
    create_index: RaftIndex,
    modify_index: RaftIndex,
}

impl<'e> From<&'e KvEntry> for Row<'e> {
    fn from(entry: &'e KvEntry) -> Self {
        Self {
            lock_index: entry.lock_index,
            key: entry.key.as_str(),
            flags: entry.flags,
            value: Base64(&entry.value),
            session: entry.session.as_str(),
            create_index: entry.create_index,
            modify_index: entry.modify_index,
        }
    }
}

impl Row<'_> {
    /// The same without its content.
    pub(crate) fn without_value(self) -> Self {
        Self { value: Base64(&[]), ..self }
    }
}

/// Bytes in base 64; none at all are `null`.
struct Base64<'e>(&'e [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            serializer.serialize_none()
        } else {
            serializer.serialize_str(&STANDARD.encode(self.0))
        }
    }
}
