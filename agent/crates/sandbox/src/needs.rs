//! What a plugin needs, as templates, and the places they name once filled from a definition.

use lictor_model::probe::Target;
use serde_json::{Map, Value};

use crate::grants::Door;

/// One need: an interface, and a pattern with places to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    door: Door,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Config(String),
    Target(String),
}

impl Need {
    /// Understands a template such as `http {config.url}`.
    ///
    /// Host and port must come from the definition: a plugin that could name them itself would
    /// grant itself what nobody wrote down.
    pub(crate) fn parse(template: &str) -> Result<Self, String> {
        let (word, pattern) = template.split_once(' ').ok_or("has no interface")?;
        let door = Door::parse(word).ok_or_else(|| format!("names the unknown interface {word:?}"))?;
        let mut parts = Vec::new();
        let mut rest = pattern.trim();
        while let Some((text, after)) = rest.split_once('{') {
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
            let (name, after) = after.split_once('}').ok_or("has an open brace")?;
            parts.push(match name.split_once('.') {
                Some(("config", field)) => Part::Config(field.to_owned()),
                Some(("target", field)) => Part::Target(field.to_owned()),
                _ => return Err(format!("names {name:?}, which is neither config nor target")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if place_is_given(&parts) {
            Ok(Self { door, parts })
        } else {
            Err("names a place itself, where only the definition may".to_owned())
        }
    }

    /// The command named: a list in the configuration, word by word.
    pub(crate) fn command(&self, config: &Map<String, Value>) -> Option<Vec<String>> {
        let [Part::Config(field)] = self.parts.as_slice() else { return None };
        let words = config_values(config, field);
        (self.door == Door::Exec && !words.is_empty()).then_some(words)
    }

    /// The places named; a list in the configuration names several, an empty field none.
    pub(crate) fn fill(&self, config: &Map<String, Value>, target: &Target) -> Vec<(Door, String)> {
        let mut texts = vec![String::new()];
        for part in &self.parts {
            let values = match part {
                Part::Text(text) => vec![text.clone()],
                Part::Config(field) => config_values(config, field),
                Part::Target(field) => target_value(target, field).into_iter().collect(),
            };
            texts = texts
                .iter()
                .flat_map(|text| values.iter().map(move |value| format!("{text}{value}")))
                .collect();
        }
        texts.into_iter().map(|text| (self.door, text)).collect()
    }
}

/// Whether the text of a template leaves host and port to what is filled in.
fn place_is_given(parts: &[Part]) -> bool {
    let mut parts = parts.iter().peekable();
    if matches!(parts.peek(), Some(Part::Text(text)) if matches!(text.as_str(), "http://" | "https://")) {
        parts.next();
    }
    if matches!(parts.next(), None | Some(Part::Text(_))) {
        return false;
    }
    match parts.next() {
        None => true,
        Some(Part::Text(text)) if text == ":" => match parts.next() {
            Some(Part::Text(_)) | None => false,
            Some(_) => !matches!(parts.next(), Some(Part::Text(text)) if !text.starts_with('/')),
        },
        Some(Part::Text(text)) => text.starts_with('/'),
        Some(_) => false,
    }
}

fn config_values(config: &Map<String, Value>, field: &str) -> Vec<String> {
    let mut path = field.split('.');
    let mut value = path.next().and_then(|name| config.get(name));
    for name in path {
        value = value.and_then(|inner| inner.get(name));
    }
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(plain).collect(),
        Some(other) => plain(other).into_iter().filter(|text| !text.is_empty()).collect(),
        None => Vec::new(),
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn target_value(target: &Target, field: &str) -> Option<String> {
    let value = match field {
        "address" => target.address.clone(),
        "port" if target.port == 0 => String::new(),
        "port" => target.port.to_string(),
        _ => target.meta.get(field.strip_prefix("meta.")?)?.clone(),
    };
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(template: &str, config: &Value) -> Vec<String> {
        let target = Target { address: "10.0.0.5".to_owned(), port: 80, ..Target::default() };
        let need = Need::parse(template).unwrap();
        need.fill(config.as_object().unwrap(), &target).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn templates_are_filled_from_the_definition() {
        assert_eq!(fill("http {config.url}", &json!({"url": "http://a/"})), ["http://a/"]);
        assert_eq!(fill("tcp {target.address}:{target.port}", &json!({})), ["10.0.0.5:80"]);
        assert_eq!(
            fill("tcp {config.hosts}:{config.port}", &json!({"hosts": ["a", "b"], "port": 1})),
            ["a:1", "b:1"]
        );
        assert_eq!(
            fill("http http://{config.db.host}/status", &json!({"db": {"host": "a"}})),
            ["http://a/status"]
        );
        assert!(fill("http {config.url}", &json!({"url": ""})).is_empty());
    }

    #[test]
    fn a_plugin_cannot_name_places_itself() {
        for template in [
            "http http://evil.example/",
            "http http://evil.example/{config.url}",
            "tcp {target.address}:22",
            "tcp {config.host}.evil.example:{config.port}",
            "http http://{config.host}:8500/",
            "tcp {config.host}{config.port}",
        ] {
            assert!(Need::parse(template).is_err(), "{template}");
        }
        assert!(Need::parse("files {config.path}").is_err());
    }
}
