//! `/v1/agent/health/` and `/v1/agent/maintenance`: how this agent's services are, for balancers
//! that look at a status alone, and taking them out of service.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use lictor_model::check::Check;
use lictor_model::local::{Health, LocalAnswer, LocalRequest, ServiceHealth, ServiceSelector};
use lictor_model::{ServiceId, ServiceName};
use serde::Serialize;

use crate::agent::{OwnService, done};
use crate::call::Call;
use crate::failure::Failure;
use crate::{params, respond};

/// Text for machines, which the reference sends without a character set.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

pub(crate) async fn maintain_service(call: Call) -> Result<Response<Body>, Failure> {
    let service = ServiceId::from(call.named("service ID")?);
    maintain(&call, Some(service)).await
}

pub(crate) async fn maintain_node(call: Call) -> Result<Response<Body>, Failure> {
    maintain(&call, None).await
}

async fn maintain(call: &Call, service: Option<ServiceId>) -> Result<Response<Body>, Failure> {
    if !call.params.has("enable") {
        return Err(Failure::bad_request("Missing value for enable"));
    }
    let enable = call.params.get("enable");
    let enable = params::boolean(enable)
        .ok_or_else(|| Failure::bad_request(format!("Invalid value for enable: {enable:?}")))?;
    let reason = call.params.get("reason").to_owned();
    done(call, LocalRequest::Maintain { service, enable, reason }).await
}

/// A service with its checks, as it is shown here.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    aggregated_status: &'static str,
    service: Option<OwnService<'a>>,
    checks: Option<Vec<CheckRow<'a>>>,
}

impl<'a> Row<'a> {
    fn new(found: &'a ServiceHealth, call: &'a Call) -> Self {
        Self {
            aggregated_status: found.health.as_str(),
            service: Some(OwnService::new(&found.service, None, call)),
            checks: Some(found.checks.iter().map(CheckRow::new).collect()),
        }
    }
}

/// A check, as it is shown here: as clients of the reference's API know one, without its kind.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CheckRow<'a> {
    node: &'a str,
    #[serde(rename = "CheckID")]
    id: &'a str,
    name: &'a str,
    status: &'static str,
    notes: &'a str,
    output: &'a str,
    #[serde(rename = "ServiceID")]
    service_id: &'a str,
    service_name: &'a str,
    service_tags: Option<&'a [String]>,
    r#type: &'static str,
    definition: Definition,
    create_index: u64,
    modify_index: u64,
}

impl<'a> CheckRow<'a> {
    fn new(check: &'a Check) -> Self {
        Self {
            node: check.node.as_str(),
            id: check.id.as_str(),
            name: &check.name,
            status: check.status.as_str(),
            notes: &check.notes,
            output: &check.output,
            service_id: check.service_id.as_str(),
            service_name: check.service_name.as_str(),
            service_tags: Some(check.service_tags.as_slice()).filter(|tags| !tags.is_empty()),
            r#type: "",
            definition: Definition::default(),
            create_index: 0,
            modify_index: 0,
        }
    }
}

/// The definition of a check, which is always shown blank here.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    interval: &'static str,
    timeout: &'static str,
    deregister_critical_service_after: &'static str,
    #[serde(rename = "HTTP")]
    http: &'static str,
    header: Option<BTreeMap<String, Vec<String>>>,
    method: &'static str,
    body: &'static str,
    #[serde(rename = "TLSServerName")]
    tls_server_name: &'static str,
    #[serde(rename = "TLSSkipVerify")]
    tls_skip_verify: bool,
    #[serde(rename = "TCP")]
    tcp: &'static str,
    #[serde(rename = "TCPUseTLS")]
    tcp_use_tls: bool,
    #[serde(rename = "UDP")]
    udp: &'static str,
    #[serde(rename = "GRPC")]
    grpc: &'static str,
    #[serde(rename = "OSService")]
    os_service: &'static str,
    #[serde(rename = "GRPCUseTLS")]
    grpc_use_tls: bool,
}

impl Default for Definition {
    fn default() -> Self {
        Self {
            interval: "0s",
            timeout: "0s",
            deregister_critical_service_after: "0s",
            http: "",
            header: None,
            method: "",
            body: "",
            tls_server_name: "",
            tls_skip_verify: false,
            tcp: "",
            tcp_use_tls: false,
            udp: "",
            grpc: "",
            os_service: "",
            grpc_use_tls: false,
        }
    }
}

pub(crate) async fn by_id(call: Call) -> Result<Response<Body>, Failure> {
    if call.rest.is_empty() {
        return Err(Failure::internal("Missing serviceID"));
    }
    let found = health(&call, ServiceSelector::Id(ServiceId::from(call.rest.as_str()))).await?;
    let Some(found) = found.first() else {
        let nothing = Row { aggregated_status: Health::Critical.as_str(), service: None, checks: None };
        let why = format!("ServiceId {} not found", call.rest);
        return answer(&call, StatusCode::NOT_FOUND, &why, &nothing);
    };
    answer(&call, status_of(found.health), found.health.as_str(), &Row::new(found, &call))
}

pub(crate) async fn by_name(call: Call) -> Result<Response<Body>, Failure> {
    if call.rest.is_empty() {
        return Err(Failure::internal("Missing service Name"));
    }
    let found = health(&call, ServiceSelector::Name(ServiceName::from(call.rest.as_str()))).await?;
    let rows: Vec<Row<'_>> = found.iter().map(|found| Row::new(found, &call)).collect();
    match found.iter().map(|found| found.health).max() {
        Some(worst) => answer(&call, status_of(worst), worst.as_str(), &rows),
        None => {
            let why = format!("ServiceName {} Not Found", call.rest);
            answer(&call, StatusCode::NOT_FOUND, &why, &rows)
        }
    }
}

async fn health(call: &Call, selector: ServiceSelector) -> Result<Vec<ServiceHealth>, Failure> {
    match call.agent(LocalRequest::Health { selector }).await? {
        LocalAnswer::Health(found) => Ok(found),
        _ => Err(Failure::mismatch()),
    }
}

fn status_of(health: Health) -> StatusCode {
    match health {
        Health::Passing => StatusCode::OK,
        Health::Warning => StatusCode::TOO_MANY_REQUESTS,
        Health::Critical | Health::Maintenance => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The answer in the form that was asked for.
fn answer<T: Serialize>(
    call: &Call,
    status: StatusCode,
    text: &str,
    document: &T,
) -> Result<Response<Body>, Failure> {
    let mut response = if wants_text(call) {
        let mut response = Response::new(Body::from(text.to_owned()));
        response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
        response
    } else {
        respond::json(call, document)?
    };
    *response.status_mut() = status;
    Ok(response)
}

fn wants_text(call: &Call) -> bool {
    let accepted = call.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accepted.is_some_and(|accept| accept.starts_with("text/plain")) || call.params.get("format") == "text"
}
