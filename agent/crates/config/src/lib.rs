//! From files and flags to one validated configuration.
//!
//! Sources ([`source`], [`flags`]) become JSON trees; [`keys`] knows every key of the reference and
//! says of each whether it works here, is accepted without effect, or is refused; [`merge`] lays
//! later sources over earlier ones; [`runtime::RuntimeConfig`] is what the agent starts from. All
//! problems of one pass are reported together, in the wording that operators know.
//!
//! Nothing here opens a socket or looks at the machine: what depends on it stays unset.

pub mod flags;
mod hcl;
pub mod keys;
pub mod merge;
pub mod runtime;
pub mod source;

use std::path::PathBuf;

use serde_json::Value;

pub use runtime::{
    DnsConfig, HttpConfig, Ports, RecursorStrategy, RuntimeConfig, ScriptChecks, Soa, TelemetryConfig,
};
pub use source::Format;

/// Where a configuration comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// Files, and directories whose files are read in the order of their names.
    pub paths: Vec<PathBuf>,
    /// The format of files without a telling extension.
    pub format: Option<Format>,
    /// What flags say, laid over everything else.
    pub overrides: Vec<Value>,
    /// The defaults of `-dev`.
    pub dev: bool,
}

/// What is wrong with a configuration, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Reads, merges and validates a configuration.
///
/// # Errors
/// Every problem found: files that cannot be read or parsed first, else invalid values.
pub fn load(sources: &Sources) -> Result<RuntimeConfig, Problems> {
    let mut trees = vec![runtime::defaults(sources.dev)];
    let mut warnings = Vec::new();
    let mut problems = Vec::new();
    match source::read_all(&sources.paths, sources.format) {
        Ok(files) => {
            for file in files {
                match keys::check(&file.tree) {
                    Ok(noticed) => warnings.extend(noticed),
                    Err(unknown) => problems.push(format!(
                        "failed to parse {}: {}",
                        file.path.display(),
                        keys::describe_unknown(&unknown)
                    )),
                }
                trees.push(file.tree);
            }
        }
        Err(failed) => problems.extend(failed),
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    for flag in &sources.overrides {
        warnings.extend(keys::check(flag).unwrap_or_default());
        trees.push(flag.clone());
    }
    let merged = trees.into_iter().fold(Value::Null, merge::merge);
    let broken_promises = keys::broken_promises(&merged);
    if !broken_promises.is_empty() {
        return Err(Problems(broken_promises));
    }
    let mut config = RuntimeConfig::from_tree(merged).map_err(Problems)?;
    config.warnings.splice(0..0, warnings);
    Ok(config)
}

#[cfg(test)]
mod tests;
