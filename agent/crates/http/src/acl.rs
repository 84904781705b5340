//! `/v1/acl/` and `/v1/agent/token/`: access control, which is disabled.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use crate::call::Call;
use crate::failure::Failure;

pub(crate) async fn disabled(_call: Call) -> Result<Response<Body>, Failure> {
    Err(Failure::new(StatusCode::UNAUTHORIZED, "ACL support disabled"))
}
