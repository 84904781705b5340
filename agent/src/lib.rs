//! One agent out of the rooms.
//!
//! [`run`] reads the configuration, builds the agent ([`compose`]), waits for a signal and takes
//! it apart again. The modules are the seams between rooms: [`backend`] answers the edges,
//! [`registrar`] brings definitions to local state, files and scheduler, [`sync`] keeps the catalog
//! true, [`reporter`] carries what checks say, [`reload`] and [`watch_files`] take up a changed
//! configuration, [`logs`] and [`notify`] tell the machine's operators. None of them decides anything that a room could.

mod aliases;
pub mod backend;
mod banner;
mod cache;
pub mod compose;
mod coordinates;
mod describe;
mod dns;
mod edges;
mod events;
mod figures;
mod identity;
mod joining;
mod logs;
mod measure;
mod notify;
mod parts;
mod plugins;
mod pools;
mod reaper;
mod registrar;
mod reload;
mod reporter;
mod serving;
mod signals;
mod sync;
mod timed;
mod upstream;
mod watch_files;

use std::process::ExitCode;

use lictor_config::RuntimeConfig;
use lictor_telemetry::log::Log;
use notify::Phase;

/// Why the agent did not start. The message is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl StartError {
    /// A place on disk that cannot be used, and what to do about it.
    fn unusable(path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let advice = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                "make room on the disk and start the agent again"
            }
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                "let the agent's user write there, or set -data-dir to another place"
            }
            _ => "set -data-dir to a directory that the agent's user may write to",
        };
        Self(format!("data_dir {}: {error}; {advice}", path.display()))
    }

    fn new(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// Runs an agent until it is told to stop.
///
/// # Errors
/// If it cannot start.
pub async fn run(config: RuntimeConfig, sources: lictor_config::Sources) -> Result<ExitCode, StartError> {
    if !config.unmet.refused.is_empty() {
        return Err(StartError(config.unmet.refused.join("\n")));
    }
    let log = logs::start(&config)?;
    let ended = run_with(config, sources, log.clone()).await;
    log.close();
    ended
}

async fn run_with(
    config: RuntimeConfig,
    sources: lictor_config::Sources,
    log: Log,
) -> Result<ExitCode, StartError> {
    let mut signals = signals::Signals::new().map_err(|error| StartError::new("signals", error))?;
    let (mut agent, orders) = compose::Agent::start(config, sources, log).await?;
    notify::tell(Phase::Ready);
    let ending = agent.until_told(&mut signals, orders).await;
    notify::tell(Phase::Stopping);
    Ok(agent.stop(ending).await)
}

/// Says what a server with this data directory would do on its next start, if `peers.json` in it
/// says which servers there are to be.
///
/// # Errors
/// Why it could not do so.
pub fn rehearse_recovery(data_dir: &std::path::Path) -> Result<String, String> {
    let rehearsed = lictor_consensus::rehearse(&data_dir.join("raft"));
    rehearsed.map(|recovery| recovery.to_string()).map_err(|error| error.to_string())
}
