use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::service::Service;

fn web() -> Service {
    Service {
        name: "web".into(),
        port: 80,
        tags: vec!["prod".to_owned(), "v1".to_owned()],
        meta: BTreeMap::from([("env".to_owned(), "dev".to_owned())]),
        ..Service::default()
    }
}

fn matches(expression: &str) -> bool {
    Filter::from(expression.to_owned()).compile::<Service>().unwrap().matches(&web())
}

#[test]
fn operators_follow_the_kind_of_the_field() {
    assert!(matches("Service == web"));
    assert!(matches("Service != db and Port == 80"));
    assert!(matches("prod in Tags"));
    assert!(matches("\"v2\" not in Tags"));
    assert!(matches("Tags contains v1"));
    assert!(matches("Meta.env matches `^d`"));
    assert!(matches("Meta is empty or env in Meta"));
    assert!(matches("Meta[\"env\"] == dev and Meta[`env`] != prod"));
    assert!(matches("not (Port == 81 or Service == db)"));
    assert!(matches("Tags is not empty"));
    assert!(!matches("Meta.none == dev"));
}

#[test]
fn what_does_not_fit_is_refused_before_evaluation() {
    for expression in [
        "bogus",
        "NoField == 1",
        "Port == abc",
        "(Port == 1",
        "Tags == a",
        "Port matches \"[\"",
        "and",
        "Port > 5",
        "Address is empty",
        "Meta[env] == dev",
        "Meta[\"env\" == dev",
    ] {
        let error = Filter::from(expression.to_owned()).compile::<Service>().unwrap_err();
        assert!(
            error.message.starts_with("Failed to create boolean expression evaluator: "),
            "{expression}: {error}"
        );
    }
}

proptest! {
    #[test]
    fn never_panics(expression in "[a-zA-Z.()=!\"` \\\\\\[\\]]{0,60}") {
        if let Ok(compiled) = Filter::from(expression).compile::<Service>() {
            let _ = compiled.matches(&web());
        }
    }
}
