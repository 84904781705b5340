//! Regular expressions that users write, and what is wrong with them in the words they know.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::ErrorKind;
use regex_syntax::ast::parse::Parser;

/// How much memory a compiled expression may take, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

/// Compiles an expression, which may match anywhere in a text.
///
/// # Errors
/// What is wrong with it, as Go's parser says it.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let compiled = RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build();
    compiled.map_err(|error| {
        let why = match error {
            regex::Error::CompiledTooBig(_) => format!("expression too large: `{pattern}`"),
            _ => describe(pattern),
        };
        format!("error parsing regexp: {why}")
    })
}

fn describe(pattern: &str) -> String {
    let Err(error) = Parser::new().parse(pattern) else {
        return format!("invalid or unsupported Perl syntax: `{pattern}`");
    };
    let from = pattern.get(error.span().start.offset..).unwrap_or_default();
    let part = pattern.get(error.span().start.offset..error.span().end.offset).unwrap_or_default();
    match error.kind() {
        ErrorKind::ClassUnclosed => format!("missing closing ]: `{from}`"),
        ErrorKind::ClassRangeInvalid => format!("invalid character class range: `{part}`"),
        ErrorKind::GroupUnclosed => format!("missing closing ): `{pattern}`"),
        ErrorKind::GroupUnopened => format!("unexpected ): `{pattern}`"),
        ErrorKind::RepetitionMissing => {
            format!("missing argument to repetition operator: `{}`", from.get(..1).unwrap_or_default())
        }
        ErrorKind::RepetitionCountInvalid => format!("invalid repeat count: `{part}`"),
        ErrorKind::EscapeUnexpectedEof => "trailing backslash at end of expression: ``".to_owned(),
        ErrorKind::EscapeUnrecognized => format!("invalid escape sequence: `{part}`"),
        _ => format!("invalid or unsupported Perl syntax: `{part}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_in_the_words_of_go() {
        for (pattern, why) in [
            ("[", "missing closing ]: `[`"),
            ("ab[cd", "missing closing ]: `[cd`"),
            ("[b-a]", "invalid character class range: `b-a`"),
            ("a(b", "missing closing ): `a(b`"),
            ("a)b", "unexpected ): `a)b`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("\\y", "invalid escape sequence: `\\y`"),
        ] {
            let error = compile(pattern).unwrap_err();
            assert_eq!(error, format!("error parsing regexp: {why}"), "{pattern}");
        }
        assert!(compile("(a{1000}){1000}").unwrap_err().contains("too large"));
        assert!(compile("^we").unwrap().is_match("web"));
    }
}
