//! `lictor:plugin/log`.

use wasmtime::Result;

use crate::bindings::log::{Host, Level};
use crate::state::RunState;

/// How much of a line is kept.
const LINE: usize = 1024;

impl Host for RunState {
    async fn write(&mut self, level: Level, message: String) -> Result<()> {
        self.count_log_line()?;
        let mut message = message;
        message.truncate(message.floor_char_boundary(LINE));
        let plugin = &*self.plugin;
        match level {
            Level::Trace => tracing::trace!(plugin, "{message}"),
            Level::Debug => tracing::debug!(plugin, "{message}"),
            Level::Info => tracing::info!(plugin, "{message}"),
            Level::Warn => tracing::warn!(plugin, "{message}"),
            Level::Error => tracing::error!(plugin, "{message}"),
        }
        Ok(())
    }
}
