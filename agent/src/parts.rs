//! The parts of an agent, each as its configuration wants it.

use std::path::PathBuf;

use lictor_config::{RuntimeConfig, ScriptChecks};
use lictor_gossip::MemberEvent;
use lictor_local::persist::{Files, Saved};
use lictor_sandbox::{Bounds, ExecPolicy, SandboxConfig};
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::measure::Members;

pub(crate) fn open_files(config: &RuntimeConfig) -> Result<Option<Files>, StartError> {
    config
        .data_dir
        .as_ref()
        .map(|data_dir| Files::open(data_dir).map_err(|error| StartError::unusable(data_dir, &error)))
        .transpose()
}

/// Everything that was saved before a restart.
pub(crate) async fn load_saved(files: Option<Files>) -> Result<Saved, StartError> {
    let Some(files) = files else { return Ok(Saved::default()) };
    let loaded = tokio::task::spawn_blocking(move || files.load()).await;
    let saved = loaded
        .map_err(|error| StartError::new("data_dir", error))?
        .map_err(|error| StartError::new("data_dir", error))?;
    for (path, why) in &saved.unreadable {
        tracing::error!(path = %path.display(), %why, "a saved registration cannot be read");
    }
    Ok(saved)
}

pub(crate) fn sandbox_config(config: &RuntimeConfig) -> SandboxConfig {
    let list = |key: &str| -> Vec<String> {
        let items = config.plugin_bounds.get(key).and_then(|items| items.as_array());
        items.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let bounds = Bounds {
        http: list("http"),
        tcp: list("tcp"),
        udp: list("udp"),
        tls: list("tls"),
        dns: list("dns"),
        redirects: config
            .plugin_bounds
            .get("redirects")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or(false),
    };
    let cache_dir = match &config.data_dir {
        Some(data_dir) => Some(data_dir.join("plugin-cache")),
        None => user_cache_dir(),
    };
    SandboxConfig {
        plugin_dir: config.plugin_dir.clone(),
        cache_dir,
        bounds,
        exec: match config.script_checks {
            ScriptChecks::Nobody => ExecPolicy::Never,
            ScriptChecks::Files => ExecPolicy::Files,
            ScriptChecks::Anyone => ExecPolicy::Anyone,
        },
        ..SandboxConfig::default()
    }
}

/// Where compiled components are kept for agents without a data directory.
fn user_cache_dir() -> Option<PathBuf> {
    let from =
        |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache"))).map(|cache| cache.join("lictor"))
}

pub(crate) async fn log_members(
    mut events: tokio::sync::broadcast::Receiver<MemberEvent>,
    members: Members,
    stop: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(event) => {
                members.count(&event);
                let word = match &event {
                    MemberEvent::Join(_) => "Join",
                    MemberEvent::Leave(_) => "Leave",
                    MemberEvent::Failed(_) => "Failed",
                    MemberEvent::Update(_) => "Update",
                    MemberEvent::Reap(_) => "Reap",
                };
                let member = event.member();
                tracing::info!("EventMember{word}: {} {}", member.name, member.addr);
            }
            Err(tokio::sync::broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "member events were missed by the log");
            }
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}
