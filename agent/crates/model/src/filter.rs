//! The filter language of `?filter=`: boolean expressions over the fields of a row.
//!
//! `ServicePort == 80 and "prod" in ServiceTags`, `not (Meta.env matches "^dev")`, `Tags is empty`.
//! An expression is checked against the row type's [`Shape`] before anything is evaluated, so that
//! a misspelt field is an error and not an empty result.

mod parse;
mod row;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use row::{FlatInstance, Row, Shape, Value};

use crate::error::{Error, Result};
use parse::{Expression, Operator};

/// An expression as its user wrote it; empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    source: String,
}

impl Filter {
    /// The expression as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Compiles the expression for rows of type `R`.
    ///
    /// # Errors
    /// [`Failed`](crate::Code::Failed) saying where the expression does not parse or which field
    /// or operator does not fit the rows.
    pub fn compile<R: Row>(&self) -> Result<Compiled> {
        if self.source.trim().is_empty() {
            return Ok(Compiled { expression: None });
        }
        let refuse =
            |why: String| Error::failed(format!("Failed to create boolean expression evaluator: {why}"));
        let mut expression = parse::parse(&self.source).map_err(refuse)?;
        expression.check(&R::shape()).map_err(refuse)?;
        Ok(Compiled { expression: Some(expression) })
    }
}

impl From<String> for Filter {
    fn from(source: String) -> Self {
        Self { source }
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// An expression that fits its rows.
#[derive(Clone, Debug)]
pub struct Compiled {
    expression: Option<Expression>,
}

impl Compiled {
    /// Whether the row meets the expression.
    #[must_use]
    pub fn matches<R: Row>(&self, row: &R) -> bool {
        self.expression.as_ref().is_none_or(|expression| expression.holds(row))
    }

    /// Whether every row does, because nothing was asked for.
    #[must_use]
    pub fn selects_all(&self) -> bool {
        self.expression.is_none()
    }
}

impl Expression {
    fn check(&mut self, shape: &Shape) -> std::result::Result<(), String> {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.check(shape)?;
                right.check(shape)
            }
            Self::Not(inner) => inner.check(shape),
            Self::Match { selector, operator, .. } => {
                let found = shape
                    .at(selector)
                    .ok_or_else(|| format!("Selector {:?} is not valid", selector.join(".")))?;
                operator.check(found, &selector.join("."))
            }
        }
    }

    fn holds<R: Row>(&self, row: &R) -> bool {
        match self {
            Self::And(left, right) => left.holds(row) && right.holds(row),
            Self::Or(left, right) => left.holds(row) || right.holds(row),
            Self::Not(inner) => !inner.holds(row),
            Self::Match { selector, operator, negated } => operator.holds(&row.value(selector)) != *negated,
        }
    }
}

impl Operator {
    fn check(&mut self, shape: &Shape, selector: &str) -> std::result::Result<(), String> {
        let unfit =
            |operator: &str| Err(format!("Invalid match operator {operator:?} for selector {selector:?}"));
        match (self, shape) {
            (Self::Equal(_), Shape::Text) | (Self::Matches { .. }, Shape::Text) => Ok(()),
            (Self::Contains(_), Shape::Text | Shape::List | Shape::Map) => Ok(()),
            (Self::Empty, Shape::List | Shape::Map | Shape::Rows(_)) => Ok(()),
            (Self::Equal(text), Shape::Number) => text
                .parse::<i64>()
                .map(drop)
                .map_err(|_| format!("value {text:?} of selector {selector:?} is not a number")),
            (Self::Equal(text), Shape::Bool) => parse_bool(text)
                .map(drop)
                .ok_or_else(|| format!("value {text:?} of selector {selector:?} is not a boolean")),
            (Self::Equal(_), _) => unfit("Equal"),
            (Self::Contains(_), _) => unfit("In"),
            (Self::Empty, _) => unfit("Is Empty"),
            (Self::Matches { .. }, _) => unfit("Matches"),
        }
    }

    fn holds(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Equal(wanted), Value::Text(text)) => wanted == text,
            (Self::Equal(wanted), Value::Number(number)) => wanted.parse() == Ok(*number),
            (Self::Equal(wanted), Value::Bool(flag)) => parse_bool(wanted) == Some(*flag),
            (Self::Contains(part), Value::Text(text)) => text.contains(part.as_str()),
            (Self::Contains(item), Value::List(items)) => items.iter().any(|found| found == item),
            (Self::Contains(key), Value::Map(map)) => map.contains_key(key),
            (Self::Empty, Value::List(items)) => items.is_empty(),
            (Self::Empty, Value::Map(map)) => map.is_empty(),
            (Self::Empty, Value::Count(count)) => *count == 0,
            (Self::Matches { regex, .. }, Value::Text(text)) => regex.is_match(text),
            (operator, Value::AnyOf(values)) => values.iter().any(|value| operator.holds(value)),
            _ => false,
        }
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
