//! From files and flags to one validated configuration.
//!
//! Sources ([`source`], [`flags`]) become JSON trees; [`keys`] knows every key of the reference and
//! says of each whether it works here, is accepted without effect, or is refused; `decode` holds
//! every source against it; [`merge`] lays
//! later sources over earlier ones; [`runtime::RuntimeConfig`] is what the agent starts from. All
//! problems of one pass are reported together, in the wording that operators know.
//!
//! Nothing here opens a socket or looks at the machine: what depends on it stays unset.

mod decode;
mod deprecated;
pub mod flags;
mod hcl;
pub mod keys;
pub mod merge;
pub mod runtime;
pub mod settings;
pub mod source;

use std::path::PathBuf;

use serde_json::Value;

pub use runtime::{
    DnsConfig, GossipConfig, HttpConfig, LogConfig, Pace, PoolConfig, Ports, RecursorStrategy, RuntimeConfig,
    ScriptChecks, Soa, TelemetryConfig,
};
pub use source::Format;

/// Where a configuration comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// Files, and directories whose files are read in the order of their names.
    pub paths: Vec<PathBuf>,
    /// The format of files without a telling extension.
    pub format: Option<Format>,
    /// What flags say, laid over what files say.
    pub overrides: Vec<Value>,
    /// Pieces of HCL, laid over everything else.
    pub fragments: Vec<String>,
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
/// Every problem found: sources that cannot be read or parsed first, else invalid values.
pub fn load(sources: &Sources) -> Result<RuntimeConfig, Problems> {
    let mut gathered = Gathered::default();
    gathered.trees.push(runtime::defaults(sources.dev));
    // Of lists, what flags say comes before what files say; of anything else it outweighs it.
    let (lists, values): (Vec<&Value>, Vec<&Value>) =
        sources.overrides.iter().partition(|flag| is_list(flag));
    gathered.add_flags(&lists);
    match source::read_all(&sources.paths, sources.format) {
        Ok(files) => {
            for file in files {
                gathered.add(&file.path.display().to_string(), file.tree, file.format);
            }
        }
        Err(failed) => gathered.problems.extend(failed),
    }
    gathered.add_flags(&values);
    for (number, fragment) in sources.fragments.iter().enumerate() {
        let name = format!("flags-{number}.hcl");
        match source::parse(fragment, Format::Hcl) {
            Ok(tree) => gathered.add(&name, tree, Format::Hcl),
            Err(why) => gathered.problems.push(format!("failed to parse {name}: {why}")),
        }
    }
    gathered.merged()
}

/// What the sources have said so far.
#[derive(Default)]
struct Gathered {
    trees: Vec<Value>,
    warnings: Vec<String>,
    problems: Vec<String>,
}

impl Gathered {
    fn add(&mut self, name: &str, tree: Value, format: Format) {
        match decode::decode(tree, format) {
            Ok(decoded) => {
                self.warnings.extend(decoded.warnings);
                self.trees.push(decoded.tree);
            }
            Err(why) => self.problems.push(format!("failed to parse {name}: {why}")),
        }
    }

    fn add_flags(&mut self, flags: &[&Value]) {
        for flag in flags {
            let mut tree = (*flag).clone();
            if let Value::Object(fields) = &mut tree {
                self.warnings.extend(deprecated::translate(fields));
            }
            self.trees.push(tree);
        }
    }

    fn merged(mut self) -> Result<RuntimeConfig, Problems> {
        if !self.problems.is_empty() {
            return Err(Problems(self.problems));
        }
        let mut tree = self.trees.into_iter().fold(Value::Null, merge::merge);
        self.warnings.extend(deprecated::translate_merged(&mut tree));
        let unmet = keys::unmet(&tree);
        let mut config = RuntimeConfig::from_tree(tree).map_err(Problems)?;
        config.warnings.splice(0..0, self.warnings);
        config.unmet = unmet;
        Ok(config)
    }
}

/// Whether the one thing that a flag sets is a list.
fn is_list(tree: &Value) -> bool {
    match tree {
        Value::Object(fields) => fields.values().all(is_list),
        other => other.is_array(),
    }
}

#[cfg(test)]
mod tests;
