//! Regular expressions that users write, and what is wrong with them in the words they know.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{self, ErrorKind};

/// How much memory a compiled expression may take, in bytes, where nothing else is said; its lazily
/// built automaton may take as much.
const SIZE_LIMIT: usize = 1 << 20;

/// Compiles an expression, which may match anywhere in a text.
///
/// # Errors
/// What is wrong with it, as Go's parser says it.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    compile_within(pattern, SIZE_LIMIT)
}

/// [`compile`] for an expression that may take so many bytes of memory.
///
/// # Errors
/// What is wrong with it, as Go's parser says it.
pub(crate) fn compile_within(pattern: &str, size_limit: usize) -> Result<Regex, String> {
    let compiled = RegexBuilder::new(pattern).size_limit(size_limit).dfa_size_limit(size_limit).build();
    compiled.map_err(|error| {
        let why = match error {
            regex::Error::CompiledTooBig(_) => format!("expression too large: `{pattern}`"),
            other => match Parser::new().parse(pattern) {
                Err(error) => mistake(pattern, &error),
                // It is well formed, but names what there is not.
                Ok(_) => format!("{}: `{pattern}`", last_line(&other.to_string())),
            },
        };
        format!("error parsing regexp: {why}")
    })
}

/// What is wrong with an expression, in the words of Go's parser.
fn mistake(pattern: &str, error: &ast::Error) -> String {
    let span = error.span();
    let from = |start: usize| pattern.get(start..).unwrap_or(pattern);
    let part = pattern.get(span.start.offset..span.end.offset).unwrap_or(pattern);
    let (why, place) = match error.kind() {
        ErrorKind::GroupUnclosed => ("missing closing )", pattern),
        ErrorKind::GroupUnopened => ("unexpected )", pattern),
        ErrorKind::ClassUnclosed => ("missing closing ]", from(span.start.offset)),
        ErrorKind::ClassRangeInvalid => ("invalid character class range", part),
        ErrorKind::RepetitionMissing => {
            let operator = from(span.start.offset);
            let end = operator.chars().next().map_or(0, char::len_utf8);
            ("missing argument to repetition operator", operator.get(..end).unwrap_or(operator))
        }
        ErrorKind::RepetitionCountInvalid => ("invalid repeat count", part),
        ErrorKind::EscapeUnexpectedEof => ("trailing backslash at end of expression", ""),
        ErrorKind::EscapeUnrecognized | ErrorKind::UnsupportedBackreference => {
            ("invalid escape sequence", part)
        }
        ErrorKind::UnsupportedLookAround | ErrorKind::FlagUnrecognized => {
            ("invalid or unsupported Perl syntax", part)
        }
        ErrorKind::GroupNameEmpty | ErrorKind::GroupNameInvalid | ErrorKind::GroupNameUnexpectedEof => {
            ("invalid named capture", pattern)
        }
        other => return format!("{other}: `{pattern}`"),
    };
    format!("{why}: `{place}`")
}

/// Where it says what is wrong; what stands before points to the place.
fn last_line(error: &str) -> &str {
    error.lines().last().map_or(error, |line| line.strip_prefix("error: ").unwrap_or(line))
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
            ("\\1", "invalid escape sequence: `\\1`"),
            ("a(?=b)", "invalid or unsupported Perl syntax: `(?=`"),
            ("\\p{Nope}", "Unicode property not found: `\\p{Nope}`"),
            ("\\y", "invalid escape sequence: `\\y`"),
        ] {
            let error = compile(pattern).unwrap_err();
            assert_eq!(error, format!("error parsing regexp: {why}"), "{pattern}");
        }
        assert!(compile("(a{1000}){1000}").unwrap_err().contains("too large"));
        let large = "a{500}".repeat(20);
        assert!(compile(&large).is_ok());
        assert!(compile_within(&large, 1 << 10).unwrap_err().contains("too large"));
        assert!(compile("^we").unwrap().is_match("web"));
    }
}
