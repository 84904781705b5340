//! Routing, parameters and failures, in front of a backend that refuses everything.

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::local::{LocalAnswer, LocalRequest};
use lictor_model::query::{Query, ReadOptions, Reply};
use lictor_model::{Error, Result, Token};
use lictor_telemetry::metrics::{Style, prometheus};
use proptest::prelude::*;
use tower::ServiceExt;

use super::*;
use crate::params::Params;

/// Knows no leader, and says of every request what it was.
struct Refusing;

#[async_trait]
impl Backend for Refusing {
    async fn read(&self, query: Query, options: ReadOptions) -> Result<Reply> {
        Err(Error::failed(format!("{query:?} {options:?}")))
    }

    async fn write(&self, command: Command, _options: WriteOptions) -> Result<Outcome> {
        Err(Error::failed(format!("{command:?}")))
    }

    async fn agent(&self, _request: LocalRequest, _token: Token) -> Result<LocalAnswer> {
        Err(Error::no_leader())
    }
}

async fn ask(method: &str, path: &str, body: &str) -> (Response<()>, String) {
    let settings = Settings { kv_max_value: 8, ..Settings::default() };
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let response = router(Arc::new(Refusing), settings).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (Response::from_parts(parts, ()), String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_ones() {
    let (response, text) = ask("PUT", "/v1/health/state/any", "").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "OPTIONS,GET");
    assert_eq!(text, "method PUT not allowed");
    let (response, _) = ask("OPTIONS", "/v1/kv/a", "").await;
    assert_eq!(response.headers()["allow"], "OPTIONS,GET,PUT,DELETE");
}

#[tokio::test]
async fn requests_are_timed_by_route_and_method() {
    let metrics = Arc::<Registry>::default();
    let settings = Settings { metrics: Arc::clone(&metrics), ..Settings::default() };
    let router = router(Arc::new(Refusing), settings);
    for (method, path) in
        [("GET", "/v1/kv/a"), ("GET", "/v1/kv/b?index=1"), ("PUT", "/v1/kv/c"), ("GET", "/nope")]
    {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        drop(router.clone().oneshot(request).await.unwrap());
    }
    let text = prometheus::text(&metrics, Vec::new(), &Style::default());
    let counts: Vec<&str> = text.lines().filter(|line| line.starts_with("consul_api_http_count")).collect();
    assert_eq!(
        counts,
        [
            r#"consul_api_http_count{method="GET",path="v1.kv._"} 2"#,
            r#"consul_api_http_count{method="PUT",path="v1.kv._"} 1"#,
        ]
    );
}

#[tokio::test]
async fn paths_are_cleaned_and_unknown_ones_named() {
    let (response, text) = ask("GET", "/v1/kv//a/../b%20c", "").await;
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(response.headers()["location"], "/v1/kv/b%20c");
    assert!(text.contains("Temporary Redirect"));
    let (response, _) = ask("GET", "/v1/kv", "").await;
    assert_eq!(response.headers()["location"], "/v1/kv/");
    let (response, text) = ask("GET", "/v1/bogus", "").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(text.starts_with("Invalid URL path"));
}

#[tokio::test]
async fn the_longest_route_wins() {
    let (_, text) = ask("PUT", "/v1/agent/service/register", "{").await;
    assert!(text.starts_with("Request decode failed"), "{text}");
    let (_, text) = ask("GET", "/v1/agent/service/register", "").await;
    assert_eq!(text, "method GET not allowed");
}

#[tokio::test]
async fn options_reach_the_backend_and_tokens_do_not_show() {
    let (_, text) = ask("GET", "/v1/kv/a%2Fb?index=7&wait=90s&consistent&token=secret", "").await;
    for expected in ["KvGet { key: \"a/b\" }", "Consistent", "RaftIndex(7)", "90s", "hidden"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(!text.contains("secret"));
}

#[tokio::test]
async fn bad_parameters_and_bodies_are_refused_before_the_backend() {
    for (path, expected) in [
        ("/v1/kv/a?index=-1", "Invalid index"),
        ("/v1/kv/a?wait=soon", "Invalid wait time"),
        ("/v1/kv/a?stale&consistent", "Cannot specify ?stale with ?consistent, conflicting semantics."),
        ("/v1/kv/", "Missing key name"),
    ] {
        let (response, text) = ask("GET", path, "").await;
        assert_eq!((response.status(), text.as_str()), (StatusCode::BAD_REQUEST, expected));
    }
    let (response, text) = ask("PUT", "/v1/kv/a", "123456789").await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text.starts_with("Request body(9 bytes) too large, max size: 8 bytes"));
    let (_, text) = ask("PUT", "/v1/catalog/register", "").await;
    assert_eq!(text, "Request decode failed: EOF");
}

#[tokio::test]
async fn keys_of_catalog_requests_match_in_any_case() {
    let body = r#"{"node":"n","ADDRESS":"10.0.0.1","service":{"service":"web","weights":{"passing":0}},"check":{"name":"c","status":"odd"},"extra":1}"#;
    let (_, text) = ask("PUT", "/v1/catalog/register", body).await;
    for expected in
        ["node: \"n\"", "address: \"10.0.0.1\"", "name: \"web\"", "name: \"c\"", "status: Critical"]
    {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

proptest! {
    #[test]
    fn any_query_string_is_read_without_a_panic(query in "\\PC{0,80}") {
        let params = Params::parse(&query);
        let _ = params.read_options(&axum::http::HeaderMap::new());
        let _ = params.node_selector();
        let _ = params.flag("passing");
    }
}

#[test]
fn a_wait_of_nothing_or_less_is_left_to_the_agent() {
    let wait = |query: &str| Params::parse(query).wait().map_err(|failure| failure.message().to_owned());
    assert_eq!(wait("wait=2s"), Ok(Some(std::time::Duration::from_secs(2))));
    assert_eq!((wait("wait=0s"), wait("wait=-1s"), wait("")), (Ok(None), Ok(None), Ok(None)));
    assert_eq!(wait("wait=soon"), Err("Invalid wait time".to_owned()));
}

#[tokio::test]
async fn prepared_queries_are_read_without_regard_to_case_and_what_was_left_out_stays_so() {
    let body = r#"{"name": "q", "Unknown": 1, "token": null, "service": {"SERVICE": "web", "Tags": [],
        "ignorecheckids": ["c"], "failover": {"targets": [{"peer": "p"}]}}, "dns": {"ttl": "5s"}}"#;
    let (_, text) = ask("POST", "/v1/query", body).await;
    for part in [
        r#"name: "q""#,
        r#"service: "web""#,
        "tags: Some([])",
        "node_meta: None",
        r#"ignore_check_ids: Some(["c"])"#,
        r#"targets: Some([FailoverTarget { peer: "p""#,
        r#"ttl: "5s""#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for (body, why) in [("", "EOF"), ("[]", "expected an object"), (r#"{"DNS": 1}"#, "expected an object")] {
        let (response, text) = ask("POST", "/v1/query", body).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(text, format!("Request decode failed: {why}"));
    }
}

#[tokio::test]
async fn what_a_prepared_query_is_asked_for_stands_at_the_end_of_its_path() {
    let (_, text) = ask("GET", "/v1/query/a/b/execute?limit=2&connect=1&near=_ip&index=7", "").await;
    for part in [r#"name: "a/b""#, "limit: Some(2)", "connect: true", r#"near: "_ip""#, "RaftIndex(0)"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(ask("GET", "/v1/query/execute", "").await.1.contains(r#"name: "execute""#));
    assert!(ask("GET", "/v1/query/q/explain", "").await.1.starts_with(r#"ExplainPrepared { name: "q" }"#));
    assert!(ask("GET", "/v1/query/q", "").await.1.starts_with(r#"PreparedQuery("q")"#));
    for (path, why) in [
        ("execute?limit=x", r#"Bad limit: strconv.Atoi: parsing "x": invalid syntax"#),
        (
            "explain?limit=9223372036854775808",
            r#"Bad limit: strconv.Atoi: parsing "9223372036854775808": value out of range"#,
        ),
        (
            "execute?connect=x",
            r#"Error parsing 'connect' value: strconv.ParseBool: parsing "x": invalid syntax"#,
        ),
    ] {
        let (response, text) = ask("GET", &format!("/v1/query/q/{path}"), "").await;
        assert_eq!((response.status(), text.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, why));
    }
    let (response, text) = ask("DELETE", "/v1/query/q/explain", "").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET");
    assert_eq!(text, "method DELETE not allowed");
}

#[tokio::test]
async fn proxies_say_who_asks() {
    let request = |forwarded: Option<&str>, peer: &str| {
        let mut request = Request::get("/v1/query/q/execute").body(Body::empty()).unwrap();
        request.extensions_mut().insert(server::Peer(Some(peer.parse().unwrap())));
        if let Some(forwarded) = forwarded {
            request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
        }
        request
    };
    for (forwarded, peer, from) in [
        (None, "::ffff:10.0.0.1", "Some(10.0.0.1)"),
        (Some("10.0.0.7, 10.0.0.8"), "10.0.0.1", "Some(10.0.0.7)"),
        (Some("nobody"), "10.0.0.1", "Some(10.0.0.1)"),
    ] {
        let answer = router(Arc::new(Refusing), Settings::default()).oneshot(request(forwarded, peer));
        let body = axum::body::to_bytes(answer.await.unwrap().into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(text.contains(&format!("from: {from}")), "{text}");
    }
}
