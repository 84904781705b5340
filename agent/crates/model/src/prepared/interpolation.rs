//! Texts with expressions in `${…}`, as templates of prepared queries have them.
//!
//! Literals, variables and functions of a [`Scope`], whole-number arithmetic, comparisons, logic and
//! `condition ? one : other`; `$${` stands for `${`. Everything is pure and bounded: how deep
//! expressions nest, and how long what they come to may be.

mod parse;

use std::borrow::Cow;
use std::fmt;

/// A text that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Expression(Expression),
}

/// Where something stands, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    Number(i64),
    Truth(bool),
    Quoted(Text),
    Variable { name: String, place: Place },
    Call { function: String, arguments: Vec<Self>, place: Place },
    Not(Box<Self>),
    Both { operator: Operator, left: Box<Self>, right: Box<Self> },
    Choice { condition: Box<Self>, then: Box<Self>, other: Box<Self> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What names stand for.
pub(super) trait Scope {
    /// The value of a variable, if there is such.
    fn variable(&self, name: &str) -> Option<&str>;
    /// The group of the template's expression with this number; empty if there is none.
    fn group(&self, number: i64) -> &str;
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Number(i64),
    Truth(bool),
    Text(String),
}

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        parse::text(source)
    }

    /// What it comes to. Takes the length of that from `room`, in bytes.
    ///
    /// # Errors
    /// If it names what the scope does not have, an operation is impossible, or there is no room.
    pub(super) fn render(&self, scope: &impl Scope, room: &mut usize) -> Result<String, String> {
        let mut rendered = String::new();
        for part in &self.0 {
            let value = match part {
                Part::Literal(literal) => literal.clone(),
                Part::Expression(expression) => expression.value(scope, room)?.text().into_owned(),
            };
            *room = room.checked_sub(value.len()).ok_or("it becomes too long")?;
            rendered.push_str(&value);
        }
        Ok(rendered)
    }
}

impl Expression {
    fn value(&self, scope: &impl Scope, room: &mut usize) -> Result<Value, String> {
        Ok(match self {
            Self::Number(number) => Value::Number(*number),
            Self::Truth(truth) => Value::Truth(*truth),
            Self::Quoted(text) => Value::Text(text.render(scope, room)?),
            Self::Variable { name, place } => {
                let value = scope.variable(name);
                let value = value.ok_or_else(|| format!("{place}: unknown variable accessed: {name}"))?;
                Value::Text(value.to_owned())
            }
            Self::Call { function, arguments, place } => {
                if function != "match" {
                    return Err(format!("{place}: unknown function called: {function}"));
                }
                let [number] = arguments.as_slice() else {
                    let count = arguments.len();
                    return Err(format!("{place}: {function}: expected 1 arguments, got {count}"));
                };
                let number = number.value(scope, room)?.into_number()?;
                Value::Text(scope.group(number).to_owned())
            }
            Self::Not(inner) => Value::Truth(!inner.value(scope, room)?.into_truth()?),
            Self::Both { operator, left, right } => {
                // Both sides always, so that a mistake shows before it matters.
                let (left, right) = (left.value(scope, room)?, right.value(scope, room)?);
                operator.apply(left, right)?
            }
            Self::Choice { condition, then, other } => {
                let condition = condition.value(scope, room)?.into_truth()?;
                let (then, other) = (then.value(scope, room)?, other.value(scope, room)?);
                if condition { then } else { other }
            }
        })
    }
}

impl Operator {
    fn apply(self, left: Value, right: Value) -> Result<Value, String> {
        Ok(match self {
            Self::Or => Value::Truth(left.into_truth()? | right.into_truth()?),
            Self::And => Value::Truth(left.into_truth()? & right.into_truth()?),
            Self::Equal => Value::Truth(left.is(&right)),
            Self::NotEqual => Value::Truth(!left.is(&right)),
            Self::Less => Value::Truth(left.into_number()? < right.into_number()?),
            Self::LessOrEqual => Value::Truth(left.into_number()? <= right.into_number()?),
            Self::Greater => Value::Truth(left.into_number()? > right.into_number()?),
            Self::GreaterOrEqual => Value::Truth(left.into_number()? >= right.into_number()?),
            Self::Add => Value::Number(left.into_number()?.wrapping_add(right.into_number()?)),
            Self::Subtract => Value::Number(left.into_number()?.wrapping_sub(right.into_number()?)),
            Self::Multiply => Value::Number(left.into_number()?.wrapping_mul(right.into_number()?)),
            Self::Divide | Self::Remainder => {
                let (left, right) = (left.into_number()?, right.into_number()?);
                if right == 0 {
                    return Err("divide by zero".to_owned());
                }
                let divides = self == Self::Divide;
                Value::Number(if divides { left.wrapping_div(right) } else { left.wrapping_rem(right) })
            }
        })
    }
}

impl Value {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Truth(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }

    fn into_number(self) -> Result<i64, String> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(text) => {
                text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
            }
            Self::Truth(truth) => Err(format!("expected a number, found {truth}")),
        }
    }

    fn into_truth(self) -> Result<bool, String> {
        match self {
            Self::Truth(truth) => Ok(truth),
            Self::Text(text) if text == "true" || text == "false" => Ok(text == "true"),
            other => Err(format!("expected true or false, found {:?}", other.text())),
        }
    }

    /// Whether both are the same, whatever kind they are written as.
    fn is(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

#[cfg(test)]
mod tests;
