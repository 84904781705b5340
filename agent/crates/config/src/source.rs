//! Configuration files.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::hcl;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// HCL.
    Hcl,
}

/// A file as a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says. Definitions that can appear singly (`service`, `check`) have been moved into
    /// the lists of their kind, so that several files can each have one.
    pub tree: Value,
}

/// Reads files, and the files of directories in the order of their names.
///
/// # Errors
/// A message for every path that cannot be read or parsed.
pub fn read_all(paths: &[PathBuf], format: Option<Format>) -> Result<Vec<SourceFile>, Vec<String>> {
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        match read_path(path, format) {
            Ok(found) => files.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

fn read_path(path: &Path, format: Option<Format>) -> Result<Vec<SourceFile>, String> {
    let cannot_open = |error: io::Error| {
        format!("config: Open failed on {}. {}", path.display(), describe("open", path, &error))
    };
    if !fs::metadata(path).map_err(cannot_open)?.is_dir() {
        let known = format_of(path).or(format).ok_or_else(|| {
            format!(
                "file {} has unknown extension; must be .hcl or .json, or config format must be set",
                path.display()
            )
        })?;
        // A format that is given outweighs the extension.
        return Ok(vec![read_file(path, format.unwrap_or(known))?]);
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(cannot_open)?;
    entries.sort();
    entries
        .into_iter()
        .filter(|entry| !entry.is_dir())
        .filter_map(|entry| {
            let known = format_of(&entry).or(format)?;
            Some(read_file(&entry, format.unwrap_or(known)))
        })
        .collect()
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "json" => Some(Format::Json),
        "hcl" => Some(Format::Hcl),
        _ => None,
    }
}

fn read_file(path: &Path, format: Format) -> Result<SourceFile, String> {
    let mut content = String::new();
    fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut content)).map_err(
        |error| format!("config: Open failed on {}. {}", path.display(), describe("open", path, &error)),
    )?;
    let tree = parse(&content, format).map_err(|why| format!("failed to parse {}: {why}", path.display()))?;
    Ok(SourceFile { path: path.to_owned(), tree })
}

fn describe(action: &str, path: &Path, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    format!("{action} {}: {why}", path.display())
}

/// Parses a configuration.
///
/// # Errors
/// What is wrong, without the file's name.
pub fn parse(content: &str, format: Format) -> Result<Value, String> {
    if content.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let tree = match format {
        Format::Json => parse_json(content)?,
        // JSON is read under either name.
        Format::Hcl if content.trim_start().starts_with('{') => parse_json(content)?,
        Format::Hcl => hcl::parse(content)?,
    };
    match tree {
        Value::Object(fields) => gather_definitions(fields).map(Value::Object),
        _ => Err("expected an object at the top level".to_owned()),
    }
}

fn parse_json(content: &str) -> Result<Value, String> {
    serde_json::from_str(content).map_err(|error| json_error(&error, content))
}

/// The parser's complaint in the words of Go's, where it has some for it.
fn json_error(error: &serde_json::Error, content: &str) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let line = content.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    match line.chars().nth(error.column().saturating_sub(1)) {
        Some(found) if error.is_syntax() => {
            let place = if error.to_string().contains("key must be a string") {
                "looking for beginning of object key string"
            } else {
                "looking for beginning of value"
            };
            format!("invalid character {found:?} {place}")
        }
        _ => error.to_string(),
    }
}

fn gather_definitions(mut fields: Map<String, Value>) -> Result<Map<String, Value>, String> {
    for (single, many) in [("service", "services"), ("check", "checks")] {
        let definition = match fields.remove(single) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(_)) => {
                return Err(format!("1 error(s) decoding:\n\n* '{single}' expected a map, got 'slice'"));
            }
            Some(definition) => definition,
        };
        let list = fields.entry(many).or_insert_with(|| Value::Array(Vec::new()));
        if list.is_object() {
            *list = Value::Array(vec![list.take()]);
        }
        // A list that is none is reported by its reader.
        if let Value::Array(list) = list {
            list.push(definition);
        }
    }
    // A single HCL block of a kind that is a list reads as an object.
    for many in ["services", "checks"] {
        if let Some(single @ Value::Object(_)) = fields.get_mut(many) {
            *single = Value::Array(vec![single.take()]);
        }
    }
    Ok(fields)
}
