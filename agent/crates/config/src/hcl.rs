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
    /// Where the rest begins, as `line:column`.
    fn place(&self) -> String {
        let before = self.source.get(..self.source.len() - self.rest.len()).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{line}:{column}")
    }

    fn error<T>(&self, what: impl std::fmt::Display) -> Result<T, String> {
        Err(format!("At {}: {what}", self.place()))
    }

    /// The kind of what comes next, by the reference's name for it, and its text.
    fn token(&self) -> (&'static str, &str) {
        let Some(first) = self.rest.chars().next() else { return ("EOF", "") };
        let kind = match first {
            '{' => "LBRACE",
            '}' => "RBRACE",
            '[' => "LBRACK",
            ']' => "RBRACK",
            ',' => "COMMA",
            '=' => "ASSIGN",
            '"' => "STRING",
            _ => {
                let word = self.word();
                return match literal(word) {
                    Some(Value::Bool(_)) => ("BOOL", word),
                    Some(Value::Number(number)) if number.is_f64() => ("FLOAT", word),
                    Some(Value::Number(_)) => ("NUMBER", word),
                    _ if first.is_alphabetic() || first == '_' => ("IDENT", word),
                    _ => ("ILLEGAL", word),
                };
            }
        };
        (kind, self.rest.get(..first.len_utf8()).unwrap_or_default())
    }

    /// What comes next, up to where a value ends.
    fn word(&self) -> &str {
        let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ']' | '[' | '}' | '{' | '#' | '=' | '"');
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        self.rest.get(..end).unwrap_or_default()
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
                    None => return self.error("comment not terminated"),
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
            return self.error("nested too deep");
        }
        let mut fields = Map::new();
        loop {
            self.skip_space()?;
            if self.rest.is_empty() {
                return if end == End::OfFile { Ok(fields) } else { self.unclosed() };
            }
            if end == End::Brace && self.takes('}')? {
                return Ok(fields);
            }
            let key = self.key()?;
            match self.field(depth, &[&key])? {
                Some(value) => add(&mut fields, key, value),
                None if end == End::Brace => {
                    // The brace counts as what the key is missing, so that another one is.
                    self.takes('}')?;
                    self.skip_space()?;
                    return if self.takes('}')? { Ok(fields) } else { self.unclosed() };
                }
                None => return Ok(fields),
            }
            self.takes(',')?;
        }
    }

    fn unclosed<T>(&self) -> Result<T, String> {
        self.error(format!("object expected closing RBRACE got: {}", self.token().0))
    }

    /// What follows keys: a value, or more keys and an object. Nothing if the value is missing at
    /// the end of the object that the keys are in.
    fn field(&mut self, depth: usize, keys: &[&str]) -> Result<Option<Value>, String> {
        if depth > MAX_DEPTH {
            return self.error("nested too deep");
        }
        if self.takes('=')? {
            if keys.len() > 1 {
                return self.error("nested object expected: LBRACE got: ASSIGN");
            }
            self.skip_space()?;
            if matches!(self.token().0, "EOF" | "RBRACE") && (depth > 0 || self.rest.is_empty()) {
                return Ok(None);
            }
            return self.value(depth + 1).map(Some);
        }
        if self.takes('{')? {
            return self.fields(depth + 1, End::Brace).map(|fields| Some(Value::Object(fields)));
        }
        match self.token().0 {
            "IDENT" | "STRING" | "BOOL" => {}
            "EOF" | "RBRACE" => {
                let keys = keys.join(" ");
                return self
                    .error(format!("key '{keys}' expected start of object ('{{') or assignment ('=')"));
            }
            "ILLEGAL" => return self.error("illegal character"),
            other => return self.error(format!("expected: IDENT | STRING | ASSIGN | LBRACE got: {other}")),
        }
        let label = self.key()?;
        let all: Vec<&str> = keys.iter().copied().chain([label.as_str()]).collect();
        let inner = self.field(depth + 1, &all)?;
        let mut object = Map::new();
        object.insert(label, inner.unwrap_or_default());
        Ok(Some(Value::Object(object)))
    }

    fn key(&mut self) -> Result<String, String> {
        if self.rest.starts_with('"') {
            return self.string();
        }
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return match self.token().0 {
                "ILLEGAL" => self.error("illegal character"),
                "ASSIGN" => self.error("no object keys found!"),
                "LBRACE" => self.error("expected: IDENT | STRING got: LBRACE"),
                other => self.error(format!("expected: IDENT | STRING | ASSIGN | LBRACE got: {other}")),
            };
        }
        let (key, _) = self.rest.split_at(end);
        let key = key.to_owned();
        self.skip(end);
        Ok(key)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return self.error("nested too deep");
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
        let word = self.word();
        let Some(value) = literal(word) else {
            let (kind, text) = self.token();
            return self.error(format!("Unknown token: {} {kind} {text}", self.place()));
        };
        self.skip(word.len());
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            if self.takes(']')? {
                return Ok(Value::Array(items));
            }
            match self.token().0 {
                kind @ ("EOF" | "IDENT" | "ASSIGN" | "RBRACE") => {
                    return self.error(format!("unexpected token while parsing list: {kind}"));
                }
                "ILLEGAL" if !self.rest.starts_with("<<") => return self.error("illegal character"),
                // Commas too many are no mistake.
                "COMMA" => {
                    self.takes(',')?;
                    continue;
                }
                _ => {}
            }
            items.push(self.value(depth)?);
            if !self.takes(',')? && !self.rest.starts_with(']') {
                let got = self.token().0;
                return self.error(format!("error parsing list, expected comma or list end, got: {got}"));
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
                            None => return self.error("illegal char escape"),
                        }
                    }
                    Some(other) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        self.error("literal not terminated")
    }

    /// `<<MARK` up to a line that is `MARK`; `<<-MARK` takes the common indentation away.
    fn heredoc(&mut self) -> Result<String, String> {
        let Some((first, body)) = self.rest.split_once('\n') else {
            return self.error("heredoc not terminated");
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
        self.error("heredoc not terminated")
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
        for (source, why) in [
            ("service {\n name = \n}", "At 3:2: object expected closing RBRACE got: EOF"),
            ("a {\n b = 1\n", "At 3:1: object expected closing RBRACE got: EOF"),
            ("a = \"x", "At 1:5: literal not terminated"),
            ("a = maybe", "At 1:5: Unknown token: 1:5 IDENT maybe"),
            ("a = }", "At 1:5: Unknown token: 1:5 RBRACE }"),
            ("a", "At 1:2: key 'a' expected start of object ('{') or assignment ('=')"),
            ("a { b c }", "At 1:9: key 'b c' expected start of object ('{') or assignment ('=')"),
            ("a b = 1", "At 1:6: nested object expected: LBRACE got: ASSIGN"),
            ("a 5", "At 1:3: expected: IDENT | STRING | ASSIGN | LBRACE got: NUMBER"),
            ("a = [1 2]", "At 1:8: error parsing list, expected comma or list end, got: NUMBER"),
            ("a = [x]", "At 1:6: unexpected token while parsing list: IDENT"),
            ("a = [1", "At 1:7: error parsing list, expected comma or list end, got: EOF"),
            ("{ a = 1", "At 1:1: expected: IDENT | STRING got: LBRACE"),
        ] {
            assert_eq!(
                parse(source).map_err(|error| error.replace(", At", "At")),
                Err(why.to_owned()),
                "{source}"
            );
        }
    }

    #[test]
    fn nesting_is_bounded() {
        for source in ["a {", "a = [", "a b ", "a \"b\" "] {
            assert!(parse(&source.repeat(100_000)).is_err(), "{source}");
        }
        let list = |depth: usize| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&list(MAX_DEPTH)).is_ok() && parse(&list(MAX_DEPTH + 1)).is_err());
    }

    /// A value as HCL; objects within lists and everything else JSON has.
    fn written(value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(key, value)| format!("{} = {}", json!(key), written(value)))
                    .collect();
                format!("{{ {} }}", fields.join("\n"))
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", "))
            }
            other => other.to_string(),
        }
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn pieces_of_the_language_never_panic(source in "[a-b\"{}\\[\\]=, \\n#/*<\\\\0-9-]{0,60}") {
            let _ = parse(&source);
        }

        #[test]
        fn arbitrary_text_never_panics(source in any::<String>()) {
            let _ = parse(&source);
        }

        #[test]
        fn what_json_can_say_reads_back(tree in trees()) {
            let source = format!("top = {}", written(&tree));
            prop_assert_eq!(parse(&source), Ok(json!({"top": tree})));
        }
    }
}
