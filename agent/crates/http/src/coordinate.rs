//! `/v1/coordinate/`: where nodes are.

use axum::body::Body;
use axum::http::Response;
use lictor_model::cluster::{ServerAnswer, ServerRequest};
use lictor_model::command::Command;
use lictor_model::coordinate::NodeCoordinate;
use lictor_model::query::{Answer, Query};

use crate::call::Call;
use crate::failure::Failure;
use crate::{decode, respond};

pub(crate) async fn nodes(call: Call) -> Result<Response<Body>, Failure> {
    coordinates(&call, Query::Coordinates, false).await
}

pub(crate) async fn node(call: Call) -> Result<Response<Body>, Failure> {
    let node = call.named("node name")?.into();
    coordinates(&call, Query::NodeCoordinates(node), true).await
}

async fn coordinates(call: &Call, query: Query, must_exist: bool) -> Result<Response<Body>, Failure> {
    let reply = call.read(query, call.read_options()?).await.map_err(Failure::with_empty_meta)?;
    match reply.answer.as_ref() {
        Answer::Coordinates(found) if found.is_empty() && must_exist => Ok(respond::absent(&reply.meta)),
        Answer::Coordinates(found) => respond::json_with_meta(call, &reply.meta, found),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn datacenters(call: Call) -> Result<Response<Body>, Failure> {
    match call.about_servers(ServerRequest::DatacenterCoordinates).await? {
        ServerAnswer::DatacenterCoordinates(found) => respond::json(&call, &found),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn update(call: Call) -> Result<Response<Body>, Failure> {
    let fields = decode::recased(decode::json(call.whole_body()?)?, &["Node", "Segment", "Coord"])?;
    let coordinate: NodeCoordinate = decode::typed(fields)?;
    call.write(Command::UpdateCoordinates(vec![coordinate])).await?;
    Ok(respond::done())
}
