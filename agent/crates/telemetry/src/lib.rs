//! What the agent says about itself while it runs: log lines and figures.
//!
//! [`log`] writes lines in the form that operators of the reference grep for; [`metrics`]
//! counts and measures, and writes what came of it. Nothing here decides what is worth saying, and no token
//! may ever reach it.

pub mod log;
pub mod metrics;
