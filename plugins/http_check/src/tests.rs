use lictor_plugin_sdk::testing::MockHost;
use lictor_plugin_sdk::{CheckPlugin, Misbehaviour};

use super::*;

const URL: &str = r#"{"url":"http://127.0.0.1:80/x"}"#;

fn answering(status: u16, reason: &str, body: &str) -> MockHost {
    MockHost::new().answer_http(Ok(http::Response::new(status, reason, body)))
}

#[test]
fn the_code_decides() {
    for (code, status) in [
        (200, Status::Passing),
        (299, Status::Passing),
        (429, Status::Warning),
        (199, Status::Critical),
        (302, Status::Critical),
        (404, Status::Critical),
        (500, Status::Critical),
    ] {
        let verdict = answering(code, "", "").run_plugin::<Plugin>(URL).unwrap();
        assert_eq!(verdict.status, status, "{code}");
    }
}

#[test]
fn the_texts_are_those_that_tools_parse() {
    let verdict = answering(500, "Internal Server Error", "flip 500").run_plugin::<Plugin>(URL).unwrap();
    assert_eq!(verdict.summary, "HTTP GET http://127.0.0.1:80/x: 500 Internal Server Error");
    assert_eq!(verdict.detail.as_deref(), Some("flip 500"));

    let verdict = answering(299, "", "").run_plugin::<Plugin>(URL).unwrap();
    assert_eq!(verdict.summary, "HTTP GET http://127.0.0.1:80/x: 299 ");
    assert_eq!(verdict.detail.as_deref(), Some(""));
}

#[test]
fn the_request_is_what_the_configuration_says() {
    let host = answering(200, "OK", "");
    let config = r#"{"url":"https://h/","method":"PUT","header":{"X-Probe":["a","b"],"accept":["*/*"]},"body":"ping",
        "disable_redirects":true,"tls_skip_verify":true,"tls_server_name":"n","output_max_size":50}"#;
    host.run_plugin::<Plugin>(config).unwrap();
    let expected = http::Request {
        version: http::Version::Http1,
        method: "PUT".into(),
        url: "https://h/".into(),
        headers: [
            ("X-Probe", "a"),
            ("X-Probe", "b"),
            ("accept", "*/*"),
            ("User-Agent", "Consul Health Check"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        body: Some(b"ping".to_vec()),
        tls: TlsOptions { verify: false, server_name: Some("n".into()) },
        max_redirects: 0,
        body_limit: 50,
        body_end: http::End::Tail,
        timeout: None,
    };
    assert_eq!(host.http_requests(), [expected]);
}

#[test]
fn a_broken_target_is_critical_and_a_closed_door_is_a_fault() {
    let refused = ProbeError::target(Misbehaviour::Refused, "connection refused");
    let verdict = MockHost::new().answer_http(Err(refused)).run_plugin::<Plugin>(URL).unwrap();
    assert_eq!(verdict.status, Status::Critical);
    assert_eq!(verdict.summary, "HTTP GET http://127.0.0.1:80/x: connection refused");

    let denied = MockHost::new().answer_http(Err(ProbeError::Denied("no".into())));
    assert_eq!(denied.run_plugin::<Plugin>(URL), Err(Fault::Denied("no".into())));
}

#[test]
fn the_schema_requires_the_url_and_nothing_else() {
    let schema = Plugin::descriptor().config_schema;
    assert!(schema.contains(r#""required":["url"]"#), "{schema}");
    assert!(schema.contains(r#""additionalProperties":false"#), "{schema}");
    assert!(schema.contains(r#""description":"The URL to request.""#), "{schema}");
}

fn expecting(expect: &str, response: http::Response) -> Verdict {
    let config = format!(r#"{{"url":"http://h/","expect":{expect}}}"#);
    MockHost::new().answer_http(Ok(response)).run_plugin::<Plugin>(&config).unwrap()
}

#[test]
fn expected_codes_replace_the_usual_ones() {
    let expect = r#"{"status":["200-204",301]}"#;
    for (code, status) in
        [(200, Status::Passing), (204, Status::Passing), (301, Status::Passing), (205, Status::Critical)]
    {
        assert_eq!(expecting(expect, http::Response::new(code, "", "")).status, status, "{code}");
    }
}

#[test]
fn every_expectation_that_is_not_met_is_named() {
    let expect = r#"{"header":{"X-A":"1"},"body_contains":"ready","body_matches":"^\\{.*\\}$",
        "json":{"/db/up":true,"/n":1,"/gone":null}}"#;
    let good = http::Response {
        headers: vec![("x-a".into(), "1".into())],
        ..http::Response::new(200, "OK", r#"{"is":"ready","db":{"up":true},"n":1.0,"gone":null}"#)
    };
    assert_eq!(expecting(expect, good).status, Status::Passing);
    let verdict = expecting(expect, http::Response::new(200, "OK", r#"{"db":{"up":false},"n":1}"#));
    assert_eq!(verdict.status, Status::Critical);
    assert_eq!(
        verdict.summary,
        "HTTP GET http://h/: 200 OK; header X-A is missing; the body does not contain \"ready\"; /db/up is false, not \
         true; /gone is missing"
    );
    assert_eq!(
        expecting(expect, http::Response::new(500, "Internal Server Error", "")).summary,
        "HTTP GET http://h/: 500 Internal Server Error"
    );
}

#[test]
fn a_pattern_that_is_none_is_a_fault() {
    let config = r#"{"url":"http://h/","expect":{"body_matches":"("}}"#;
    let fault = answering(200, "OK", "").run_plugin::<Plugin>(config).unwrap_err();
    assert!(
        matches!(&fault, Fault::InvalidConfig(text) if text.starts_with("expect.body_matches")),
        "{fault:?}"
    );
}

#[test]
fn of_a_long_body_the_end_is_shown() {
    let config = r#"{"url":"http://h/","output_max_size":4,"expect":{"body_contains":"a"}}"#;
    let verdict = answering(200, "OK", "abcd\u{e9}fg").run_plugin::<Plugin>(config).unwrap();
    assert_eq!(verdict.detail.as_deref(), Some("\u{e9}fg"));
}
