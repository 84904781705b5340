//! `/v1/status/`: who leads, and who else serves.

use axum::body::Body;
use axum::http::Response;
use lictor_model::cluster::{ServerAnswer, ServerRequest};

use crate::call::Call;
use crate::failure::Failure;
use crate::respond;

pub(crate) async fn leader(call: Call) -> Result<Response<Body>, Failure> {
    match call.about_servers(ServerRequest::Leader).await? {
        ServerAnswer::Leader(leader) => {
            let address = leader.map(|address| address.to_string()).unwrap_or_default();
            respond::json(&call, &address)
        }
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn peers(call: Call) -> Result<Response<Body>, Failure> {
    match call.about_servers(ServerRequest::Peers).await? {
        ServerAnswer::Peers(peers) => respond::json(&call, &peers),
        _ => Err(Failure::mismatch()),
    }
}
