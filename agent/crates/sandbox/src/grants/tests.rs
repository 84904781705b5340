use std::net::IpAddr;

use serde_json::json;

use super::*;

fn grants(literals: &[(Door, &str)]) -> Grants {
    let mut grants = Grants::default();
    for (door, text) in literals {
        grants.add_literal(*door, text);
    }
    grants
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn what_stands_in_the_definition_is_granted_and_nothing_beside_it() {
    let grants = grants(&[(Door::Http, "http://Web.example:8080/health"), (Door::Tcp, "[::1]:5432")]);
    assert_eq!(grants.lines(), ["http web.example:8080", "tcp [::1]:5432"]);
    assert_eq!(grants.check_url(&url("https://web.example:8080/other"), false), Ok(Reach::Anywhere));
    assert_eq!(grants.check(Door::Tcp, "::1", 5432), Ok(Reach::Anywhere));
    assert!(grants.check(Door::Tcp, "web.example", 8080).is_err());
    assert!(grants.check_url(&url("http://web.example/"), false).is_err());
    let refusal = grants.check_url(&url("http://10.0.0.1:9/"), true).unwrap_err();
    assert_eq!(
        refusal,
        "redirect elsewhere: http to 10.0.0.1:9 is not granted; granted: http web.example:8080, tcp [::1]:5432"
    );
}

#[test]
fn default_ports_are_filled_in_and_nonsense_grants_nothing() {
    let grants = grants(&[(Door::Http, "https://a/"), (Door::Http, "://bad"), (Door::Tcp, "nowhere")]);
    assert_eq!(grants.lines(), ["http a:443"]);
}

#[test]
fn more_is_allowed_only_within_bounds() {
    let allow = json!({"http": ["http://api.corp.example:80/v1/*"], "tcp": ["db.corp.example:5432"]});
    let complaint = Grants::default().add_allowed(&allow, &Bounds::default()).unwrap_err();
    assert!(complaint.contains("plugin_bounds.http"), "{complaint}");

    let bounds = Bounds {
        http: vec!["http://*.corp.example:*/*".into()],
        tcp: vec!["*.corp.example:*".into()],
        ..Bounds::default()
    };
    let mut grants = Grants::default();
    grants.add_allowed(&allow, &bounds).unwrap();
    assert_eq!(grants.check_url(&url("http://api.corp.example/v1/x"), false), Ok(Reach::Public));
    assert!(grants.check_url(&url("http://api.corp.example/v2"), false).is_err());
    assert!(grants.check_url(&url("http://api.corp.example/v1/../v2"), false).is_err());
    assert_eq!(grants.check(Door::Tcp, "db.corp.example", 5432), Ok(Reach::Public));

    let wide = json!({"tcp": ["*:5432"]});
    assert!(Grants::default().add_allowed(&wide, &bounds).is_err());
    assert!(Grants::default().add_allowed(&json!({"files": []}), &bounds).is_err());
    assert!(Grants::default().add_allowed(&json!({"redirects": true}), &bounds).is_err());
}

#[test]
fn patterns_never_lead_into_the_machine() {
    for inside in [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "169.254.169.254",
        "fe80::1",
        "::ffff:127.0.0.1",
        "fd00:ec2::254",
        "::",
    ] {
        assert!(!Reach::Public.permits(ip(inside)), "{inside}");
        assert!(Reach::Anywhere.permits(ip(inside)), "{inside}");
    }
    assert!(Reach::Public.permits(ip("10.0.0.1")));
    assert!(Reach::Public.permits(ip("2001:db8::1")));
}

#[test]
fn a_pattern_that_names_one_address_means_it() {
    let bounds = Bounds { tcp: vec!["127.0.0.1:9000".into()], ..Bounds::default() };
    let mut grants = Grants::default();
    grants.add_allowed(&json!({"tcp": ["127.0.0.1:9000"]}), &bounds).unwrap();
    assert_eq!(grants.check(Door::Tcp, "127.0.0.1", 9000), Ok(Reach::Anywhere));
}

#[test]
fn a_wide_bound_does_not_cover_an_address_inside() {
    let bounds = Bounds { tcp: vec!["*:*".into()], ..Bounds::default() };
    assert!(Grants::default().add_allowed(&json!({"tcp": ["127.0.0.1:22"]}), &bounds).is_err());
    assert!(Grants::default().add_allowed(&json!({"tcp": ["10.0.0.1:22"]}), &bounds).is_ok());
}
