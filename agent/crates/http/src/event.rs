//! `/v1/event/`: what users fire for all agents, or some.

use axum::body::Body;
use axum::http::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lictor_model::cluster::ServerOptions;
use lictor_model::event::UserEvent;
use lictor_model::local::{LocalAnswer, LocalRequest};
use serde::Serialize;

use crate::call::Call;
use crate::failure::Failure;
use crate::respond;

/// An event as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    name: &'a str,
    payload: Option<String>,
    node_filter: &'a str,
    service_filter: &'a str,
    tag_filter: &'a str,
    version: u32,
    #[serde(rename = "LTime")]
    time: u64,
}

impl<'a> From<&'a UserEvent> for Row<'a> {
    fn from(event: &'a UserEvent) -> Self {
        Self {
            id: &event.id,
            name: &event.name,
            payload: Some(&event.payload)
                .filter(|payload| !payload.is_empty())
                .map(|payload| STANDARD.encode(payload)),
            node_filter: &event.node_filter,
            service_filter: &event.service_filter,
            tag_filter: &event.tag_filter,
            version: event.version,
            time: event.time,
        }
    }
}

pub(crate) async fn fire(call: Call) -> Result<Response<Body>, Failure> {
    let filter = |name: &str| call.params.get(name).to_owned();
    let event = UserEvent {
        name: call.named("name")?.to_owned(),
        payload: call.whole_body()?.clone(),
        node_filter: filter("node"),
        service_filter: filter("service"),
        tag_filter: filter("tag"),
        ..UserEvent::default()
    };
    let options = ServerOptions {
        token: call.params.token(&call.headers),
        datacenter: call.params.datacenter(),
        stale: true,
    };
    match call.agent(LocalRequest::Fire { event: Box::new(event), options }).await? {
        LocalAnswer::Fired(event) => respond::json(&call, &Row::from(event.as_ref())),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn list(call: Call) -> Result<Response<Body>, Failure> {
    let options = call.read_options()?;
    let request = LocalRequest::Events {
        name: call.params.get("name").to_owned(),
        index: options.min_index.0,
        max_wait: options.max_wait,
    };
    let LocalAnswer::Events { events, index } = call.agent(request).await? else {
        return Err(Failure::mismatch());
    };
    let rows: Vec<Row<'_>> = events.iter().map(|event| Row::from(event.as_ref())).collect();
    let mut response = respond::json(&call, &rows)?;
    respond::add_index(response.headers_mut(), index);
    Ok(response)
}
