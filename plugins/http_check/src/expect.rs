//! What an answer is to look like beyond its status code.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use lictor_plugin_sdk::{Fault, Schema, http};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// What the answer must look like to pass; what is not named is not looked at.
#[derive(Default, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// Codes and ranges of them that pass, such as 301 and "200-204"; 2xx if none.
    #[serde(default)]
    status: Vec<Codes>,
    /// A text that the body contains.
    #[serde(default)]
    body_contains: String,
    /// A regular expression that matches somewhere in the body.
    #[serde(default)]
    body_matches: String,
    /// Headers with their exact values.
    #[serde(default)]
    header: BTreeMap<String, String>,
    /// Values in a body of JSON, by JSON Pointer, such as "/status".
    #[serde(default)]
    json: BTreeMap<String, Value>,
}

/// A range of status codes.
struct Codes(RangeInclusive<u16>);

impl Schema for Codes {
    fn write_keywords(out: &mut String) {
        out.push_str(r#""type":["integer","string"]"#);
    }
}

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) => Ok(Self(first..=last)),
            _ => Err(D::Error::custom(format!("expect.status: {text:?} is no code and no range of codes"))),
        }
    }
}

impl Expect {
    /// Whether the status code is one that passes; none if no codes are named.
    pub(crate) fn status_fits(&self, status: u16) -> Option<bool> {
        (!self.status.is_empty()).then(|| self.status.iter().any(|codes| codes.0.contains(&status)))
    }

    /// Whether the body matters.
    pub(crate) fn reads_body(&self) -> bool {
        !(self.body_contains.is_empty() && self.body_matches.is_empty() && self.json.is_empty())
    }

    /// What the answer lacks besides its status code, in words.
    pub(crate) fn unmet(&self, response: &http::Response) -> Result<Vec<String>, Fault> {
        let mut unmet = Vec::new();
        for (name, expected) in &self.header {
            match response.header(name) {
                Some(value) if value == expected => {}
                Some(value) => unmet.push(format!("header {name} is {value:?}, not {expected:?}")),
                None => unmet.push(format!("header {name} is missing")),
            }
        }
        if !self.reads_body() {
            return Ok(unmet);
        }
        let body = response.text();
        let short = if response.truncated { " as far as it was read" } else { "" };
        if !body.contains(&self.body_contains) {
            unmet.push(format!("the body{short} does not contain {:?}", self.body_contains));
        }
        if !self.body_matches.is_empty() {
            let pattern = regex_lite::Regex::new(&self.body_matches)
                .map_err(|error| Fault::InvalidConfig(format!("expect.body_matches: {error}")))?;
            if !pattern.is_match(&body) {
                unmet.push(format!("the body{short} does not match {:?}", self.body_matches));
            }
        }
        self.check_json(&body, short, &mut unmet);
        Ok(unmet)
    }

    fn check_json(&self, body: &str, short: &str, unmet: &mut Vec<String>) {
        if self.json.is_empty() {
            return;
        }
        let document: Value = match serde_json::from_str(body) {
            Ok(document) => document,
            Err(error) => {
                unmet.push(format!("the body{short} is not JSON: {error}"));
                return;
            }
        };
        for (pointer, expected) in &self.json {
            match document.pointer(pointer) {
                Some(value) if equal(value, expected) => {}
                Some(value) => unmet.push(format!("{pointer} is {value}, not {expected}")),
                None => unmet.push(format!("{pointer} is missing")),
            }
        }
    }
}

/// Numbers are equal however they are written.
fn equal(value: &Value, expected: &Value) -> bool {
    value == expected || matches!((value.as_f64(), expected.as_f64()), (Some(a), Some(b)) if a == b)
}
