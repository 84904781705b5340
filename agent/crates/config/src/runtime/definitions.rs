//! Services and checks of files.

use lictor_model::definition::{CheckDefinition, ServiceDefinition, decode};
use lictor_model::duration;
use serde_json::Value;

use super::read::Reader;

/// The keys of a check that are durations.
const DURATIONS: [&str; 4] = ["interval", "timeout", "ttl", "deregister_critical_service_after"];

pub(super) fn services(reader: &mut Reader) -> Vec<ServiceDefinition> {
    let mut services = Vec::new();
    for (position, definition) in reader.list("services").into_iter().enumerate() {
        let name = name_of(&definition);
        let single = definition.get("check").into_iter();
        let several = definition.get("checks").and_then(Value::as_array).into_iter().flatten();
        let untimed = single.chain(several).filter(|check| !has_durations(reader, check)).count();
        if untimed > 0 {
            continue;
        }
        match decode::service(definition, decode::Spelling::File) {
            Ok(service) => {
                for check in service.all_checks() {
                    if let Err(why) = schedulable(check) {
                        reader.problem(format!("service {name:?}: check {:?}: {why}", check.name));
                    }
                }
                services.push(service);
            }
            Err(why) => reader.problem(format!("service {name:?} (services[{position}]): {why}")),
        }
    }
    services
}

pub(super) fn checks(reader: &mut Reader) -> Vec<CheckDefinition> {
    let mut checks = Vec::new();
    for (position, definition) in reader.list("checks").into_iter().enumerate() {
        let name = name_of(&definition);
        if !has_durations(reader, &definition) {
            continue;
        }
        match decode::check(definition, decode::Spelling::File) {
            Ok(check) => {
                if let Err(why) = schedulable(&check) {
                    reader.problem(format!("check {name:?}: {why}"));
                }
                checks.push(check);
            }
            Err(why) => reader.problem(format!("check {name:?} (checks[{position}]): {why}")),
        }
    }
    checks
}

fn name_of(definition: &Value) -> String {
    definition.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Whether all durations of a check are some; the reader notes which are not.
fn has_durations(reader: &mut Reader, check: &Value) -> bool {
    let id = check.get("id").and_then(Value::as_str).unwrap_or_default();
    let mut fine = true;
    for key in DURATIONS {
        let Some(text) = check.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()) else {
            continue;
        };
        if let Err(why) = duration::parse(text) {
            reader.invalid(format!("check[{id}].{key}: invalid duration: {text:?}: {why}"));
            fine = false;
        }
    }
    fine
}

/// Whether a check can be scheduled. A kind that is not part of this build is none of the
/// configuration's faults.
fn schedulable(check: &CheckDefinition) -> Result<(), &'static str> {
    let kinds = check.kinds();
    let is_alias = kinds.contains(&"alias");
    let is_run = kinds.iter().any(|kind| !matches!(*kind, "alias" | "ttl"));
    let (interval, ttl) = (!check.interval.is_zero(), !check.ttl.is_zero());
    if interval && ttl {
        return Err("Interval and TTL cannot both be specified");
    }
    if is_run && !interval {
        return Err("Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks");
    }
    if is_run && is_alias {
        return Err("Interval cannot be set for Alias checks");
    }
    if is_alias && ttl {
        return Err("TTL must be not be set for Alias checks");
    }
    if !is_run && !is_alias && !ttl {
        return Err("TTL must be > 0 for TTL checks");
    }
    let thresholds = check.thresholds();
    if thresholds.failures_before_warning > thresholds.failures_before_critical {
        return Err("FailuresBeforeWarning can't be higher than FailuresBeforeCritical");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(tree: Value) -> Vec<String> {
        let mut reader = Reader::new(tree);
        services(&mut reader);
        checks(&mut reader);
        reader.into_problems()
    }

    #[test]
    fn checks_must_be_such_that_they_can_be_scheduled() {
        for (check, why) in [
            (
                json!({"http": "http://x"}),
                "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks",
            ),
            (json!({"ttl": "1s", "interval": "1s"}), "Interval and TTL cannot both be specified"),
            (json!({"name": "x"}), "TTL must be > 0 for TTL checks"),
            (json!({"alias_node": "n", "ttl": "1s"}), "TTL must be not be set for Alias checks"),
            (
                json!({"ttl": "1s", "failures_before_warning": 3, "failures_before_critical": 2}),
                "FailuresBeforeWarning can't be higher than FailuresBeforeCritical",
            ),
        ] {
            let found = problems(json!({"services": [{"name": "a", "check": check}]}));
            assert_eq!(found.len(), 1, "{check}");
            assert!(found[0].starts_with("service \"a\": check \"") && found[0].ends_with(why), "{found:?}");
        }
        assert_eq!(
            problems(json!({"checks": [{"name": "a", "ttl": "1s"}, {"grpc": "x:1", "interval": "1s"}]})),
            [""; 0]
        );
    }

    #[test]
    fn bad_durations_are_listed_together() {
        let found = problems(
            json!({"checks": [{"id": "x", "ttl": "abc"}], "services": [{"checks": [{"interval": "1"}]}]}),
        );
        assert_eq!(
            found,
            [
                "2 errors occurred:\n\t* check[].interval: invalid duration: \"1\": time: missing unit in duration \"1\"\n\t* check[x].ttl: invalid duration: \"abc\": time: invalid duration \"abc\"\n\n\n"
            ]
        );
    }
}
