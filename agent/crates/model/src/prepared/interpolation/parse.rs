//! Reads texts with expressions.

use super::{Expression, Operator, Part, Place, Text};

/// How deep expressions and quoted texts may stand within each other.
const MAX_DEPTH: usize = 24;
/// How many operators and operands one text may have: a chain of operators is as deep as it is long,
/// and whoever walks through it needs stack for each.
const MAX_PIECES: usize = 256;

/// Operators by how strongly they bind, the weakest first; longer ones before those they begin with.
const BINDING: [&[(&str, Operator)]; 6] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[("==", Operator::Equal), ("!=", Operator::NotEqual)],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

pub(super) fn text(source: &str) -> Result<Text, String> {
    let mut parser = Parser { source, at: 0, depth: 0, pieces: 0 };
    parser.text(false)
}

struct Parser<'s> {
    source: &'s str,
    /// How many bytes were read.
    at: usize,
    depth: usize,
    /// How many operators and operands were read.
    pieces: usize,
}

impl Parser<'_> {
    /// A text up to its end, or to the quote that ends it.
    fn text(&mut self, quoted: bool) -> Result<Text, String> {
        let (mut parts, mut literal) = (Vec::new(), String::new());
        loop {
            if self.takes("$${") {
                literal.push_str("${");
            } else if self.takes("${") {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Expression(self.expression()?));
                self.expect("}")?;
            } else if quoted && self.rest().starts_with('"') {
                break;
            } else if quoted && self.takes("\\") {
                literal.push(match self.next() {
                    Some('n') => '\n',
                    Some(escaped @ ('"' | '\\')) => escaped,
                    _ => return Err(self.error("invalid escape sequence")),
                });
            } else {
                match self.next() {
                    Some(c) => literal.push(c),
                    None if quoted => return Err(self.error("expected \"\\\"\" but found end of string")),
                    None => break,
                }
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Text(parts))
    }

    /// Reads something within what is being read.
    fn inner<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("expressions are nested too deeply"));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Notes that an operator or an operand was met.
    fn piece(&mut self) -> Result<(), String> {
        self.pieces += 1;
        if self.pieces > MAX_PIECES {
            return Err(self.error("the text has too many expressions"));
        }
        Ok(())
    }

    fn expression(&mut self) -> Result<Expression, String> {
        self.inner(Self::choice)
    }

    fn choice(&mut self) -> Result<Expression, String> {
        let condition = self.binary(0)?;
        if !self.takes_word("?") {
            return Ok(condition);
        }
        let then = Box::new(self.expression()?);
        self.expect(":")?;
        let other = Box::new(self.expression()?);
        Ok(Expression::Choice { condition: Box::new(condition), then, other })
    }

    fn binary(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = BINDING.get(level) else { return self.operand() };
        let mut left = self.binary(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(word, _)| self.takes_word(word)) {
            self.piece()?;
            let right = Box::new(self.binary(level + 1)?);
            left = Expression::Both { operator: *operator, left: Box::new(left), right };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expression, String> {
        self.skip_blanks();
        self.piece()?;
        let start = self.at;
        if self.takes("(") {
            let inner = self.expression()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.takes("\"") {
            let text = self.inner(|parser| parser.text(true))?;
            self.expect("\"")?;
            return Ok(Expression::Quoted(text));
        }
        let is_not = self.rest().starts_with('!');
        if is_not || self.rest().starts_with('-') {
            self.next();
            let inner = Box::new(self.inner(Self::operand)?);
            return Ok(if is_not {
                Expression::Not(inner)
            } else {
                let left = Box::new(Expression::Number(0));
                Expression::Both { operator: Operator::Subtract, left, right: inner }
            });
        }
        if self.rest().starts_with(|c: char| c.is_ascii_digit()) {
            let digits = self.while_next(|c| c.is_ascii_digit());
            let number = digits
                .parse()
                .map_err(|_| format!("parse error at {}: invalid number", self.place(start)))?;
            return Ok(Expression::Number(number));
        }
        let name = self.while_next(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '*'));
        match name.as_str() {
            "" => Err(self.error("expected expression")),
            "true" => Ok(Expression::Truth(true)),
            "false" => Ok(Expression::Truth(false)),
            _ if self.takes("(") => self.call(name, self.place(start)),
            _ => Ok(Expression::Variable { name, place: self.place(start) }),
        }
    }

    /// The arguments of a function, after its parenthesis.
    fn call(&mut self, function: String, place: Place) -> Result<Expression, String> {
        let mut arguments = Vec::new();
        if !self.takes_word(")") {
            loop {
                arguments.push(self.expression()?);
                if !self.takes_word(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        Ok(Expression::Call { function, arguments, place })
    }

    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn while_next(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let rest = self.rest();
        let length = rest.find(|c: char| !belongs(c)).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default().to_owned();
        self.at += length;
        word
    }

    fn skip_blanks(&mut self) {
        self.while_next(char::is_whitespace);
    }

    /// Reads a word if it comes next.
    fn takes(&mut self, word: &str) -> bool {
        let comes = self.rest().starts_with(word);
        if comes {
            self.at += word.len();
        }
        comes
    }

    /// Reads a word if it comes next but for blanks.
    fn takes_word(&mut self, word: &str) -> bool {
        let start = self.at;
        self.skip_blanks();
        let comes = self.takes(word);
        if !comes {
            self.at = start;
        }
        comes
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.takes_word(word) {
            return Ok(());
        }
        self.skip_blanks();
        let found = match self.rest().chars().next() {
            Some(c) => format!("{:?}", c.to_string()),
            None => "end of string".to_owned(),
        };
        Err(self.error(&format!("expected {word:?} but found {found}")))
    }

    fn error(&self, what: &str) -> String {
        format!("parse error at {}: {what}", self.place(self.at))
    }

    /// Where the text is that begins with this byte.
    fn place(&self, at: usize) -> Place {
        let before = self.source.get(..at).unwrap_or(self.source);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Place { line, column }
    }
}
