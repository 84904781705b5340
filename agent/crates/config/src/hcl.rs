//! HCL as the reference's configuration files use it: the first version of the language, whose
//! keys may be quoted and which no library in reach reads.
//!
//! `key = value` sets a value, `key { … }` an object, `key "label" { … }` an object in an object.
//! A key that appears again becomes a list of all its values.

use serde_json::{Map, Number, Value};

/// How deep objects and lists may nest; deeper ones are refused instead of exhausting the stack.
const MAX_DEPTH: usize = 64;

/// Reads a file.
///
/// # Errors
/// What is wrong, with line and column.
pub(crate) fn parse(source: &str) -> Result<Value, String> {
    let mut parser = Parser { rest: source, source };
    let fields = parser.fields(0, End::OfFile)?;
    Ok(Value::Object(fields))
}

/// Where a list of fields ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    OfFile,
    Brace,
}

struct Parser<'s> {
    source: &'s str,
    rest: &'s str,
}

impl Parser<'_> {
    fn error<T>(&self, what: &str) -> Result<T, String> {
        let before = self.source.get(..self.source.len() - self.rest.len()).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let got = match self.rest.chars().next() {
            None => "EOF".to_owned(),
            Some(found) => format!("{found:?}"),
        };
        Err(format!("At {line}:{column}: {what} got: {got}"))
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Skips blanks, line feeds and comments.
    fn skip_space(&mut self) -> Result<(), String> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                let line = self.rest.find('\n').unwrap_or(self.rest.len());
                self.skip(line);
            } else if self.rest.starts_with("/*") {
                match self.rest.find("*/") {
                    Some(end) => self.skip(end + 2),
                    None => return self.error("comment not terminated,"),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn takes(&mut self, token: char) -> Result<bool, String> {
        self.skip_space()?;
        let found = self.rest.starts_with(token);
        if found {
            self.skip(token.len_utf8());
        }
        Ok(found)
    }

    fn fields(&mut self, depth: usize, end: End) -> Result<Map<String, Value>, String> {
        if depth > MAX_DEPTH {
            return self.error("nested too deep,");
        }
        let mut fields = Map::new();
        loop {
            self.skip_space()?;
            if self.rest.is_empty() {
                return match end {
                    End::OfFile => Ok(fields),
                    End::Brace => self.error("object expected closing RBRACE"),
                };
            }
            if end == End::Brace && self.takes('}')? {
                return Ok(fields);
            }
            let key = self.key()?;
            let value = self.field(depth)?;
            add(&mut fields, key, value);
            self.takes(',')?;
        }
    }

    /// What follows a key: a value, or labels and an object.
    fn field(&mut self, depth: usize) -> Result<Value, String> {
        if self.takes('=')? {
            return self.value(depth + 1);
        }
        if self.takes('{')? {
            return self.fields(depth + 1, End::Brace).map(Value::Object);
        }
        if depth > MAX_DEPTH {
            return self.error("nested too deep,");
        }
        if !self.rest.starts_with('"') {
            return self.error("key without a value, expected '=' or '{'");
        }
        let label = self.string()?;
        let inner = self.field(depth + 1)?;
        let mut object = Map::new();
        object.insert(label, inner);
        Ok(Value::Object(object))
    }

    fn key(&mut self) -> Result<String, String> {
        if self.rest.starts_with('"') {
            return self.string();
        }
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return self.error("expected a key,");
        }
        let (key, _) = self.rest.split_at(end);
        let key = key.to_owned();
        self.skip(end);
        Ok(key)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return self.error("nested too deep,");
        }
        self.skip_space()?;
        if self.rest.starts_with('"') {
            return self.string().map(Value::String);
        }
        if self.rest.starts_with("<<") {
            return self.heredoc().map(Value::String);
        }
        if self.takes('{')? {
            return self.fields(depth + 1, End::Brace).map(Value::Object);
        }
        if self.takes('[')? {
            return self.list(depth + 1);
        }
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}' | '#'))
            .unwrap_or(self.rest.len());
        let (word, _) = self.rest.split_at(end);
        let Some(value) = literal(word) else { return self.error("expected a value,") };
        self.skip(end);
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            if self.takes(']')? {
                return Ok(Value::Array(items));
            }
            items.push(self.value(depth)?);
            if !self.takes(',')? && !self.rest.starts_with(']') {
                return self.error("error parsing list, expected comma or list end,");
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((position, c)) = characters.next() {
            match c {
                '"' => {
                    self.skip(position + 1);
                    return Ok(text);
                }
                '\n' => break,
                '\\' => match characters.next().map(|(_, escaped)| escaped) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(marker @ ('u' | 'U')) => {
                        let digits = if marker == 'u' { 4 } else { 8 };
                        let code: String = characters.by_ref().take(digits).map(|(_, c)| c).collect();
                        let decoded = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                        match decoded {
                            Some(decoded) => text.push(decoded),
                            None => return self.error("illegal escape in a string,"),
                        }
                    }
                    Some(other) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        self.error("literal not terminated,")
    }

    /// `<<MARK` up to a line that is `MARK`; `<<-MARK` takes the common indentation away.
    fn heredoc(&mut self) -> Result<String, String> {
        let Some((first, body)) = self.rest.split_once('\n') else {
            return self.error("heredoc not terminated,");
        };
        let mark = first.trim_start_matches('<').trim();
        let (indented, mark) = match mark.strip_prefix('-') {
            Some(mark) => (true, mark),
            None => (false, mark),
        };
        let mut lines = Vec::new();
        let mut taken = first.len() + 1;
        for line in body.split_inclusive('\n') {
            taken += line.len();
            if line.trim() == mark {
                self.skip(taken);
                return Ok(joined(&lines, indented));
            }
            lines.push(line);
        }
        self.error("heredoc not terminated,")
    }
}

fn joined(lines: &[&str], indented: bool) -> String {
    let indentation = |line: &&&str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indentation(&line)).min();
    let cut = if indented { common.unwrap_or_default() } else { 0 };
    lines.iter().map(|line| line.get(cut..).unwrap_or("\n")).collect()
}

/// Adds a field; a key that is there already becomes a list.
fn add(fields: &mut Map<String, Value>, key: String, value: Value) {
    match fields.get_mut(&key) {
        None => {
            fields.insert(key, value);
        }
        Some(Value::Array(items)) if items.iter().all(Value::is_object) && value.is_object() => {
            items.push(value);
        }
        Some(existing) if existing.is_object() && value.is_object() => {
            *existing = Value::Array(vec![existing.take(), value]);
        }
        Some(existing) => *existing = value,
    }
}

fn literal(word: &str) -> Option<Value> {
    match word {
        "" => None,
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ => word
            .parse::<i64>()
            .ok()
            .or_else(|| i64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
            .map(|number| Value::Number(number.into()))
            .or_else(|| Number::from_f64(word.parse().ok()?).map(Value::Number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn blocks_labels_lists_and_comments() {
        let source = r#"
            # a comment
            datacenter = "dc7" // another
            ports { http = 1, "dns" = -1 }
            dns_config { service_ttl { "*" = "7s" } }
            service "web" { port = 80 }
            checks { ttl = "1h" }
            checks { ttl = "2h" }
            list = ["a", "b",]  /* the
            end */
            flags = 0x10
            pi = 3.5
        "#;
        let expected = json!({
            "datacenter": "dc7",
            "ports": {"http": 1, "dns": -1},
            "dns_config": {"service_ttl": {"*": "7s"}},
            "service": {"web": {"port": 80}},
            "checks": [{"ttl": "1h"}, {"ttl": "2h"}],
            "list": ["a", "b"],
            "flags": 16,
            "pi": 3.5,
        });
        assert_eq!(parse(source), Ok(expected));
    }

    #[test]
    fn texts_with_escapes_and_heredocs() {
        let source = "a = \"x\\n\\\"\\u00e9\"\nb = <<-END\n    one\n      two\n  END\nc = 1\n";
        assert_eq!(parse(source), Ok(json!({"a": "x\n\"é", "b": "one\n  two\n", "c": 1})));
    }

    #[test]
    fn mistakes_name_their_place() {
        assert_eq!(parse("service {\n name = \n}").unwrap_err(), "At 3:1: expected a value, got: '}'");
        assert_eq!(parse("a {\n b = 1\n").unwrap_err(), "At 3:1: object expected closing RBRACE got: EOF");
        assert_eq!(parse("a = \"x").unwrap_err(), "At 1:5: literal not terminated, got: '\"'");
        assert!(parse(&"a {".repeat(100)).is_err());
        assert!(parse(&"a = [".repeat(100)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(source in "[a-b\"{}\\[\\]=, \\n#/*<\\\\0-9-]{0,60}") {
            let _ = parse(&source);
        }
    }
}
