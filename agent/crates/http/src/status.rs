//! `/v1/status/`: who leads, and who else serves.

use axum::body::Body;
use axum::http::Response;
use lictor_model::local::{LocalAnswer, LocalRequest};

use crate::call::Call;
use crate::failure::Failure;
use crate::respond;

pub(crate) async fn leader(call: Call) -> Result<Response<Body>, Failure> {
    match call.agent(LocalRequest::Leader { datacenter: call.params.datacenter() }).await? {
        LocalAnswer::Leader(leader) => {
            let address = leader.map(|address| address.to_string()).unwrap_or_default();
            respond::json(&call, &address)
        }
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn peers(call: Call) -> Result<Response<Body>, Failure> {
    match call.agent(LocalRequest::Peers { datacenter: call.params.datacenter() }).await? {
        LocalAnswer::Peers(peers) => respond::json(&call, &peers),
        _ => Err(Failure::mismatch()),
    }
}
