//! Which reference release this agent is compatible with, and which release of Lictor it is.

/// The release of the reference whose behaviour this agent reproduces.
pub const COMPATIBILITY: &str = "1.20.0";

/// Our own release.
pub const OWN: &str = env!("CARGO_PKG_VERSION");

/// The compatibility level with our own version as semantic-versioning build metadata.
pub const FULL: &str = concat!("1.20.0+lictor", env!("CARGO_PKG_VERSION"));
