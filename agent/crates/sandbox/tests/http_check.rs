//! The built-in checks against real sockets: texts, targets at fault, redirects, limits of output.

mod common;

use common::*;
use lictor_model::check::Status;
use lictor_model::probe::{Blindness, CheckRunner, Target};
use lictor_sandbox::{Bounds, Sandbox, SandboxConfig};
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::test]
async fn the_status_code_decides_and_the_texts_are_exact() {
    let (sandbox, web) = (Sandbox::new(config()), web().await);
    for (code, status, line) in [
        (200, Status::Passing, "200 OK"),
        (299, Status::Passing, "299 "),
        (429, Status::Warning, "429 Too Many Requests"),
        (500, Status::Critical, "500 Internal Server Error"),
    ] {
        let url = format!("http://{web}/status/{code}");
        let verdict = verdict(http(&sandbox, &url).await);
        assert_eq!(verdict.status, status);
        assert_eq!(verdict.summary, format!("HTTP GET {url}: {line}"));
        assert_eq!(verdict.detail, Some(format!("status {code}")));
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_request_is_the_one_that_servers_expect() {
    let (sandbox, web) = (Sandbox::new(config()), web().await);
    let config = json!({"url": format!("http://{web}/x?y=1"), "method": "PUT", "body": "ping",
        "header": {"X-Probe": ["yes"], "Host": ["named.example"]}});
    let finding = prepare(&sandbox, "http_check", config).await.run(SECOND).await;
    let request = verdict(finding).detail.unwrap().to_lowercase();
    for part in [
        "put /x?y=1 http/1.1\r\n",
        "host: named.example\r\n",
        "x-probe: yes\r\n",
        "user-agent: consul health check\r\n",
        "accept: text/plain, text/*, */*\r\n",
        "content-length: 4\r\n",
    ] {
        assert!(request.contains(part), "{part:?} in {request}");
    }
}

#[tokio::test]
async fn the_end_of_a_long_body_is_kept() {
    let (sandbox, web) = (Sandbox::new(config()), web().await);
    let detail = verdict(http(&sandbox, &format!("http://{web}/body/6000")).await).detail.unwrap();
    assert_eq!(detail.len(), 4096);
    assert!(detail.ends_with("xend"));
    let config = json!({"url": format!("http://{web}/body/600"), "output_max_size": 50});
    let detail = verdict(prepare(&sandbox, "http_check", config).await.run(SECOND).await).detail.unwrap();
    assert_eq!(detail.len(), 50);
}

#[tokio::test]
async fn a_deep_document_is_judged_within_the_stack_there_is() {
    let sandbox = Sandbox::new(config());
    let judged = async |depth: usize| {
        let web = always(format!("{}1{}", "[".repeat(depth), "]".repeat(depth))).await;
        let pattern = format!("{}1{}", "(".repeat(40), ")".repeat(40));
        let expect = json!({"json": {"/0": 2}, "body_matches": pattern});
        let config = json!({"url": format!("http://{web}/"), "expect": expect});
        verdict(prepare(&sandbox, "http_check", config).await.run(SECOND).await).summary
    };
    assert!(judged(120).await.ends_with("]]]]]]]]]]]]]]]], not 2"));
    assert!(judged(100_000).await.contains("is not JSON: recursion limit exceeded"));
}

#[tokio::test]
async fn a_target_at_fault_is_critical_not_unknown() {
    let (sandbox, web, closed) = (Sandbox::new(config()), web().await, closed_port().await);

    let verdict_of = async |url: String| verdict(http(&sandbox, &url).await);
    let refused = verdict_of(format!("http://127.0.0.1:{closed}/")).await;
    assert_eq!(refused.status, Status::Critical);
    assert_eq!(refused.summary, format!("HTTP GET http://127.0.0.1:{closed}/: connection refused"));

    let slow = prepare(&sandbox, "http_check", json!({"url": format!("http://{web}/hang")})).await;
    let slow = verdict(slow.run(SECOND / 5).await);
    assert_eq!(slow.status, Status::Critical);
    assert_eq!(
        slow.summary,
        format!("HTTP GET http://{web}/hang: timed out after 200ms while waiting for the answer")
    );

    let endless = prepare(&sandbox, "http_check", json!({"url": format!("http://{web}/endless")})).await;
    let endless = verdict(endless.run(SECOND / 2).await);
    assert_eq!(endless.status, Status::Passing);
    assert_eq!(endless.detail.as_deref(), Some("so far"));

    let nowhere = verdict_of("http://nowhere.invalid/".to_owned()).await;
    assert_eq!(nowhere.summary, "HTTP GET http://nowhere.invalid/: lookup nowhere.invalid: no such host");
    assert_eq!(nowhere.status, Status::Critical);

    let plain = verdict_of(format!("https://{web}/status/200")).await;
    assert_eq!(plain.status, Status::Critical);
    assert!(plain.summary.contains(": tls: "), "{}", plain.summary);

    let bad = verdict_of("://bad".to_owned()).await;
    assert_eq!(bad.status, Status::Critical);
    assert_eq!(bad.summary, "HTTP GET ://bad: parse \"://bad\": missing protocol scheme");
}

#[tokio::test]
async fn redirects_stay_within_the_grants() {
    let (sandbox, web, other) = (Sandbox::new(config()), web().await, web().await);
    let here = verdict(http(&sandbox, &format!("http://{web}/to/http://{web}/status/200")).await);
    assert_eq!(here.summary, format!("HTTP GET http://{web}/to/http://{web}/status/200: 200 OK"));
    let relative = verdict(http(&sandbox, &format!("http://{web}/to//status/429")).await);
    assert_eq!(relative.status, Status::Warning);

    let elsewhere = http(&sandbox, &format!("http://{web}/to/http://{other}/status/200")).await;
    let message = unknown(elsewhere, Blindness::Denied);
    assert_eq!(message, format!("redirect elsewhere: http to {other} is not granted; granted: http {web}"));

    let circle = verdict(http(&sandbox, &format!("http://{web}/to/?")).await);
    assert_eq!(circle.status, Status::Critical);
    assert!(circle.summary.ends_with(": stopped after 10 redirects"), "{}", circle.summary);

    let config = json!({"url": format!("http://{web}/to/http://{other}/"), "disable_redirects": true});
    let stays = verdict(prepare(&sandbox, "http_check", config).await.run(SECOND).await);
    assert_eq!(stays.status, Status::Critical);
    assert!(stays.summary.ends_with(": 302 Found"), "{}", stays.summary);
    assert_eq!(stays.detail.as_deref(), Some(""));
}

#[tokio::test]
async fn definitions_allow_more_only_within_the_operators_bounds() {
    let (web, other) = (web().await, web().await);
    let mut wanted =
        program("http_check", json!({"url": format!("http://{web}/to/http://{other}/status/200")}));
    wanted.allow = json!({"http": [format!("http://{other}/status/*")]});
    let complaint = refusal(&Sandbox::new(config()), &wanted).await;
    assert!(complaint.contains("plugin_bounds.http"), "{complaint}");

    let bounds = Bounds { http: vec![format!("http://{other}/*")], ..Bounds::default() };
    let sandbox = Sandbox::new(SandboxConfig { bounds, ..config() });
    let probe = sandbox.prepare(&wanted, &Target::default()).await.unwrap();
    assert_eq!(probe.facts().grants, [format!("http {web}"), format!("http http://{other}/status/*")]);
    assert_eq!(verdict(probe.run(SECOND).await).status, Status::Passing);
}

#[tokio::test]
async fn tcp_connects_or_says_why_not() {
    let (sandbox, closed) = (Sandbox::new(config()), closed_port().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let probe = prepare(&sandbox, "tcp_check", json!({"address": address.to_string()})).await;
    assert_eq!(probe.facts().grants, [format!("tcp {address}")]);
    let open = verdict(probe.run(SECOND).await);
    assert_eq!((open.status, open.summary), (Status::Passing, format!("TCP connect {address}: Success")));

    let probe = prepare(&sandbox, "tcp_check", json!({"address": format!("127.0.0.1:{closed}")})).await;
    let refused = verdict(probe.run(SECOND).await);
    assert_eq!(refused.status, Status::Critical);
    assert_eq!(refused.summary, format!("dial tcp 127.0.0.1:{closed}: connect: connection refused"));

    let config = json!({"address": address.to_string(), "tls": true});
    let silent = prepare(&sandbox, "tcp_check", config).await;
    let silent = verdict(silent.run(SECOND / 5).await);
    assert_eq!(silent.status, Status::Critical);
    assert_eq!(silent.summary, format!("dial tcp {address}: i/o timeout"));
}
