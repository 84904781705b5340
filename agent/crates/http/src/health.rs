//! `/v1/health/`: services and checks by health.

use axum::body::Body;
use axum::http::Response;
use lictor_model::query::{Answer, CheckState, Query, ServiceSelector};

use crate::call::Call;
use crate::failure::Failure;
use crate::respond;

pub(crate) async fn service(call: Call) -> Result<Response<Body>, Failure> {
    let options = call.cached_read_options()?;
    let service = call.named("service name")?.into();
    let selector = ServiceSelector {
        service,
        tags: call.params.all("tag").map(str::to_owned).collect(),
        passing_only: call.params.flag("passing")?,
        selector: call.params.node_selector(),
    };
    // The reference answers a blocking read from a view that knows no leader.
    let from_view = options.is_blocking() && options.near.is_empty();
    let reply = call.read(Query::Health(selector), options).await?;
    let Answer::Instances(instances) = reply.answer.as_ref() else {
        return Err(Failure::mismatch());
    };
    let mut meta = reply.meta.clone();
    meta.known_leader &= !from_view;
    respond::json_with_meta(&call, &meta, instances)
}

pub(crate) async fn checks(call: Call) -> Result<Response<Body>, Failure> {
    let service = call.named("service name")?.into();
    let selector = call.params.node_selector();
    check_list(&call, Query::ServiceChecks { service, selector }).await
}

pub(crate) async fn node(call: Call) -> Result<Response<Body>, Failure> {
    let node = call.named("node name")?.into();
    let filter = call.params.filter();
    check_list(&call, Query::NodeChecks { node, filter }).await
}

pub(crate) async fn state(call: Call) -> Result<Response<Body>, Failure> {
    let state = CheckState::from(call.named("check state")?);
    let selector = call.params.node_selector();
    check_list(&call, Query::ChecksInState { state, selector }).await
}

async fn check_list(call: &Call, query: Query) -> Result<Response<Body>, Failure> {
    let options = call.read_options()?;
    let reply = call.read(query, options).await.map_err(Failure::with_empty_meta)?;
    match reply.answer.as_ref() {
        Answer::Checks(checks) => respond::json_with_meta(call, &reply.meta, checks),
        _ => Err(Failure::mismatch()),
    }
}
