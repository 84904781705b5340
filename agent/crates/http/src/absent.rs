//! Endpoints of the reference that this build does not have: each says so by its name, which is
//! more than a path that is not found tells.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use crate::call::Call;
use crate::failure::Failure;

fn absent(what: &str) -> Result<Response<Body>, Failure> {
    Err(Failure::new(StatusCode::NOT_IMPLEMENTED, format!("this build of the agent has no {what}")))
}

pub(crate) async fn prepared_queries(_call: Call) -> Result<Response<Body>, Failure> {
    absent("prepared queries")
}

pub(crate) async fn mesh(_call: Call) -> Result<Response<Body>, Failure> {
    absent("service mesh, which Lictor leaves to others")
}
