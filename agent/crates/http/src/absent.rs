//! Endpoints of the reference that this build does not have: each says so by its name, which is
//! more than a path that is not found tells.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use crate::call::Call;
use crate::failure::Failure;

pub(crate) async fn mesh(_call: Call) -> Result<Response<Body>, Failure> {
    let why = "this build of the agent has no service mesh, which Lictor leaves to others";
    Err(Failure::new(StatusCode::NOT_IMPLEMENTED, why))
}
