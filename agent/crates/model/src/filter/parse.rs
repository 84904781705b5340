//! From text to expression trees.
//!
//! Grammar, loosest first: `or`, `and`, `not`, then a match or a parenthesised expression. A match
//! is `selector == value`, `selector != value`, `value in selector`, `value not in selector`,
//! `selector contains value`, `selector not contains value`, `selector is [not] empty` and
//! `selector [not] matches value`.

use regex::Regex;

/// How deep expressions may nest; deeper ones are refused instead of exhausting the stack.
const MAX_DEPTH: usize = 64;
/// The longest expression accepted, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// An expression tree.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Match { selector: Vec<String>, operator: Operator, negated: bool },
}

/// What a match compares.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    Equal(String),
    Contains(String),
    Empty,
    Matches { regex: Box<Regex> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Bare(String),
    /// A selector with parts in brackets, such as `Meta["some key"]`.
    Path(Vec<String>),
    Quoted(String),
    Open,
    Close,
    Equal,
    NotEqual,
}

pub(super) fn parse(source: &str) -> Result<Expression, String> {
    if source.len() > MAX_LENGTH {
        return Err(format!("expression is longer than {MAX_LENGTH} bytes"));
    }
    let mut parser = Parser { source, words: words(source)?, position: 0 };
    let expression = parser.either(0)?;
    match parser.next() {
        None => Ok(expression),
        Some(word) => Err(format!("unexpected {word:?} after the end of the expression")),
    }
}

/// The words, each with the position of its first byte.
fn words(source: &str) -> Result<Vec<(Word, usize)>, String> {
    let mut words = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, taken) = match first {
            '(' => (Word::Open, 1),
            ')' => (Word::Close, 1),
            '=' if rest.starts_with("==") => (Word::Equal, 2),
            '!' if rest.starts_with("!=") => (Word::NotEqual, 2),
            '"' | '`' => {
                let (text, length) = quoted(rest, first)?;
                (Word::Quoted(text), length)
            }
            _ => bare(rest)?,
        };
        words.push((word, source.len() - rest.len()));
        rest = rest.get(taken..).unwrap_or_default().trim_start();
    }
    Ok(words)
}

/// A word without quotes at the start of `rest`, with what follows it in brackets, and how many
/// bytes it took.
fn bare(rest: &str) -> Result<(Word, usize), String> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '=' | '!' | '"' | '`' | '[');
    let mut taken = rest.find(ends).unwrap_or(rest.len());
    let (text, mut after) = rest.split_at(taken);
    if text.is_empty() {
        return Err(format!("unexpected character {:?}", rest.chars().next().unwrap_or_default()));
    }
    if !after.starts_with('[') {
        return Ok((Word::Bare(text.to_owned()), taken));
    }
    let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
    while let Some(inside) = after.strip_prefix('[') {
        let quote = inside.chars().next().filter(|c| matches!(c, '"' | '`'));
        let (part, length) = quoted(inside, quote.ok_or("expected a quoted key after [")?)?;
        parts.push(part);
        after = inside.get(length..).and_then(|rest| rest.strip_prefix(']')).ok_or("missing closing ]")?;
        taken += length + 2;
    }
    Ok((Word::Path(parts), taken))
}

/// A quoted text at the start of `rest`, and how many bytes it took. Double quotes know
/// backslash escapes, back quotes do not.
fn quoted(rest: &str, quote: char) -> Result<(String, usize), String> {
    let mut text = String::new();
    let mut escaped = false;
    for (position, c) in rest.char_indices().skip(1) {
        if escaped {
            text.push(match c {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            });
            escaped = false;
        } else if c == '\\' && quote == '"' {
            escaped = true;
        } else if c == quote {
            return Ok((text, position + 1));
        } else {
            text.push(c);
        }
    }
    Err("unterminated string literal".to_owned())
}

struct Parser<'s> {
    source: &'s str,
    words: Vec<(Word, usize)>,
    position: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Word> {
        self.words.get(self.position).map(|(word, _)| word)
    }

    fn next(&mut self) -> Option<Word> {
        let word = self.peek().cloned();
        self.position += 1;
        word
    }

    fn takes(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(Word::Bare(word)) if word == keyword);
        self.position += usize::from(found);
        found
    }

    fn either(&mut self, depth: usize) -> Result<Expression, String> {
        let mut left = self.both(depth)?;
        while self.takes("or") {
            left = Expression::Or(Box::new(left), Box::new(self.both(depth)?));
        }
        Ok(left)
    }

    fn both(&mut self, depth: usize) -> Result<Expression, String> {
        let mut left = self.negation(depth)?;
        while self.takes("and") {
            left = Expression::And(Box::new(left), Box::new(self.negation(depth)?));
        }
        Ok(left)
    }

    fn negation(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > MAX_DEPTH {
            return Err(format!("expression is nested deeper than {MAX_DEPTH}"));
        }
        if self.takes("not") {
            return Ok(Expression::Not(Box::new(self.negation(depth + 1)?)));
        }
        if self.peek() == Some(&Word::Open) {
            self.position += 1;
            let inner = self.either(depth + 1)?;
            return match self.next() {
                Some(Word::Close) => Ok(inner),
                _ => Err("missing closing parenthesis".to_owned()),
            };
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expression, String> {
        let first = self.next().ok_or("expression ends where a match is expected")?;
        if self.takes("in") {
            return self.contained(text(first)?, false);
        }
        if self.takes("not") {
            if self.takes("in") {
                return self.contained(text(first)?, true);
            }
            let operator = if self.takes("contains") {
                Operator::Contains(self.value()?)
            } else if self.takes("matches") {
                self.pattern()?
            } else {
                return Err("expected in, contains or matches after not".to_owned());
            };
            return Ok(Expression::Match { selector: selector(first)?, operator, negated: true });
        }
        let selector = selector(first)?;
        if self.takes("contains") {
            let operator = Operator::Contains(self.value()?);
            return Ok(Expression::Match { selector, operator, negated: false });
        }
        if self.takes("matches") {
            let operator = self.pattern()?;
            return Ok(Expression::Match { selector, operator, negated: false });
        }
        if self.takes("is") {
            let negated = self.takes("not");
            if !self.takes("empty") {
                return Err("expected empty after is".to_owned());
            }
            return Ok(Expression::Match { selector, operator: Operator::Empty, negated });
        }
        match self.next() {
            Some(Word::Equal) => {
                let operator = Operator::Equal(self.value()?);
                Ok(Expression::Match { selector, operator, negated: false })
            }
            Some(Word::NotEqual) => {
                let operator = Operator::Equal(self.value()?);
                Ok(Expression::Match { selector, operator, negated: true })
            }
            Some(word) => Err(format!("expected an operator, found {word:?}")),
            None => Err("expression ends where an operator is expected".to_owned()),
        }
    }

    fn contained(&mut self, value: String, negated: bool) -> Result<Expression, String> {
        let place = self.place();
        let container = self.next().ok_or("expression ends where a selector is expected")?;
        if !is_selector(&container) {
            return Err(format!("{place}: rule \"match\": Invalid selector"));
        }
        let operator = Operator::Contains(value);
        Ok(Expression::Match { selector: selector(container)?, operator, negated })
    }

    /// Where the next word starts, as line, column and byte.
    fn place(&self) -> String {
        let byte = self.words.get(self.position).map_or(self.source.len(), |(_, byte)| *byte);
        let before = self.source.get(..byte).unwrap_or(self.source);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{line}:{column} ({byte})")
    }

    fn value(&mut self) -> Result<String, String> {
        text(self.next().ok_or("expression ends where a value is expected")?)
    }

    fn pattern(&mut self) -> Result<Operator, String> {
        let pattern = self.value()?;
        let regex = regex::RegexBuilder::new(&pattern)
            .size_limit(1 << 20)
            .build()
            .map_err(|error| format!("invalid regular expression {pattern:?}: {error}"))?;
        Ok(Operator::Matches { regex: Box::new(regex) })
    }
}

fn text(word: Word) -> Result<String, String> {
    match word {
        Word::Bare(text) | Word::Quoted(text) => Ok(text),
        other => Err(format!("expected a value, found {other:?}")),
    }
}

/// Whether a word can name a field at all.
fn is_selector(word: &Word) -> bool {
    match word {
        Word::Bare(text) => text.starts_with(|c: char| c.is_ascii_alphabetic()),
        Word::Path(_) => true,
        Word::Quoted(text) => text.starts_with('/'),
        _ => false,
    }
}

/// A selector: `Meta.env`, `Meta["some key"]`, or quoted a JSON pointer such as `"/Meta/a.b"`.
fn selector(word: Word) -> Result<Vec<String>, String> {
    let parts: Vec<String> = match word {
        Word::Bare(text) => text.split('.').map(str::to_owned).collect(),
        Word::Path(parts) => parts,
        Word::Quoted(text) => match text.strip_prefix('/') {
            Some(pointer) => {
                pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect()
            }
            None => return Err(format!("{text:?} is a value where a selector is expected")),
        },
        other => return Err(format!("expected a selector, found {other:?}")),
    };
    if parts.iter().any(String::is_empty) {
        return Err("a selector has an empty part".to_owned());
    }
    Ok(parts)
}
