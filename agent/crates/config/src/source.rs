//! Configuration files.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
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
    /// How it is written.
    pub format: Format,
    /// What it says.
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
    fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut content)).map_err(
        |error| format!("config: Open failed on {}. {}", path.display(), describe("open", path, &error)),
    )?;
    let failed = |why: String| format!("failed to parse {}: {why}", path.display());
    if content.len() as u64 > MAX_FILE {
        return Err(failed(format!("the file is larger than {MAX_FILE} bytes")));
    }
    let tree = parse(&content, format).map_err(failed)?;
    Ok(SourceFile { path: path.to_owned(), format, tree })
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
    if tree.is_object() { Ok(tree) } else { Err("expected an object at the top level".to_owned()) }
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

/// What tells whether files are still as they were: their paths, sizes and times.
pub type Seen = Vec<(PathBuf, u64, Option<std::time::SystemTime>, u64)>;

/// Looks at files, and at the files of directories, without reading them.
#[must_use]
pub fn look(paths: &[PathBuf]) -> Seen {
    let mut seen = Seen::new();
    for path in paths {
        look_at(path, &mut seen);
        if let Ok(entries) = fs::read_dir(path) {
            for entry in entries.flatten().filter(|entry| format_of(&entry.path()).is_some()) {
                look_at(&entry.path(), &mut seen);
            }
        }
    }
    seen.sort();
    seen
}

fn look_at(path: &Path, seen: &mut Seen) {
    // A file that is gone is one that is not seen; a directory counts by what is in it.
    if let Ok(found) = fs::metadata(path)
        && !found.is_dir()
    {
        seen.push((path.to_owned(), found.len(), found.modified().ok(), found.ino()));
    }
}
