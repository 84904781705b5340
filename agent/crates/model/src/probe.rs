//! What a check's program is given, what it finds, and who runs it.
//!
//! The scheduler knows only these types: it does not know that programs are WebAssembly
//! components, and the sandbox does not know when or why it is asked to run one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::Status;
use crate::error::Result;

/// A program with everything a user wrote down for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// File name of the component, such as `http_check.wasm`; the suffix may be left out for a
    /// built-in one.
    pub name: String,
    /// Who wrote the definition: only files on disk may name paths with separators.
    pub origin: Origin,
    /// Its configuration, an object that must meet the program's schema.
    pub config: Value,
    /// What it may do beyond its default grant; `null` for nothing.
    pub allow: Value,
    /// How many bytes of output are kept.
    pub output_limit: usize,
}

/// Where a definition came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A configuration file on the agent's own disk.
    File,
    /// The HTTP API.
    Api,
}

/// What a check looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The node's name.
    pub node: String,
    /// The node's datacenter.
    pub datacenter: String,
    /// The service instance; empty for a check of the node.
    pub service_id: String,
    /// The service's name.
    pub service_name: String,
    /// The service's address, or else the node's.
    pub address: String,
    /// The service's port; 0 for none.
    pub port: u16,
    /// The service's tags.
    pub tags: Vec<String>,
    /// The service's metadata.
    pub meta: BTreeMap<String, String>,
}

/// What a program found out about its target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// How the target is.
    pub status: Status,
    /// One line for people.
    pub summary: String,
    /// More of it, such as a response body; may be empty and still worth a separator.
    pub detail: Option<String>,
    /// What it measured.
    pub metrics: Vec<Metric>,
}

/// A figure a program measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In which unit, such as `s` or `bytes`; empty for plain numbers.
    pub unit: String,
    /// From where on it is worth a warning.
    pub warning: Option<f64>,
    /// From where on it is critical.
    pub critical: Option<f64>,
}

/// Why a program could not look at its target at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blindness {
    /// It asked for something that is not granted.
    Denied,
    /// It broke one of its limits.
    Limit,
    /// It crashed.
    Trap,
    /// It reported that it could not do its work.
    Fault,
    /// The host failed.
    Host,
}

impl Blindness {
    /// The word that outputs and metrics use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Limit => "limit",
            Self::Trap => "trap",
            Self::Fault => "fault",
            Self::Host => "host",
        }
    }
}

/// What one run came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// It looked, and this is what it saw.
    Verdict(Verdict),
    /// It could not look; says nothing about the target.
    Unknown {
        /// The kind of reason.
        reason: Blindness,
        /// The reason for people, naming the limit, the call or the address.
        message: String,
    },
    /// The pool of the agent was full and the run did not start; it is late, nothing else.
    Late,
}

/// Facts about a prepared program, fixed until it is prepared anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProbeFacts {
    /// The component's own name.
    pub plugin: String,
    /// The component's own version.
    pub version: String,
    /// SHA-256 over the component, in hex.
    pub digest: String,
    /// What it may do, one grant a line, such as `http 127.0.0.1:8080`.
    pub grants: Vec<String>,
}

/// A program that is loaded, configured and granted, ready to run.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// What it is and what it may do.
    fn facts(&self) -> &ProbeFacts;

    /// Runs it once, for at most `timeout` of wall-clock time.
    async fn run(&self, timeout: Duration) -> Finding;

    /// How long the last run took, by whoever did it: to whoever waited for it, it may have taken
    /// longer.
    fn last_took(&self) -> Duration;
}

/// Whoever can run programs.
#[async_trait]
pub trait CheckRunner: Send + Sync + 'static {
    /// Loads the program, validates its configuration and works out its grants.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::Code::InvalidArgument) naming the field if the program does not
    /// exist, is no health check, or refuses its configuration; the operator's bounds likewise.
    async fn prepare(&self, program: &Program, target: &Target) -> Result<Arc<dyn Probe>>;
}
