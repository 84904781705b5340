//! What commands print.

use serde::Serialize;
use serde_json::Value;

use crate::flags::Parsed;

/// What a command came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// For standard output.
    pub stdout: Vec<u8>,
    /// For standard error.
    pub stderr: String,
    /// The exit status.
    pub code: u8,
}

impl Output {
    /// A success with this text; a line feed is added.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        Self { stdout: text.into_bytes(), ..Self::default() }
    }

    /// A success with these bytes.
    #[must_use]
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self { stdout: bytes, ..Self::default() }
    }

    /// A failure with this text; a line feed is added.
    #[must_use]
    pub fn error(text: impl Into<String>, code: u8) -> Self {
        let mut text: String = text.into();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        Self { stderr: text, code, ..Self::default() }
    }

    /// How to use a command, since it was not used so.
    #[must_use]
    pub fn usage(text: impl Into<String>, code: u8) -> Self {
        Self::error(text, code)
    }

    /// A success with a note for the user beside it.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.stderr = note.into();
        self.stderr.push('\n');
        self
    }

    /// The data if `-format=json` was given, else the text.
    pub fn formatted(parsed: &Parsed, data: &impl Serialize, text: impl FnOnce() -> Self) -> Self {
        if parsed.get("format") == "json" {
            let data = serde_json::to_value(data).unwrap_or(Value::Null);
            Self::text(format!("{data:#}"))
        } else {
            text()
        }
    }
}

/// Whether the format asked for, if any, is one there is: seen before anything is done.
pub(crate) fn known_format(parsed: &Parsed) -> Result<(), Output> {
    match parsed.get("format") {
        "" | "table" | "pretty" | "json" => Ok(()),
        other => Err(Output::error(format!("Unknown format: {other}"), 1)),
    }
}

/// Rows as columns that line up, two blanks between them.
#[must_use]
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells: String =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
            cells.trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}
