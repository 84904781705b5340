//! The log: `<time> [LEVEL] <room>: <message>: key=value …`, or a JSON object a line.
//!
//! Every line goes to standard output, to the [sinks](Sink) (files and the like, each with a thread
//! and a bounded queue of its own), and to whoever watches ([`Log::watch`]). Nobody who logs ever
//! waits for a sink or a watcher: what they cannot take is lost and counted.

mod line;
mod sink;
mod watch;

use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use line::Line;
pub use sink::{Sink, WriteLine};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
pub use watch::Lines;
use watch::Watchers;

/// The words that name levels, from the most talkative on.
pub const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERR", "ERROR"];

/// How long sinks may take to write what is left at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A level by its name.
///
/// # Errors
/// A message that lists the names.
pub fn level(name: &str) -> Result<Level, String> {
    match name.to_uppercase().as_str() {
        "TRACE" => Ok(Level::TRACE),
        "DEBUG" => Ok(Level::DEBUG),
        "INFO" => Ok(Level::INFO),
        "WARN" => Ok(Level::WARN),
        "ERR" | "ERROR" => Ok(Level::ERROR),
        _ => Err(format!("Invalid log level: {name}. Valid log levels are: [{}]", LEVELS.join(" "))),
    }
}

/// The log of this process. Clones are the same log.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    /// What is logged, as a [`rank`].
    level: AtomicU8,
    json: bool,
    /// Whether standard output takes the lines.
    prints: bool,
    sinks: RwLock<Vec<Sink>>,
    watchers: Watchers,
}

impl Log {
    /// Starts logging at a level to standard output and to `sinks`. A second call in one process
    /// gives a log that nobody writes to.
    #[must_use]
    pub fn start(level: Level, json: bool, sinks: Vec<Sink>) -> Self {
        let log = Self::new(level, json, true, sinks);
        // Only tests start logging twice in one process.
        let _ = tracing_subscriber::registry().with(log.layer()).try_init();
        log
    }

    fn new(level: Level, json: bool, prints: bool, sinks: Vec<Sink>) -> Self {
        let level = AtomicU8::new(rank(level));
        let (sinks, watchers) = (RwLock::new(sinks), Watchers::default());
        Self(Arc::new(Shared { level, json, prints, sinks, watchers }))
    }

    fn layer(&self) -> Writer {
        Writer(Arc::clone(&self.0))
    }

    /// Changes what is logged from now on.
    pub fn set_level(&self, level: Level) {
        self.0.level.store(rank(level), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    /// The lines from now on, at a level of their own. Who does not read them in time loses some
    /// and finds a line that says how many.
    #[must_use]
    pub fn watch(&self, level: Level, json: bool) -> Lines {
        let lines = self.0.watchers.add(level, json);
        tracing::callsite::rebuild_interest_cache();
        lines
    }

    /// Ends the sinks once they have written what is left, or after a moment.
    pub fn close(&self) {
        let sinks = std::mem::take(&mut *self.0.sinks.write().unwrap_or_else(PoisonError::into_inner));
        for sink in sinks {
            sink.close(CLOSE_TIMEOUT);
        }
    }
}

/// Levels as numbers: the more, the more is logged.
fn rank(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// Our own rooms log at the level, libraries only what is worth a warning, unless everything is
/// asked for. openraft warns of a peer that is away several times a second; what of that concerns
/// an operator, `lictor_consensus` says once.
fn is_worth(metadata: &Metadata<'_>, level: u8) -> bool {
    let target = metadata.target();
    let limit = match level {
        _ if target.starts_with("lictor") || level == rank(Level::TRACE) => level,
        _ if target.starts_with("openraft") => level.min(rank(Level::ERROR)),
        _ => level.min(rank(Level::WARN)),
    };
    rank(*metadata.level()) <= limit
}

struct Writer(Arc<Shared>);

impl Writer {
    /// The most talkative level that somebody wants.
    fn most(&self) -> u8 {
        self.0.level.load(Ordering::Relaxed).max(self.0.watchers.most())
    }
}

impl<S: Subscriber> Layer<S> for Writer {
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        metadata.is_event() && is_worth(metadata, self.most())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.most() {
            0 | 1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let shared = &self.0;
        let mut line = Line::new(event);
        if is_worth(event.metadata(), shared.level.load(Ordering::Relaxed)) {
            let written = line.written(shared.json);
            if shared.prints {
                // A closed standard output is no reason not to run.
                let _ = std::io::stdout().lock().write_all(&written);
            }
            for sink in shared.sinks.read().unwrap_or_else(PoisonError::into_inner).iter() {
                sink.take(*event.metadata().level(), &written);
            }
        }
        shared.watchers.take(&mut line, |level| is_worth(event.metadata(), level));
    }
}

#[cfg(test)]
mod tests;
