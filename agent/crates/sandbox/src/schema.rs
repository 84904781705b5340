//! The part of JSON Schema that plugins describe their configuration with.
//!
//! A schema is checked once, when its component is loaded: a keyword that this host does not know
//! could be a restriction it would not enforce, so such a schema is refused.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A schema that is understood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    kinds: Vec<String>,
    properties: BTreeMap<String, Self>,
    required: Vec<String>,
    others: Others,
    items: Option<Box<Self>>,
    one_of: Vec<Value>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    lengths: Bound,
    counts: Bound,
}

/// What properties must meet that are not listed.
#[derive(Clone, Debug, Default)]
enum Others {
    #[default]
    Any,
    None,
    Like(Box<Schema>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    min: Option<u64>,
    max: Option<u64>,
}

impl Bound {
    fn holds(self, size: usize) -> bool {
        let size = size as u64;
        self.min.is_none_or(|min| size >= min) && self.max.is_none_or(|max| size <= max)
    }
}

/// How deep schemas may be nested; they come from plugins.
const DEPTH: usize = 16;

impl Schema {
    /// Understands a schema; an empty text is one that any object meets.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
        Self::from_value(&value, DEPTH)
    }

    fn from_value(value: &Value, depth: usize) -> Result<Self, String> {
        let Some(depth) = depth.checked_sub(1) else { return Err("is nested too deeply".to_owned()) };
        let object = value.as_object().ok_or("has a part that is not an object")?;
        let mut schema = Self::default();
        for (keyword, value) in object {
            schema.read_keyword(keyword, value, depth)?;
        }
        Ok(schema)
    }

    fn read_keyword(&mut self, keyword: &str, value: &Value, depth: usize) -> Result<(), String> {
        let wrong = || format!("gives keyword {keyword:?} a value that does not fit");
        match keyword {
            "$schema" | "title" | "description" | "default" => {}
            "type" => self.kinds = strings(value).ok_or_else(wrong)?,
            "required" => self.required = strings(value).ok_or_else(wrong)?,
            "properties" => {
                for (name, part) in value.as_object().ok_or_else(wrong)? {
                    self.properties.insert(name.clone(), Self::from_value(part, depth)?);
                }
            }
            "additionalProperties" => {
                self.others = match value {
                    Value::Bool(false) => Others::None,
                    Value::Bool(true) => Others::Any,
                    part => Others::Like(Box::new(Self::from_value(part, depth)?)),
                };
            }
            "items" => self.items = Some(Box::new(Self::from_value(value, depth)?)),
            "enum" => self.one_of.clone_from(value.as_array().ok_or_else(wrong)?),
            "minimum" => self.minimum = Some(value.as_f64().ok_or_else(wrong)?),
            "maximum" => self.maximum = Some(value.as_f64().ok_or_else(wrong)?),
            "minLength" => self.lengths.min = Some(value.as_u64().ok_or_else(wrong)?),
            "maxLength" => self.lengths.max = Some(value.as_u64().ok_or_else(wrong)?),
            "minItems" => self.counts.min = Some(value.as_u64().ok_or_else(wrong)?),
            "maxItems" => self.counts.max = Some(value.as_u64().ok_or_else(wrong)?),
            _ => return Err(format!("uses the keyword {keyword:?}, which this agent does not know")),
        }
        Ok(())
    }

    /// Checks a configuration; each complaint names its field and `plugin`.
    pub(crate) fn validate(&self, config: &Map<String, Value>, plugin: &str) -> Result<(), Vec<String>> {
        let mut complaints = Complaints { plugin, found: Vec::new() };
        self.object(config, "", &mut complaints);
        if complaints.found.is_empty() { Ok(()) } else { Err(complaints.found) }
    }

    fn object(&self, object: &Map<String, Value>, path: &str, complaints: &mut Complaints<'_>) {
        let plugin = complaints.plugin;
        for missing in self.required.iter().filter(|name| !object.contains_key(*name)) {
            complaints.add(format!("field {:?} is required by {plugin}", join(path, missing)));
        }
        for (name, value) in object {
            let path = join(path, name);
            match (self.properties.get(name), &self.others) {
                (Some(part), _) => part.value(value, &path, complaints),
                (None, Others::Like(part)) => part.value(value, &path, complaints),
                (None, Others::Any) => {}
                (None, Others::None) => {
                    complaints.add(format!("field {path:?} is not known to {plugin}{}", self.known()));
                }
            }
        }
    }

    fn known(&self) -> String {
        if self.properties.is_empty() {
            return String::new();
        }
        let names: Vec<&str> = self.properties.keys().map(String::as_str).collect();
        format!(", which knows {}", names.join(", "))
    }

    fn value(&self, value: &Value, path: &str, complaints: &mut Complaints<'_>) {
        if let Some(what) = self.unmet(value) {
            complaints.add(format!("field {path:?} must {what} for {}", complaints.plugin));
            return;
        }
        match value {
            Value::Array(items) => {
                if let Some(part) = &self.items {
                    for (position, item) in items.iter().enumerate() {
                        part.value(item, &format!("{path}[{position}]"), complaints);
                    }
                }
            }
            Value::Object(object) => self.object(object, path, complaints),
            _ => {}
        }
    }

    /// What a value must do that it does not, leaving out what is inside of it.
    fn unmet(&self, value: &Value) -> Option<String> {
        if !self.kinds.is_empty() && !self.kinds.iter().any(|kind| is_kind(value, kind)) {
            return Some(format!("be of type {}", self.kinds.join(" or ")));
        }
        if !self.one_of.is_empty() && !self.one_of.contains(value) {
            let words: Vec<String> = self.one_of.iter().map(Value::to_string).collect();
            return Some(format!("be one of {}", words.join(", ")));
        }
        match value {
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                let low = self.minimum.filter(|minimum| number < *minimum);
                let high = self.maximum.filter(|maximum| number > *maximum);
                let low = low.map(|minimum| format!("be at least {minimum}"));
                low.or_else(|| high.map(|maximum| format!("be at most {maximum}")))
            }
            Value::String(text) if !self.lengths.holds(text.chars().count()) => {
                Some(describe(self.lengths, "characters"))
            }
            Value::Array(items) if !self.counts.holds(items.len()) => Some(describe(self.counts, "items")),
            _ => None,
        }
    }
}

/// How many complaints about one configuration are made.
const MAX_COMPLAINTS: usize = 20;

/// What is wrong with a configuration.
struct Complaints<'a> {
    plugin: &'a str,
    found: Vec<String>,
}

impl Complaints<'_> {
    fn add(&mut self, complaint: String) {
        if self.found.len() < MAX_COMPLAINTS {
            self.found.push(complaint);
        }
    }
}

fn describe(bound: Bound, unit: &str) -> String {
    match (bound.min, bound.max) {
        (Some(1), None) if unit == "characters" => "not be empty".to_owned(),
        (Some(min), None) => format!("have at least {min} {unit}"),
        (None, Some(max)) => format!("have at most {max} {unit}"),
        (min, max) => format!("have {} to {} {unit}", min.unwrap_or_default(), max.unwrap_or_default()),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(config: &Value) -> Result<(), String> {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["url"],
            "properties": {
                "url": {"type": "string", "minLength": 1, "description": "where"},
                "code": {"type": "integer", "minimum": 100, "maximum": 599},
                "method": {"type": "string", "enum": ["GET", "PUT"]},
                "header": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
            },
        });
        let schema = Schema::parse(&schema.to_string()).unwrap();
        schema.validate(config.as_object().unwrap(), "x.wasm").map_err(|complaints| complaints.join("; "))
    }

    #[test]
    fn what_fits_is_accepted() {
        let config = json!({"url": "u", "code": 200, "method": "GET", "header": {"a": ["b"]}});
        assert_eq!(check(&config), Ok(()));
    }

    #[test]
    fn all_complaints_are_made_at_once() {
        assert_eq!(
            check(&json!({"code": 9, "header": {"a": [1, "b", 2]}})).unwrap_err(),
            "field \"url\" is required by x.wasm; field \"code\" must be at least 100 for x.wasm; \
             field \"header.a[0]\" must be of type string for x.wasm; \
             field \"header.a[2]\" must be of type string for x.wasm"
        );
    }

    #[test]
    fn complaints_name_the_field() {
        for (config, complaint) in [
            (json!({}), r#"field "url" is required by x.wasm"#),
            (json!({"url": ""}), r#"field "url" must not be empty for x.wasm"#),
            (json!({"url": 1}), r#"field "url" must be of type string for x.wasm"#),
            (json!({"url": "u", "code": 9}), r#"field "code" must be at least 100 for x.wasm"#),
            (json!({"url": "u", "method": "X"}), r#"field "method" must be one of "GET", "PUT" for x.wasm"#),
            (
                json!({"url": "u", "header": {"a": [1]}}),
                r#"field "header.a[0]" must be of type string for x.wasm"#,
            ),
            (
                json!({"url": "u", "uri": "v"}),
                r#"field "uri" is not known to x.wasm, which knows code, header, method, url"#,
            ),
        ] {
            assert_eq!(check(&config), Err(complaint.to_owned()));
        }
    }

    #[test]
    fn a_schema_that_could_not_be_enforced_is_refused() {
        let complaint = Schema::parse(r#"{"properties":{"a":{"pattern":"^x$"}}}"#).unwrap_err();
        assert_eq!(complaint, r#"uses the keyword "pattern", which this agent does not know"#);
        let deep = format!("{}{}", r#"{"items":"#.repeat(40), "{}".to_owned() + &"}".repeat(40));
        assert_eq!(Schema::parse(&deep).unwrap_err(), "is nested too deeply");
    }
}
