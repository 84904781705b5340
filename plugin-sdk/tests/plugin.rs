//! The macros, as a plugin's author uses them.

use std::collections::BTreeMap;

use lictor_plugin_sdk::testing::MockHost;
use lictor_plugin_sdk::{
    CheckPlugin, Ctx, EventPlugin, Fault, Level, Misbehaviour, ProbeError, Schema, Status, Target, Verdict,
    http,
};
use serde::Deserialize;

mod checking {
    use super::*;

    /// How to look.
    #[derive(Deserialize, Schema)]
    pub(crate) struct Config {
        /// Where the "thing" is.
        #[schema(min_length = 1)]
        pub(crate) url: String,
        #[serde(default, rename = "mode")]
        #[schema(one_of = ["fast", "slow"], default = "fast")]
        pub(crate) how: String,
        pub(crate) limit: Option<u8>,
        #[serde(default)]
        pub(crate) labels: BTreeMap<String, Vec<String>>,
    }

    #[lictor_plugin_sdk::check(
        name = "look",
        version = "9.1",
        needs("http {config.url}", "tcp {target.address}:{target.port}")
    )]
    fn look(ctx: &Ctx<'_>, config: Config) -> Result<Verdict, Fault> {
        let answer = ctx.http(&http::Request::get(&config.url).header("X-Mode", &config.how))?;
        ctx.log(Level::Info, format!("{} of {:?}", ctx.target().service_name, config.limit));
        Ok(Verdict::warning(answer.text()).with_metric(
            "labels",
            f64::from(u32::from(config.labels.is_empty())),
            "",
        ))
    }
}

mod handling {
    use super::*;

    #[derive(Deserialize, Schema)]
    pub(crate) struct Config {
        only: String,
    }

    #[lictor_plugin_sdk::on_event(summary = "refuses some")]
    fn handle(_ctx: &Ctx<'_>, event: &lictor_plugin_sdk::Event, config: Config) -> Result<(), Fault> {
        if event.name == config.only { Ok(()) } else { Err(Fault::Other(event.name.clone())) }
    }
}

#[test]
fn a_schema_says_what_serde_accepts() {
    let expected = serde_json::json!({
        "type": "object",
        "description": "How to look.",
        "additionalProperties": false,
        "properties": {
            "url": {"type": "string", "minLength": 1, "description": "Where the \"thing\" is."},
            "mode": {"type": "string", "enum": ["fast", "slow"], "default": "fast"},
            "limit": {"type": "integer", "minimum": 0, "maximum": 255},
            "labels": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        },
        "required": ["url"],
    });
    let schema: serde_json::Value = serde_json::from_str(&checking::Config::schema()).unwrap();
    assert_eq!(schema, expected);
}

#[test]
fn a_plugin_describes_itself() {
    let descriptor = checking::Plugin::descriptor();
    assert_eq!((descriptor.name, descriptor.version, descriptor.summary), ("look", "9.1", "look"));
    assert_eq!(descriptor.needs, ["http {config.url}", "tcp {target.address}:{target.port}"]);
    let descriptor = handling::Plugin::descriptor();
    assert_eq!((descriptor.name, descriptor.version), ("handle", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_check_sees_its_target_and_the_scripted_answers() {
    let target = Target { service_name: "web".to_owned(), ..Target::default() };
    let answer = http::Response::new(200, "OK", "hello");
    let host = MockHost::new().with_target(target).answer_http(Ok(answer));
    let verdict = host.run_plugin::<checking::Plugin>(r#"{"url":"http://a/","mode":"slow"}"#).unwrap();
    assert_eq!((verdict.status, verdict.summary.as_str()), (Status::Warning, "hello"));
    assert_eq!(host.http_requests()[0].headers, [("X-Mode".to_owned(), "slow".to_owned())]);
    assert_eq!(host.log_lines(), [(Level::Info, "web of None".to_owned())]);
}

#[test]
fn a_broken_target_is_a_verdict_and_all_else_a_fault() {
    let run =
        |error| MockHost::new().answer_http(Err(error)).run_plugin::<checking::Plugin>(r#"{"url":"u"}"#);
    let verdict = run(ProbeError::target(Misbehaviour::Reset, "connection reset by peer")).unwrap();
    assert_eq!(verdict, Verdict::critical("connection reset by peer"));
    assert_eq!(run(ProbeError::Limit("enough".to_owned())), Err(Fault::Limit("enough".to_owned())));
    let unscripted = MockHost::new().run_plugin::<checking::Plugin>(r#"{"url":"u"}"#);
    assert!(matches!(unscripted, Err(Fault::Denied(_))));
    let misconfigured = MockHost::new().run_plugin::<checking::Plugin>("{}");
    assert!(matches!(misconfigured, Err(Fault::InvalidConfig(text)) if text.contains("url")));
}

#[test]
fn an_event_handler_is_given_events() {
    let (host, target) = (MockHost::new(), Target::default());
    let ctx = Ctx::new(&host, &target);
    let event = lictor_plugin_sdk::Event { name: "deploy".to_owned(), ..Default::default() };
    assert_eq!(handling::Plugin::on_event(&ctx, &event, r#"{"only":"deploy"}"#), Ok(()));
    let refused = handling::Plugin::on_event(&ctx, &event, r#"{"only":"other"}"#);
    assert_eq!(refused, Err(Fault::Other("deploy".to_owned())));
}
