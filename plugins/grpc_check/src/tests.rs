use lictor_plugin_sdk::Status;
use lictor_plugin_sdk::testing::MockHost;

use super::*;

const CONFIG: &str = r#"{"address":"h:1","service":"db"}"#;

fn answer(body: &[u8], trailers: &[(&str, &str)]) -> http::Response {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    http::Response {
        headers: pairs(&[("content-type", "application/grpc")]),
        trailers: pairs(trailers),
        ..http::Response::new(200, "OK", body)
    }
}

fn says(answer: Result<http::Response, ProbeError>) -> (Status, String) {
    let verdict = MockHost::new().answer_http(answer).run_plugin::<Plugin>(CONFIG).unwrap();
    (verdict.status, verdict.summary)
}

#[test]
fn the_serving_status_decides() {
    let ok = &[("grpc-status", "0")];
    let (status, text) = says(Ok(answer(&[0, 0, 0, 0, 2, 8, 1], ok)));
    assert_eq!((status, &*text), (Status::Passing, "gRPC check h:1/db: success"));
    let (status, text) = says(Ok(answer(&[0, 0, 0, 0, 2, 8, 2], ok)));
    assert_eq!((status, &*text), (Status::Critical, "gRPC h:1/db serving status: NOT_SERVING"));
}

#[test]
fn errors_are_those_of_grpc() {
    let unknown = answer(&[], &[("grpc-status", "5"), ("grpc-message", "unknown%20service")]);
    assert_eq!(says(Ok(unknown)).1, "rpc error: code = NotFound desc = unknown service");
    assert_eq!(
        says(Ok(http::Response::new(502, "Bad Gateway", ""))).1,
        "rpc error: code = Unavailable desc = unexpected HTTP status code received from server: 502 (Bad Gateway); \
         transport: received unexpected content-type \"\""
    );
    let refused = ProbeError::target(Misbehaviour::Refused, "connection refused");
    assert_eq!(
        says(Err(refused)).1,
        "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp h:1: \
         connect: connection refused\""
    );
    let late = ProbeError::target(Misbehaviour::TimedOut, "timed out");
    assert_eq!(says(Err(late)).1, "rpc error: code = DeadlineExceeded desc = context deadline exceeded");
}

#[test]
fn the_request_is_a_call_over_http_2() {
    let host = MockHost::new().answer_http(Ok(answer(&[], &[])));
    host.run_plugin::<Plugin>(r#"{"address":"h:1","tls":true,"tls_server_name":"n"}"#).unwrap();
    let [request] = &host.http_requests()[..] else { panic!("one request") };
    assert_eq!(request.url, "https://h:1/grpc.health.v1.Health/Check");
    assert_eq!(request.version, http::Version::Http2);
    assert_eq!(request.tls, TlsOptions { verify: true, server_name: Some("n".into()) });
}
