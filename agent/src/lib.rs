//! One agent out of the rooms.
//!
//! [`run`] reads the configuration, builds the agent ([`compose`]), waits for a signal and takes
//! it apart again. The modules are the seams between rooms: [`backend`] answers the edges,
//! [`registrar`] brings definitions to local state, files and scheduler, [`sync`] keeps the catalog
//! true, [`reporter`] carries what checks say. None of them decides anything that a room could.

mod aliases;
pub mod backend;
mod banner;
mod cache;
pub mod compose;
mod describe;
mod dns;
mod edges;
mod figures;
mod identity;
mod measure;
mod plugins;
mod reaper;
mod registrar;
mod reporter;
mod signals;
mod sync;
mod timed;

use std::process::ExitCode;

use lictor_config::RuntimeConfig;

/// Why the agent did not start. The message is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl StartError {
    fn new(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// Runs an agent until it is told to stop.
///
/// # Errors
/// If it cannot start.
pub async fn run(config: RuntimeConfig, sources: lictor_config::Sources) -> Result<ExitCode, StartError> {
    let level = lictor_telemetry::log::level(&config.log_level).map_err(StartError)?;
    lictor_telemetry::log::start(level, config.log_json);
    let mut signals = signals::Signals::new().map_err(|error| StartError::new("signals", error))?;
    let (mut agent, orders) = compose::Agent::start(config, sources).await?;
    let ending = agent.until_told(&mut signals, orders).await;
    Ok(agent.stop(ending).await)
}
