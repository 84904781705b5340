//! Every configuration key of the reference, nested ones too, and what becomes of it here.

mod table;

use serde_json::Value;

pub use table::KEYS;

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It works.
    Works,
    /// It is accepted and has nothing to change here: what it asks for is so, or is never so.
    Silent,
    /// It is accepted, has no effect, and a warning says so when it is set.
    Warns,
    /// It promises what this build cannot keep, and ignoring that would be unsafe: an agent that
    /// is told so does not start.
    Refused(&'static str),
}

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Yes or no.
    Flag,
    /// A text.
    Text,
    /// A whole number.
    Whole,
    /// A whole number that is not negative.
    Count,
    /// Any number.
    Number,
    /// A list of texts.
    Texts,
    /// Texts by name.
    TextMap,
    /// Lists of texts by name.
    TextLists,
    /// An object with these keys.
    Fields(&'static [Key]),
    /// A list of objects with these keys.
    Each(&'static [Key]),
    /// Objects with these keys, by name.
    Named(&'static [Key]),
    /// A list of objects whose keys nobody lists.
    AnyMaps,
    /// Whatever somebody likes.
    Any,
}

/// A key of a file, or of an object in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Another name for it.
    pub alias: Option<&'static str>,
    /// What its value has to be.
    pub shape: Shape,
    /// What becomes of it; for an object whose keys are listed, the keys say that themselves.
    pub class: Class,
}

impl Key {
    const fn or(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// The keys of its value, if they are listed.
    #[must_use]
    pub fn keys(&self) -> Option<&'static [Self]> {
        match self.shape {
            Shape::Fields(keys) | Shape::Each(keys) | Shape::Named(keys) => Some(keys),
            _ => None,
        }
    }
}

const fn key(name: &'static str, shape: Shape, class: Class) -> Key {
    Key { name, alias: None, shape, class }
}

const fn works(name: &'static str, shape: Shape) -> Key {
    key(name, shape, Class::Works)
}

const fn group(name: &'static str, shape: Shape) -> Key {
    key(name, shape, Class::Works)
}

const fn silent(name: &'static str, shape: Shape) -> Key {
    key(name, shape, Class::Silent)
}

const fn warns(name: &'static str, shape: Shape) -> Key {
    key(name, shape, Class::Warns)
}

const fn refused(name: &'static str, shape: Shape, why: &'static str) -> Key {
    key(name, shape, Class::Refused(why))
}

/// All keys that are no objects of listed keys, by their full names, in the order of the table.
/// `[]` stands for the place in a list, `{}` for a name that users choose.
#[must_use]
pub fn listed() -> Vec<(String, Class)> {
    let mut found = Vec::new();
    collect("", KEYS, &mut found);
    found
}

fn collect(above: &str, keys: &'static [Key], found: &mut Vec<(String, Class)>) {
    for key in keys {
        let name = format!("{above}{}", key.name);
        match key.shape {
            Shape::Fields(inner) => collect(&format!("{name}."), inner, found),
            Shape::Each(inner) => collect(&format!("{name}[]."), inner, found),
            Shape::Named(inner) => collect(&format!("{name}{{}}."), inner, found),
            _ => found.push((name, key.class)),
        }
    }
}

/// What a configuration asks for without getting it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unmet {
    /// A line for each key that is accepted without effect.
    pub ineffective: Vec<String>,
    /// A line for each key whose promise cannot be kept: the agent must not start.
    pub refused: Vec<String>,
}

/// Looks through a whole configuration.
#[must_use]
pub fn unmet(tree: &Value) -> Unmet {
    let mut unmet = Unmet::default();
    look("", tree, KEYS, &mut unmet);
    unmet
}

fn look(above: &str, tree: &Value, keys: &'static [Key], unmet: &mut Unmet) {
    let Some(fields) = tree.as_object() else { return };
    for key in keys {
        let Some(value) = fields.get(key.name).filter(|value| !is_idle(value)) else { continue };
        let name = format!("{above}{}", key.name);
        match (key.class, key.shape) {
            // Definitions say themselves what they cannot have.
            (_, Shape::Each(_)) if above.is_empty() && matches!(key.name, "services" | "checks") => {}
            (_, Shape::Fields(inner)) => look(&format!("{name}."), value, inner, unmet),
            (_, Shape::Named(inner)) => {
                for (chosen, value) in value.as_object().into_iter().flatten() {
                    look(&format!("{name}.{chosen}."), value, inner, unmet);
                }
            }
            (Class::Warns, _) => unmet.ineffective.push(ineffective(&name)),
            (Class::Refused(why), _) => {
                unmet.refused.push(format!("{name}: {why}; refusing to start without it"));
            }
            (Class::Works | Class::Silent, _) => {}
        }
    }
}

/// The warning for a key without effect.
pub(crate) fn ineffective(name: &str) -> String {
    format!("The '{name}' field is accepted but has no effect in this build")
}

/// Several problems as one message, the way operators know it.
pub(crate) fn list_of_errors(problems: &[String]) -> String {
    let count = problems.len();
    let plural = if count == 1 { "error" } else { "errors" };
    let lines: String = problems.iter().map(|problem| format!("\t* {problem}\n")).collect();
    format!("{count} {plural} occurred:\n{lines}\n\n")
}

/// Whether a value asks for nothing.
fn is_idle(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_idle),
        Value::Object(fields) => fields.values().all(is_idle),
    }
}
