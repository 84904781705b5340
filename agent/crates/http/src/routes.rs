//! Which path leads where, and with which methods.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use futures::future::BoxFuture;
use percent_encoding::percent_decode_str;

use crate::call::{self, Api, Call};
use crate::failure::Failure;
use crate::params::Params;
use crate::{acl, agent, agent_health, catalog, connect, health, kv, respond, status};

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
    "/v1/operator/raft/configuration" ["GET"] status::raft_configuration;
    "/v1/status/leader" ["GET"] status::leader;
    "/v1/status/peers" ["GET"] status::peers;
};

/// Answers one request.
pub(crate) async fn dispatch(api: Arc<Api>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(path) = percent_decode_str(parts.uri.path()).decode_utf8() else {
        return Failure::bad_request("the path is not valid UTF-8").into_response();
    };
    if let Some(clean) = cleaned(&path) {
        return redirect(&parts.method, &clean, parts.uri.query());
    }
    let Some(route) = find(&path) else { return not_found(&parts.method, &path) };
    let rest = path.strip_prefix(route.path).unwrap_or_default().to_owned();
    let allow = allowed(route);
    let mut response = if parts.method == Method::OPTIONS {
        let mut response = respond::done();
        response.headers_mut().insert(header::ALLOW, allow);
        response
    } else if route.methods.contains(&parts.method.as_str()) {
        let limit = if route.path == KV { api.settings.kv_max_value } else { api.settings.max_body };
        let body = call::body_within(limit, &parts.headers, body).await;
        let call = Call {
            api,
            method: parts.method,
            rest,
            params: Params::parse(parts.uri.query().unwrap_or_default()),
            headers: parts.headers,
            body,
        };
        (route.endpoint)(call).await.unwrap_or_else(Failure::into_response)
    } else {
        Failure::method_not_allowed(parts.method.as_str(), allow).into_response()
    };
    respond::add_common(response.headers_mut());
    response
}

fn find(path: &str) -> Option<&'static Route> {
    ROUTES
        .iter()
        .filter(
            |route| {
                if route.path.ends_with('/') { path.starts_with(route.path) } else { path == route.path }
            },
        )
        .max_by_key(|route| route.path.len())
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
