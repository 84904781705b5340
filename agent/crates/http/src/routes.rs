//! Which path leads where, and with which methods.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use futures::future::BoxFuture;
use lictor_telemetry::metrics::Registry;
use percent_encoding::percent_decode_str;

use crate::call::{self, Api, Call};
use crate::failure::Failure;
use crate::params::Params;
use crate::server::Peer;
use crate::timing::Timings;
use crate::{
    Settings, absent, acl, agent, agent_health, catalog, compress, connect, coordinate, event, health,
    keyring, kv, operator, prepared, respond, session, snapshot, status, txn,
};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

type Endpoint = fn(Call) -> BoxFuture<'static, Result<Response<Body>, Failure>>;

struct Route {
    /// A path that ends in `/` takes everything below it.
    path: &'static str,
    methods: &'static [&'static str],
    endpoint: Endpoint,
}

macro_rules! routes {
    ($($path:literal [$($method:literal),+] $($endpoint:ident)::+;)*) => {
        &[$(Route {
            path: $path,
            methods: &[$($method),+],
            endpoint: |call| Box::pin($($endpoint)::+(call)),
        }),*]
    };
}

/// The key-value store, whose values have a limit of their own.
const KV: &str = "/v1/kv/";
/// Transactions, which have one too.
const TXN: &str = "/v1/txn";
/// Snapshots, which are too large to wait for.
const SNAPSHOT: &str = "/v1/snapshot";

/// All endpoints. The longest path that fits is taken, so the order is for readers and for the
/// busiest to be found first.
const ROUTES: &[Route] = routes! {
    "/v1/kv/" ["GET", "PUT", "DELETE"] kv::endpoint;
    "/v1/health/service/" ["GET"] health::service;
    "/v1/health/checks/" ["GET"] health::checks;
    "/v1/health/node/" ["GET"] health::node;
    "/v1/health/state/" ["GET"] health::state;
    "/v1/catalog/service/" ["GET"] catalog::service;
    "/v1/catalog/services" ["GET"] catalog::services;
    "/v1/catalog/nodes" ["GET"] catalog::nodes;
    "/v1/catalog/node/" ["GET"] catalog::node;
    "/v1/catalog/node-services/" ["GET"] catalog::node_services;
    "/v1/catalog/datacenters" ["GET"] catalog::datacenters;
    "/v1/catalog/register" ["PUT"] catalog::register;
    "/v1/catalog/deregister" ["PUT"] catalog::deregister;
    "/v1/txn" ["PUT"] txn::endpoint;
    "/v1/session/create" ["PUT"] session::create;
    "/v1/session/destroy/" ["PUT"] session::destroy;
    "/v1/session/renew/" ["PUT"] session::renew;
    "/v1/session/info/" ["GET"] session::info;
    "/v1/session/node/" ["GET"] session::of_node;
    "/v1/session/list" ["GET"] session::list;
    "/v1/agent/self" ["GET"] agent::describe;
    "/v1/agent/version" ["GET"] agent::version;
    "/v1/agent/members" ["GET"] agent::members;
    "/v1/agent/metrics" ["GET"] agent::metrics;
    "/v1/agent/plugins" ["GET"] agent::plugins;
    "/v1/agent/services" ["GET"] agent::services;
    "/v1/agent/service/" ["GET"] agent::service;
    "/v1/agent/service/register" ["PUT"] agent::register_service;
    "/v1/agent/service/deregister/" ["PUT"] agent::deregister_service;
    "/v1/agent/service/maintenance/" ["PUT"] agent_health::maintain_service;
    "/v1/agent/maintenance" ["PUT"] agent_health::maintain_node;
    "/v1/agent/health/service/id/" ["GET"] agent_health::by_id;
    "/v1/agent/health/service/name/" ["GET"] agent_health::by_name;
    "/v1/agent/checks" ["GET"] agent::checks;
    "/v1/agent/check/register" ["PUT"] agent::register_check;
    "/v1/agent/check/deregister/" ["PUT"] agent::deregister_check;
    "/v1/agent/check/pass/" ["PUT"] agent::check_pass;
    "/v1/agent/check/warn/" ["PUT"] agent::check_warn;
    "/v1/agent/check/fail/" ["PUT"] agent::check_fail;
    "/v1/agent/check/update/" ["PUT"] agent::check_update;
    "/v1/agent/reload" ["PUT"] agent::reload;
    "/v1/agent/leave" ["PUT"] agent::leave;
    "/v1/agent/host" ["GET"] agent::host;
    "/v1/agent/join/" ["PUT"] agent::join;
    "/v1/agent/force-leave/" ["PUT"] agent::force_leave;
    "/v1/agent/monitor" ["GET"] agent::monitor;
    "/v1/agent/token/" ["PUT"] acl::disabled;
    "/v1/acl/bootstrap" ["PUT"] acl::disabled;
    "/v1/acl/replication" ["GET"] acl::disabled;
    "/v1/acl/login" ["POST"] acl::disabled;
    "/v1/acl/logout" ["POST"] acl::disabled;
    "/v1/acl/policies" ["GET"] acl::disabled;
    "/v1/acl/policy" ["PUT"] acl::disabled;
    "/v1/acl/policy/" ["GET", "PUT", "DELETE"] acl::disabled;
    "/v1/acl/policy/name/" ["GET"] acl::disabled;
    "/v1/acl/roles" ["GET"] acl::disabled;
    "/v1/acl/role" ["PUT"] acl::disabled;
    "/v1/acl/role/" ["GET", "PUT", "DELETE"] acl::disabled;
    "/v1/acl/role/name/" ["GET"] acl::disabled;
    "/v1/acl/tokens" ["GET"] acl::disabled;
    "/v1/acl/token" ["PUT"] acl::disabled;
    "/v1/acl/token/" ["GET", "PUT", "DELETE"] acl::disabled;
    "/v1/acl/token/self" ["GET"] acl::disabled;
    "/v1/acl/auth-methods" ["GET"] acl::disabled;
    "/v1/acl/auth-method" ["PUT"] acl::disabled;
    "/v1/acl/auth-method/" ["GET", "PUT", "DELETE"] acl::disabled;
    "/v1/acl/binding-rules" ["GET"] acl::disabled;
    "/v1/acl/binding-rule" ["PUT"] acl::disabled;
    "/v1/acl/binding-rule/" ["GET", "PUT", "DELETE"] acl::disabled;
    "/v1/agent/connect/ca/roots" ["GET"] connect::roots;
    "/v1/config/service-intentions/" ["DELETE"] connect::delete_intentions;
    "/v1/config" ["PUT"] absent::mesh;
    "/v1/config/" ["GET", "DELETE"] absent::mesh;
    "/v1/connect/" ["GET", "PUT", "POST", "DELETE"] absent::mesh;
    "/v1/agent/connect/" ["GET", "POST"] absent::mesh;
    "/v1/catalog/connect/" ["GET"] connect::instances;
    "/v1/catalog/gateway-services/" ["GET"] absent::mesh;
    "/v1/health/connect/" ["GET"] connect::instances;
    "/v1/health/ingress/" ["GET"] absent::mesh;
    "/v1/discovery-chain/" ["GET", "POST"] absent::mesh;
    "/v1/peering" ["GET", "DELETE"] absent::mesh;
    "/v1/peering/" ["GET", "PUT", "POST", "DELETE"] absent::mesh;
    "/v1/coordinate/datacenters" ["GET"] coordinate::datacenters;
    "/v1/coordinate/nodes" ["GET"] coordinate::nodes;
    "/v1/coordinate/node/" ["GET"] coordinate::node;
    "/v1/coordinate/update" ["PUT"] coordinate::update;
    "/v1/event/fire/" ["PUT"] event::fire;
    "/v1/event/list" ["GET"] event::list;
    "/v1/query" ["GET", "POST"] prepared::all;
    "/v1/query/" ["GET", "PUT", "DELETE"] prepared::one;
    "/v1/snapshot" ["GET", "PUT"] snapshot::endpoint;
    "/v1/operator/raft/peer" ["DELETE"] operator::remove_peer;
    "/v1/operator/raft/transfer-leader" ["POST"] operator::transfer_leader;
    "/v1/operator/keyring" ["GET", "POST", "PUT", "DELETE"] keyring::keyring;
    "/v1/operator/autopilot/configuration" ["GET", "PUT"] operator::autopilot;
    "/v1/operator/autopilot/health" ["GET"] operator::health;
    "/v1/operator/autopilot/state" ["GET"] operator::state;
    "/v1/operator/usage" ["GET"] operator::usage;
    "/v1/operator/raft/configuration" ["GET"] operator::raft_configuration;
    "/v1/status/leader" ["GET"] status::leader;
    "/v1/status/peers" ["GET"] status::peers;
};

/// Answers one request.
pub(crate) async fn dispatch(api: Arc<Api>, request: Request<Body>) -> Response<Body> {
    let wants_gzip = compress::is_wanted(request.headers());
    let mut response = answer(&api, request).await;
    for (name, value) in &api.settings.response_headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    if wants_gzip { compress::compress(response).await } else { response }
}

async fn answer(api: &Arc<Api>, request: Request<Body>) -> Response<Body> {
    let peer = request.extensions().get::<Peer>().copied();
    let (parts, body) = request.into_parts();
    let Ok(path) = percent_decode_str(parts.uri.path()).decode_utf8() else {
        return Failure::bad_request("the path is not valid UTF-8").into_response();
    };
    if let Some(clean) = cleaned(&path) {
        return redirect(&parts.method, &clean, parts.uri.query());
    }
    let Some((position, route)) = find(&path) else { return not_found(&parts.method, &path) };
    let start = api.timings.now();
    let method = parts.method.clone();
    let allow = allowed(route);
    let mut response = if parts.method == Method::OPTIONS {
        let mut response = respond::done();
        response.headers_mut().insert(header::ALLOW, allow);
        response
    } else if let Err(forbidden) = admit(&api.settings, &path, &parts.method, peer) {
        forbidden.into_response()
    } else if route.methods.contains(&parts.method.as_str()) {
        let rest = path.strip_prefix(route.path).unwrap_or_default().to_owned();
        carry_out(api, route, rest, (parts, peer), body).await.unwrap_or_else(Failure::into_response)
    } else {
        Failure::method_not_allowed(parts.method.as_str(), allow).into_response()
    };
    respond::add_common(response.headers_mut());
    api.timings.record(position, route.methods, &method, start);
    response
}

async fn carry_out(
    api: &Arc<Api>,
    route: &Route,
    rest: String,
    (parts, peer): (Parts, Option<Peer>),
    body: Body,
) -> Result<Response<Body>, Failure> {
    let limit = match route.path {
        KV => api.settings.kv_max_value,
        TXN => api.settings.txn_limit(),
        _ => api.settings.max_body,
    };
    let (body, stream) = match route.path {
        SNAPSHOT => (Body::empty(), body),
        _ => (body, Body::empty()),
    };
    let body = tokio::time::timeout(BODY_TIMEOUT, call::body_within(limit, &parts.headers, body))
        .await
        .map_err(|_| Failure::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"))?;
    let call = Call {
        api: Arc::clone(api),
        method: parts.method,
        rest,
        params: Params::parse(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        peer: peer.and_then(|Peer(address)| address),
        body,
        stream: Mutex::new(stream),
    };
    (route.endpoint)(call).await
}

/// Whether the agent's configuration lets this request in.
fn admit(settings: &Settings, path: &str, method: &Method, peer: Option<Peer>) -> Result<(), Failure> {
    let forbidden = |why| Err(Failure::new(StatusCode::FORBIDDEN, why));
    if settings.block_endpoints.iter().any(|blocked| path.starts_with(blocked.as_str())) {
        return forbidden("Endpoint is blocked by agent configuration");
    }
    let only_reads = method == Method::GET || method == Method::HEAD;
    if only_reads || settings.allow_write_from.is_empty() {
        return Ok(());
    }
    match peer {
        Some(Peer(Some(address))) => {
            let address = address.to_canonical();
            if settings.allow_write_from.iter().any(|net| net.contains(&address)) {
                Ok(())
            } else {
                forbidden("Access is restricted")
            }
        }
        // Who may open the socket may write.
        _ => Ok(()),
    }
}

/// A place to record how long requests take, for each of the routes.
pub(crate) fn timings(registry: &Registry) -> Timings {
    Timings::new(registry, ROUTES.iter().map(|route| (route.path, route.methods)))
}

/// The route, and its position in the table.
fn find(path: &str) -> Option<(usize, &'static Route)> {
    ROUTES
        .iter()
        .enumerate()
        .filter(
            |(_, route)| {
                if route.path.ends_with('/') { path.starts_with(route.path) } else { path == route.path }
            },
        )
        .max_by_key(|(_, route)| route.path.len())
}

fn allowed(route: &Route) -> HeaderValue {
    let list = format!("OPTIONS,{}", route.methods.join(","));
    HeaderValue::from_str(&list).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

fn not_found(method: &Method, path: &str) -> Response<Body> {
    let with_slash = format!("{path}/");
    if ROUTES.iter().any(|route| route.path == with_slash) {
        return redirect(method, &with_slash, None);
    }
    if path == "/" {
        let mut response = respond::done();
        *response.body_mut() = Body::from(
            "Consul Agent: UI disabled. To enable, set ui_config.enabled=true in the agent configuration and restart.",
        );
        return response;
    }
    let why = if path.starts_with("/v1/") {
        "Invalid URL path: not a recognized HTTP API endpoint\n"
    } else {
        "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"
    };
    Failure::new(StatusCode::NOT_FOUND, why).into_response()
}

/// The path without empty and dotted segments, if it has any.
fn cleaned(path: &str) -> Option<String> {
    let dirty = path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..");
    if !dirty {
        return None;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let slash = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    Some(format!("/{}{slash}", segments.join("/")))
}

fn redirect(method: &Method, path: &str, query: Option<&str>) -> Response<Body> {
    const UNSAFE: &percent_encoding::AsciiSet =
        &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'?').add(b'#').add(b'%');
    let mut location = percent_encoding::utf8_percent_encode(path, UNSAFE).to_string();
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if method == Method::GET || method == Method::HEAD {
        let page = format!("<a href=\"{location}\">Temporary Redirect</a>.\n\n");
        *response.body_mut() = Body::from(page.replace('&', "&amp;"));
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, html);
    }
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
