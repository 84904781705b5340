//! `/v1/agent/`: this very agent.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use futures::StreamExt;
use lictor_model::check::Status;
use lictor_model::definition::decode::{self as definition, Spelling};
use lictor_model::local::{LocalAnswer, LocalRequest, Member};
use lictor_model::seam::StreamRequest;
use lictor_model::service::{Service, ServiceAddress, Weights};
use lictor_model::{CheckId, ServiceId, version as release};
use lictor_telemetry::log;
use lictor_telemetry::metrics::prometheus;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::call::Call;
use crate::failure::Failure;
use crate::{decode, respond};

pub(crate) async fn describe(call: Call) -> Result<Response<Body>, Failure> {
    document(&call, LocalRequest::Describe).await
}

pub(crate) async fn metrics(call: Call) -> Result<Response<Body>, Failure> {
    if call.params.get("format") != "prometheus" {
        return document(&call, LocalRequest::Metrics { prometheus: false }).await;
    }
    if !call.api.settings.prometheus {
        return Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Prometheus is not enabled since its retention time is not positive",
        ));
    }
    match call.agent(LocalRequest::Metrics { prometheus: true }).await? {
        LocalAnswer::Text(text) => Ok(respond::text(text, prometheus::CONTENT_TYPE)),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn plugins(call: Call) -> Result<Response<Body>, Failure> {
    document(&call, LocalRequest::Plugins).await
}

async fn document(call: &Call, request: LocalRequest) -> Result<Response<Body>, Failure> {
    match call.agent(request).await? {
        LocalAnswer::Document(document) => respond::json(call, &document),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn version(call: Call) -> Result<Response<Body>, Failure> {
    let document = json!({
        "SHA": "",
        "BuildDate": "1970-01-01T00:00:00Z",
        "HumanVersion": release::FULL,
        "FIPS": "",
    });
    respond::json(&call, &document)
}

pub(crate) async fn members(call: Call) -> Result<Response<Body>, Failure> {
    if !call.params.get("segment").is_empty() {
        return Err(Failure::internal("Network segments are not supported in this version of Consul"));
    }
    let filter = call.params.filter().compile::<Member>()?;
    let wan = !call.params.get("wan").is_empty();
    match call.agent(LocalRequest::Members { wan }).await? {
        // An agent is a member of every pool that it is in.
        LocalAnswer::Members(members) if members.is_empty() => respond::json(&call, &None::<Member>),
        LocalAnswer::Members(mut members) => {
            members.retain(|member| filter.matches(member));
            respond::json(&call, &members)
        }
        _ => Err(Failure::mismatch()),
    }
}

/// A service as its own agent shows it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OwnService<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    service: &'a str,
    tags: &'a [String],
    meta: &'a BTreeMap<String, String>,
    port: u16,
    address: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tagged_addresses: &'a BTreeMap<String, ServiceAddress>,
    weights: Weights,
    enable_tag_override: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_hash: Option<&'a str>,
    datacenter: &'a str,
}

impl<'a> OwnService<'a> {
    pub(crate) fn new(service: &'a Service, content_hash: Option<&'a str>, call: &'a Call) -> Self {
        Self {
            id: service.id.as_str(),
            service: service.name.as_str(),
            tags: &service.tags,
            meta: &service.meta,
            port: service.port,
            address: &service.address,
            tagged_addresses: &service.tagged_addresses,
            weights: service.weights,
            enable_tag_override: service.enable_tag_override,
            content_hash,
            datacenter: &call.api.settings.datacenter,
        }
    }
}

pub(crate) async fn services(call: Call) -> Result<Response<Body>, Failure> {
    match call.agent(LocalRequest::Services { filter: call.params.filter() }).await? {
        LocalAnswer::Services(services) => {
            let rows: BTreeMap<&str, OwnService<'_>> = services
                .iter()
                .map(|(id, service)| (id.as_str(), OwnService::new(service, None, &call)))
                .collect();
            respond::json(&call, &rows)
        }
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn service(call: Call) -> Result<Response<Body>, Failure> {
    let request = LocalRequest::Service {
        id: ServiceId::from(call.rest.as_str()),
        hash: Some(call.params.get("hash")).filter(|hash| !hash.is_empty()).map(str::to_owned),
        max_wait: call.params.wait()?,
    };
    match call.agent(request).await? {
        LocalAnswer::Service { service, hash } => {
            respond::json(&call, &OwnService::new(&service, Some(&hash), &call))
        }
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn checks(call: Call) -> Result<Response<Body>, Failure> {
    match call.agent(LocalRequest::Checks { filter: call.params.filter() }).await? {
        LocalAnswer::Checks(checks) => respond::json(&call, &checks),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn register_service(call: Call) -> Result<Response<Body>, Failure> {
    let body = call.whole_body()?;
    let definition = definition::service(decode::json(body)?, Spelling::Api).map_err(decode::failed)?;
    let replace_existing_checks = call.params.flag("replace-existing-checks")?;
    let request = LocalRequest::RegisterService { definition: Box::new(definition), replace_existing_checks };
    done(&call, request).await
}

pub(crate) async fn deregister_service(call: Call) -> Result<Response<Body>, Failure> {
    let id = ServiceId::from(call.rest.as_str());
    done(&call, LocalRequest::DeregisterService { id }).await
}

pub(crate) async fn register_check(call: Call) -> Result<Response<Body>, Failure> {
    let body = call.whole_body()?;
    let definition = definition::check(decode::json(body)?, Spelling::Api).map_err(decode::failed)?;
    done(&call, LocalRequest::RegisterCheck { definition: Box::new(definition) }).await
}

pub(crate) async fn deregister_check(call: Call) -> Result<Response<Body>, Failure> {
    let id = CheckId::from(call.rest.as_str());
    done(&call, LocalRequest::DeregisterCheck { id }).await
}

pub(crate) async fn check_pass(call: Call) -> Result<Response<Body>, Failure> {
    update_check(&call, Status::Passing).await
}

pub(crate) async fn check_warn(call: Call) -> Result<Response<Body>, Failure> {
    update_check(&call, Status::Warning).await
}

pub(crate) async fn check_fail(call: Call) -> Result<Response<Body>, Failure> {
    update_check(&call, Status::Critical).await
}

async fn update_check(call: &Call, status: Status) -> Result<Response<Body>, Failure> {
    let id = CheckId::from(call.rest.as_str());
    let output = call.params.get("note").to_owned();
    done(call, LocalRequest::UpdateCheck { id, status, output }).await
}

/// The body of `/v1/agent/check/update/`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Update {
    status: String,
    output: String,
}

pub(crate) async fn check_update(call: Call) -> Result<Response<Body>, Failure> {
    let body = call.whole_body()?;
    let update: Update = serde_json::from_value(decode::json(body)?).map_err(decode::failed)?;
    let status = update
        .status
        .parse()
        .map_err(|_| Failure::bad_request(format!("Invalid check status: '{}'", update.status)))?;
    let id = CheckId::from(call.rest.as_str());
    done(&call, LocalRequest::UpdateCheck { id, status, output: update.output }).await
}

pub(crate) async fn host(call: Call) -> Result<Response<Body>, Failure> {
    document(&call, LocalRequest::Host).await
}

pub(crate) async fn join(call: Call) -> Result<Response<Body>, Failure> {
    let wan = call.params.get("wan") == "1";
    done(&call, LocalRequest::Join { address: call.rest.clone(), wan }).await
}

pub(crate) async fn force_leave(call: Call) -> Result<Response<Body>, Failure> {
    let request = LocalRequest::ForceLeave {
        name: call.rest.clone(),
        prune: call.params.has("prune"),
        wan: call.params.has("wan"),
    };
    done(&call, request).await
}

pub(crate) async fn monitor(call: Call) -> Result<Response<Body>, Failure> {
    let level = match call.params.get("loglevel") {
        "" => "INFO",
        level => level,
    };
    if log::level(level).is_err() {
        return Err(Failure::bad_request(format!("Unknown log level: {level}")));
    }
    let json = matches!(call.params.get("logjson"), "1" | "t" | "T" | "true" | "TRUE" | "True");
    let request = StreamRequest::Monitor { level: level.to_owned(), json };
    let token = call.params.token(&call.headers);
    let lines = call.api.backend.stream(request, token).await?;
    let mut response = Response::new(Body::from_stream(lines.map(Ok::<_, Infallible>)));
    response.headers_mut().insert(header::CONTENT_TYPE, respond::TEXT_UTF8);
    Ok(response)
}

pub(crate) async fn reload(call: Call) -> Result<Response<Body>, Failure> {
    done(&call, LocalRequest::Reload).await
}

pub(crate) async fn leave(call: Call) -> Result<Response<Body>, Failure> {
    done(&call, LocalRequest::Leave).await
}

pub(crate) async fn done(call: &Call, request: LocalRequest) -> Result<Response<Body>, Failure> {
    match call.agent(request).await? {
        LocalAnswer::Done => Ok(respond::done()),
        _ => Err(Failure::mismatch()),
    }
}
