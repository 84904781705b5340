//! What is wrong with an HTTP check's expectation, said at once and not by its first run.
//!
//! The types are the schema's business, which the built-in check brings along; this is about texts
//! with a meaning. They are read as the check reads them.

use lictor_model::{Error, Result};
use regex_lite::Regex;
use serde_json::Value;

/// Refuses what the built-in check could not use.
pub(crate) fn examine(expect: &Value) -> Result<()> {
    if let Some(pattern) = expect.get("body_matches").and_then(Value::as_str) {
        Regex::new(pattern)
            .map_err(|error| Error::invalid(format!("check expect.body_matches: {pattern:?}: {error}")))?;
    }
    let codes = expect.get("status").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for code in codes.iter().filter_map(Value::as_str) {
        let (first, last) = code.split_once('-').unwrap_or((code, code));
        let (first, last) = (first.trim().parse::<u16>(), last.trim().parse::<u16>());
        if !matches!((first, last), (Ok(first), Ok(last)) if first <= last) {
            return Err(Error::invalid(format!(
                "check expect.status: {code:?} is no code and no range of codes such as \"200-204\""
            )));
        }
    }
    let mut pointers = expect.get("json").and_then(Value::as_object).into_iter().flat_map(|all| all.keys());
    match pointers.find(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
        Some(wrong) => Err(Error::invalid(format!(
            "check expect.json: {wrong:?} is no JSON Pointer, which starts with \"/\""
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_check_can_use_passes() {
        for fine in [
            json!(null),
            json!({}),
            json!({"status": [301, "200-204", "429"], "body_matches": "^ok$", "json": {"": {}, "/a": 1}}),
        ] {
            examine(&fine).unwrap();
        }
    }

    #[test]
    fn a_mistake_names_its_field() {
        for (wrong, field) in [
            (json!({"body_matches": "(ok"}), "expect.body_matches"),
            (json!({"status": ["2xx"]}), "expect.status"),
            (json!({"status": ["204-200"]}), "expect.status"),
            (json!({"status": ["99999"]}), "expect.status"),
            (json!({"json": {"status": "up"}}), "expect.json"),
        ] {
            assert!(examine(&wrong).unwrap_err().message.contains(field), "{wrong}");
        }
    }
}
