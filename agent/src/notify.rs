//! Tells the service manager how far the agent is.

use lictor_sys::datagram;

/// Where the service manager listens, if it wants to know.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// What the service manager may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Requests are answered.
    Ready,
    /// The configuration is read again; `Ready` follows.
    Reloading,
    /// The agent ends.
    Stopping,
}

/// Says it, if somebody listens.
pub(crate) fn tell(phase: Phase) {
    let Some(path) = std::env::var_os(VARIABLE).and_then(|path| path.into_string().ok()) else { return };
    let word = match phase {
        Phase::Ready => "READY=1",
        Phase::Reloading => "RELOADING=1",
        Phase::Stopping => "STOPPING=1",
    };
    if let Err(error) = datagram::send(&path, word.as_bytes()) {
        tracing::warn!(%error, word, "the service manager could not be told");
    }
}
