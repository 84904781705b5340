//! Holds one source against the table of keys: every key known, every value what it has to be.
//!
//! The complaints are worded as the reference's decoder words them, since operators and scripts
//! know those.

use serde_json::{Map, Number, Value};

use crate::Format;
use crate::deprecated;
use crate::keys::{KEYS, Key, Shape, list_of_errors};

/// A source whose keys and values fit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decoded {
    /// Its tree: keys have the names of the table, and what could be in the singular
    /// (`service`, `check`) is in the list of its kind.
    pub(crate) tree: Value,
    /// What its author should change some day.
    pub(crate) warnings: Vec<String>,
}

/// Reads a tree as a configuration.
///
/// # Errors
/// Every value that is not what it has to be, or else every key that nobody knows.
pub(crate) fn decode(tree: Value, format: Format) -> Result<Decoded, String> {
    let mut decoder = Decoder { format, errors: Vec::new(), unknown: Vec::new() };
    let Value::Object(fields) = tree else { return Err("expected an object at the top level".to_owned()) };
    let mut fields = decoder.fields("", fields, KEYS);
    if !decoder.errors.is_empty() {
        decoder.errors.sort();
        let lines: Vec<String> = decoder.errors.iter().map(|error| format!("* {error}")).collect();
        return Err(format!("{} error(s) decoding:\n\n{}", lines.len(), lines.join("\n")));
    }
    if !decoder.unknown.is_empty() {
        decoder.unknown.sort();
        let lines: Vec<String> =
            decoder.unknown.iter().map(|key| format!("invalid config key {key}")).collect();
        return Err(list_of_errors(&lines));
    }
    let warnings = deprecated::translate(&mut fields);
    gather_definitions(&mut fields);
    Ok(Decoded { tree: Value::Object(fields), warnings })
}

/// Moves definitions that appear singly into the lists of their kind, so that several files can
/// each have one.
fn gather_definitions(fields: &mut Map<String, Value>) {
    for (single, many) in [("service", "services"), ("check", "checks")] {
        let Some(definition) = fields.remove(single).filter(|definition| !definition.is_null()) else {
            continue;
        };
        let list = fields.entry(many).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(definition);
        }
    }
}

struct Decoder {
    format: Format,
    errors: Vec<String>,
    unknown: Vec<String>,
}

impl Decoder {
    fn fields(&mut self, above: &str, given: Map<String, Value>, keys: &'static [Key]) -> Map<String, Value> {
        let mut fields = Map::new();
        for (name, value) in given {
            let Some(key) = find(keys, &name) else {
                self.unknown.push(format!("{above}{name}"));
                continue;
            };
            let value = self.value(&format!("{above}{}", key.name), value, key.shape);
            // A key of its very name outweighs one that only stands for it.
            if key.name == name || !fields.contains_key(key.name) {
                fields.insert(key.name.to_owned(), value);
            }
        }
        fields
    }

    fn value(&mut self, name: &str, value: Value, shape: Shape) -> Value {
        let value = if matches!(shape, Shape::Texts | Shape::Each(_) | Shape::AnyMaps | Shape::Any) {
            value
        } else {
            single(value)
        };
        if value.is_null() {
            return value;
        }
        match shape {
            Shape::Any => value,
            Shape::Flag if value.is_boolean() => value,
            Shape::Flag => self.unconvertible(name, "bool", &value),
            Shape::Text if value.is_string() => value,
            Shape::Text => self.unconvertible(name, "string", &value),
            Shape::Number if value.is_number() => value,
            Shape::Number => self.unconvertible(name, "float64", &value),
            Shape::Whole => self.whole(name, "int", value),
            Shape::Count => self.count(name, value),
            Shape::Texts => self.list(name, value, Shape::Text),
            Shape::AnyMaps => self.list(name, value, Shape::Any),
            Shape::Each(keys) => self.list(name, value, Shape::Fields(keys)),
            Shape::TextMap => self.named(name, value, Shape::Text),
            Shape::TextLists => self.named(name, value, Shape::Texts),
            Shape::Named(keys) => self.named(name, value, Shape::Fields(keys)),
            Shape::Fields(keys) => match value {
                Value::Object(fields) => Value::Object(self.fields(&format!("{name}."), fields, keys)),
                other => self.wrong(format!("'{name}' expected a map, got '{}'", self.kind(&other))),
            },
        }
    }

    fn whole(&mut self, name: &str, what: &str, value: Value) -> Value {
        match &value {
            Value::Number(number) if number.is_f64() => whole_part(number),
            Value::Number(_) => value,
            other => self.unconvertible(name, what, other),
        }
    }

    fn count(&mut self, name: &str, value: Value) -> Value {
        let number = self.whole(name, "uint", value);
        match number.as_i64() {
            Some(negative) if negative < 0 => {
                let written = match self.format {
                    Format::Json => format!("{negative}.000000"),
                    Format::Hcl => negative.to_string(),
                };
                self.wrong(format!("cannot parse '{name}', {written} overflows uint"))
            }
            _ => number,
        }
    }

    fn list(&mut self, name: &str, value: Value, shape: Shape) -> Value {
        let items = match value {
            Value::Null => return Value::Null,
            Value::Array(items) => items,
            // An object of HCL is a list of one.
            single @ Value::Object(_) if self.format == Format::Hcl => vec![single],
            other => {
                let kind = self.kind(&other);
                return self.wrong(format!("'{name}': source data must be an array or slice, got {kind}"));
            }
        };
        let each = items.into_iter().enumerate();
        Value::Array(each.map(|(at, item)| self.value(&format!("{name}[{at}]"), item, shape)).collect())
    }

    fn named(&mut self, name: &str, value: Value, shape: Shape) -> Value {
        let Value::Object(fields) = value else {
            let kind = self.kind(&value);
            return self.wrong(format!("'{name}' expected a map, got '{kind}'"));
        };
        let each = fields.into_iter();
        Value::Object(
            each.map(|(key, value)| {
                let value = self.value(&format!("{name}[{key}]"), value, shape);
                (key, value)
            })
            .collect(),
        )
    }

    fn unconvertible(&mut self, name: &str, what: &str, value: &Value) -> Value {
        let got = self.type_of(value);
        let value = written(value);
        self.wrong(format!(
            "'{name}' expected type '{what}', got unconvertible type '{got}', value: '{value}'"
        ))
    }

    fn wrong(&mut self, error: String) -> Value {
        self.errors.push(error);
        Value::Null
    }

    /// The kind of a value, in the words of the reference's language.
    fn kind(&self, value: &Value) -> &'static str {
        match value {
            Value::Null => "invalid",
            Value::Bool(_) => "bool",
            Value::Number(number) => self.number(number),
            Value::String(_) => "string",
            Value::Array(_) => "slice",
            Value::Object(_) => "map",
        }
    }

    /// The type of a value, in the words of the reference's language.
    fn type_of(&self, value: &Value) -> &'static str {
        match value {
            Value::Array(items) if self.format == Format::Hcl && items.iter().all(Value::is_object) => {
                "[]map[string]interface {}"
            }
            Value::Array(_) => "[]interface {}",
            Value::Object(_) => "map[string]interface {}",
            other => self.kind(other),
        }
    }

    /// In JSON all numbers are alike.
    fn number(&self, number: &Number) -> &'static str {
        if self.format == Format::Hcl && !number.is_f64() { "int" } else { "float64" }
    }
}

/// The key of a name: the very one, or one that differs in case, or that has it as an alias.
fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    let is_alias = |key: &&Key| key.alias.is_some_and(|alias| alias.eq_ignore_ascii_case(name));
    keys.iter()
        .find(|key| key.name == name)
        .or_else(|| keys.iter().find(|key| key.name.eq_ignore_ascii_case(name)))
        .or_else(|| keys.iter().find(is_alias))
}

/// Where a list has no place, one of a single item counts as that item, and an empty one as
/// nothing.
fn single(value: Value) -> Value {
    match value {
        Value::Array(mut items) if items.len() < 2 => items.pop().map_or(Value::Null, single),
        other => other,
    }
}

fn whole_part(number: &Number) -> Value {
    let float = number.as_f64().unwrap_or_default().trunc();
    // Numbers beyond are bounded by whoever reads them.
    Value::from(float as i64)
}

/// A value as the reference's language prints it.
fn written(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => float.to_string(),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let pairs: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}:{}", written(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

#[cfg(test)]
mod tests;
