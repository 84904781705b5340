//! The log: `<time> [LEVEL] <room>: <message>: key=value …`, or a JSON object a line.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, filter};

/// The words that name levels, from the most talkative on.
pub const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERR", "ERROR"];

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

/// Starts logging to standard output. Our own rooms log at `level`, libraries only what is worth a
/// warning, unless everything is asked for. A second call changes nothing.
pub fn start(level: Level, json: bool) {
    let libraries = if level == Level::TRACE { Level::TRACE } else { Level::WARN };
    let targets = filter::Targets::new()
        .with_default(libraries)
        .with_target("lictor", level)
        .with_targets(ROOMS.iter().map(|room| (format!("lictor_{room}"), level)));
    let layer = if json {
        tracing_subscriber::fmt::layer().json().flatten_event(true).boxed()
    } else {
        tracing_subscriber::fmt::layer().event_format(Lines).boxed()
    };
    // Only tests start logging twice in one process.
    let _ = tracing_subscriber::registry().with(layer.with_filter(targets)).try_init();
}

const ROOMS: [&str; 17] = [
    "acl",
    "agent",
    "checks",
    "cli",
    "config",
    "consensus",
    "dns",
    "gossip",
    "http",
    "local",
    "model",
    "rpc",
    "sandbox",
    "server",
    "store",
    "sys",
    "watch",
];

struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::TRACE => "[TRACE]",
            Level::DEBUG => "[DEBUG]",
            Level::INFO => "[INFO] ",
            Level::WARN => "[WARN] ",
            Level::ERROR => "[ERROR]",
        };
        let room = metadata.target().split("::").next().unwrap_or_default();
        let room = room.strip_prefix("lictor_").unwrap_or(room);
        write!(writer, " {level} {room}: ")?;
        let mut words = Words::default();
        event.record(&mut words);
        writer.write_str(&words.message)?;
        if !words.fields.is_empty() {
            write!(writer, ": {}", words.fields)?;
        }
        writeln!(writer)
    }
}

#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Words {
    fn add(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
            return;
        }
        if !self.fields.is_empty() {
            self.fields.push(' ');
        }
        self.fields.push_str(field.name());
        self.fields.push('=');
        if value.contains(char::is_whitespace) {
            self.fields.push_str(&format!("{value:?}"));
        } else {
            self.fields.push_str(value);
        }
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_have_the_form_that_operators_look_for() {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer().event_format(Lines).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "lictor_agent::reporter", check = %"web", why = "no answer", "Check is now critical");
        });
        let written = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let (_, line) = written.split_once(' ').unwrap();
        assert_eq!(line, "[WARN]  agent: Check is now critical: check=web why=\"no answer\"\n");
    }

    #[test]
    fn unknown_levels_are_answered_with_the_known_ones() {
        assert_eq!(level("warn"), Ok(Level::WARN));
        assert!(level("bogus").unwrap_err().contains("[TRACE DEBUG INFO WARN ERR ERROR]"));
    }
}
