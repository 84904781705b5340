//! Answers in gzip for clients that take it.

use std::io::Write;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The smallest body worth it, in bytes: less fits into one packet.
const SMALLEST: u64 = 1400;
/// Bodies above this are compressed beside the tasks that serve others, in bytes.
const LARGE: usize = 128 * 1024;

/// Whether the client says that it takes gzip.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = parameters.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
            matches!(name.trim(), "gzip" | "*") && !refused
        })
}

/// The answer, compressed if it is whole and large enough.
pub(crate) async fn compress(response: Response<Body>) -> Response<Body> {
    let is_whole = response.body().size_hint().exact().is_some_and(|length| length >= SMALLEST);
    if !is_whole || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(plain) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let packed = if plain.len() > LARGE {
        let moved = plain.clone();
        tokio::task::spawn_blocking(move || gzip(&moved)).await.unwrap_or_else(|error| Err(error.into()))
    } else {
        gzip(&plain)
    };
    let Ok(packed) = packed else { return Response::from_parts(parts, Body::from(plain)) };
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(packed))
}

fn gzip(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain)?;
    encoder.finish().map(Bytes::from)
}
