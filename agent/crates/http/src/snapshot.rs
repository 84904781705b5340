//! `/v1/snapshot`: the whole replicated state as one file.

use std::sync::PoisonError;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, header};
use futures::{StreamExt, TryStreamExt};
use lictor_model::query::{Consistency, ReadOptions};
use lictor_model::seam::Content;
use lictor_model::{Error, RaftIndex};

use crate::call::Call;
use crate::failure::Failure;
use crate::respond;

/// For how long a client that sends a file may send nothing.
const SILENCE: Duration = Duration::from_secs(60);

pub(crate) async fn endpoint(call: Call) -> Result<Response<Body>, Failure> {
    if call.method == Method::PUT { restore(call).await } else { save(call).await }
}

async fn save(call: Call) -> Result<Response<Body>, Failure> {
    let options = call.read_options()?;
    let saved = call.api.backend.save(as_snapshot(options)).await?;
    let mut response = Response::new(Body::from_stream(saved.content));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-gzip"));
    respond::add_meta(response.headers_mut(), &saved.meta);
    Ok(response)
}

/// A backup that lacks what was acknowledged is worse than one that takes a moment longer.
fn as_snapshot(options: ReadOptions) -> ReadOptions {
    let consistency = match options.consistency {
        Consistency::Stale => Consistency::Stale,
        Consistency::Default | Consistency::Consistent => Consistency::Consistent,
    };
    ReadOptions { consistency, min_index: RaftIndex::default(), ..options }
}

async fn restore(call: Call) -> Result<Response<Body>, Failure> {
    let options = call.write_options();
    let body = call.stream.into_inner().unwrap_or_else(PoisonError::into_inner);
    call.api.backend.restore(patiently(body), options).await?;
    Ok(respond::done())
}

/// The body as it comes, unless nothing comes for too long.
fn patiently(body: Body) -> Content {
    let broken = |error: axum::Error| Error::failed(format!("the snapshot did not come whole: {error}"));
    let pieces = body.into_data_stream().map_err(broken).boxed();
    Box::pin(futures::stream::unfold(Some(pieces), |pieces| async {
        let mut pieces = pieces?;
        match tokio::time::timeout(SILENCE, pieces.next()).await {
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Ok(None) => None,
            Err(_) => Some((Err(Error::failed("the rest of the snapshot did not come in time")), None)),
        }
    }))
}
