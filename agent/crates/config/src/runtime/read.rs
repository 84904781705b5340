//! Typed values out of a tree, with every problem noted and none fatal.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lictor_model::duration;
use serde_json::Value;

use crate::keys::list_of_errors;

/// Reads a tree and collects what is wrong with it.
pub(super) struct Reader {
    tree: Value,
    /// Values that cannot be read as what they are, which are reported together.
    invalid: Vec<String>,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Reader {
    pub(super) fn new(tree: Value) -> Self {
        Self { tree, invalid: Vec::new(), problems: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Notes what is passed over.
    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    pub(super) fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Notes a value that cannot be read as a duration, a port and the like.
    pub(super) fn invalid(&mut self, problem: String) {
        self.invalid.push(problem);
    }

    pub(super) fn into_problems(self) -> Vec<String> {
        let mut problems = self.problems;
        if !self.invalid.is_empty() {
            problems.insert(0, list_of_errors(&self.invalid));
        }
        problems
    }

    /// Takes the value at a dotted key out of the tree.
    pub(super) fn take(&mut self, key: &str) -> Value {
        let mut found = &mut self.tree;
        for part in key.split('.') {
            match found.get_mut(part) {
                Some(inner) => found = inner,
                None => return Value::Null,
            }
        }
        found.take()
    }

    fn expected(&mut self, key: &str, what: &str, found: &Value) {
        self.problem(format!("{key}: expected {what}, got {found}"));
    }

    /// A text; empty counts as absent.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key) {
            Value::Null => None,
            Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            other => {
                self.expected(key, "a text", &other);
                None
            }
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        self.flag_or(key, false)
    }

    pub(super) fn flag_or(&mut self, key: &str, default: bool) -> bool {
        match self.take(key) {
            Value::Null => default,
            Value::Bool(flag) => flag,
            Value::String(text) if text == "true" => true,
            Value::String(text) if text == "false" => false,
            other => {
                self.expected(key, "true or false", &other);
                default
            }
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &str) -> Option<i64> {
        match self.take(key) {
            Value::Null => None,
            Value::String(text) if text.parse::<i64>().is_ok() => text.parse().ok(),
            found => {
                let number = found.as_i64();
                if number.is_none() {
                    self.expected(key, "a whole number", &found);
                }
                number
            }
        }
    }

    /// A whole number from 0 to `most`.
    pub(super) fn whole(&mut self, key: &str, default: u32, most: u32) -> u32 {
        self.between(key, default, 0, most)
    }

    /// A whole number from `least` to `most`.
    pub(super) fn between(&mut self, key: &str, default: u32, least: u32, most: u32) -> u32 {
        let Some(number) = self.number(key) else { return default };
        match u32::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => number,
            _ if least == 0 && number < 0 => {
                self.problem(format!("{key} cannot be {number}. Must be greater than or equal to zero"));
                default
            }
            _ => {
                self.problem(format!("{key} cannot be {number}. Must be between {least} and {most}"));
                default
            }
        }
    }

    pub(super) fn count(&mut self, key: &str, default: usize) -> usize {
        let Some(number) = self.number(key) else { return default };
        usize::try_from(number).unwrap_or_else(|_| {
            self.problem(format!("{key} cannot be {number}. Must be greater than or equal to zero"));
            default
        })
    }

    pub(super) fn optional_whole(&mut self, key: &str) -> Option<u64> {
        let number = self.number(key)?;
        let whole = u64::try_from(number).ok();
        if whole.is_none() {
            self.problem(format!("{key} cannot be {number}. Must be greater than or equal to zero"));
        }
        whole
    }

    /// A port; -1 turns the listener off.
    pub(super) fn port(&mut self, key: &str) -> Option<u16> {
        let number = self.number(key)?;
        if number < 0 {
            return None;
        }
        let port = u16::try_from(number).ok();
        if port.is_none() {
            self.invalid(format!("{key}: invalid port: {number}"));
        }
        port
    }

    /// A duration; absent: none at all.
    pub(super) fn duration(&mut self, key: &str) -> Duration {
        self.duration_or(key, Duration::ZERO)
    }

    pub(super) fn duration_or(&mut self, key: &str, default: Duration) -> Duration {
        match self.take(key) {
            Value::String(text) => duration::parse(&text).unwrap_or_else(|why| {
                self.invalid(format!("{key}: invalid duration: {text:?}: {why}"));
                default
            }),
            Value::Null => default,
            other => {
                self.expected(key, "a duration such as \"10s\"", &other);
                default
            }
        }
    }

    pub(super) fn map(&mut self, key: &str) -> BTreeMap<String, String> {
        match self.take(key) {
            Value::Null => BTreeMap::new(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| match value {
                    Value::String(text) => (name, text),
                    other => (name, other.to_string()),
                })
                .collect(),
            other => {
                self.expected(key, "an object", &other);
                BTreeMap::new()
            }
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Vec<Value> {
        match self.take(key) {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            other => {
                self.expected(key, "a list", &other);
                Vec::new()
            }
        }
    }

    /// A list of texts; one alone counts as a list of it.
    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let items = match self.take(key) {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            one => vec![one],
        };
        let mut texts = Vec::new();
        for item in items {
            match item {
                Value::String(text) => texts.push(text),
                other => self.expected(key, "a list of texts", &other),
            }
        }
        texts
    }

    pub(super) fn address(&mut self, key: &str) -> IpAddr {
        // What is no address counts as none, as it does for the reference.
        let found = self.text(key).and_then(|text| parse_address(&text));
        found.unwrap_or_else(|| {
            self.problem(format!("{key} cannot be empty"));
            IpAddr::from([0, 0, 0, 0])
        })
    }

    pub(super) fn optional_address(&mut self, key: &str) -> Option<IpAddr> {
        let text = self.text(key)?;
        let parsed = parse_address(&text);
        if parsed.is_none() {
            self.problem(format!("{key}: {text:?} is not an IP address"));
        }
        parsed
    }

    /// Addresses separated by blanks.
    pub(super) fn addresses(&mut self, key: &str) -> Vec<IpAddr> {
        let text = self.text(key).unwrap_or_default();
        let words: Vec<&str> = text.split_whitespace().collect();
        self.parse_addresses(key, &words)
    }

    pub(super) fn parse_addresses(&mut self, key: &str, words: &[&str]) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for word in words {
            match parse_address(word) {
                Some(address) => addresses.push(address),
                None => self.problem(format!("{key}: {word:?} is not an IP address")),
            }
        }
        addresses
    }

    pub(super) fn addresses_or(&mut self, key: &str, default: &[IpAddr]) -> Vec<IpAddr> {
        let given = self.addresses(key);
        if given.is_empty() { default.to_vec() } else { given }
    }
}

fn parse_address(text: &str) -> Option<IpAddr> {
    match text {
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        _ => text.trim_start_matches('[').trim_end_matches(']').parse().ok(),
    }
}
