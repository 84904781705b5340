//! One line of the log.

use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// A line, not yet written in either form.
pub(super) struct Line {
    time: String,
    level: Level,
    room: &'static str,
    message: String,
    fields: Vec<(&'static str, Value)>,
    text: Option<Bytes>,
    json: Option<Bytes>,
}

impl Line {
    pub(super) fn new(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let room = metadata.target().split("::").next().unwrap_or_default();
        let room = room.strip_prefix("lictor_").unwrap_or(room);
        let mut line = Self::blank(*metadata.level(), room);
        event.record(&mut line);
        line
    }

    /// A line that says how many others were lost.
    pub(super) fn lost(count: u64) -> Self {
        let mut line = Self::blank(Level::WARN, "agent");
        "log lines were lost".clone_into(&mut line.message);
        line.fields.push(("lines", Value::from(count)));
        line
    }

    fn blank(level: Level, room: &'static str) -> Self {
        let mut time = String::new();
        // Writing to a text never fails.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        Self { time, level, room, message: String::new(), fields: Vec::new(), text: None, json: None }
    }

    /// The line with its line feed.
    pub(super) fn written(&mut self, json: bool) -> Bytes {
        let known = if json { &self.json } else { &self.text };
        if let Some(known) = known {
            return known.clone();
        }
        let written = Bytes::from(if json { self.as_json() } else { self.as_text() });
        *(if json { &mut self.json } else { &mut self.text }) = Some(written.clone());
        written
    }

    fn as_text(&self) -> String {
        let level = match self.level {
            Level::TRACE => "[TRACE]",
            Level::DEBUG => "[DEBUG]",
            Level::INFO => "[INFO] ",
            Level::WARN => "[WARN] ",
            Level::ERROR => "[ERROR]",
        };
        let mut text = format!("{} {level} {}: {}", self.time, self.room, self.message);
        for (position, (name, value)) in self.fields.iter().enumerate() {
            text.push_str(if position == 0 { ": " } else { " " });
            text.push_str(name);
            text.push('=');
            match value {
                Value::String(value) if value.contains(char::is_whitespace) => {
                    text.push_str(&format!("{value:?}"));
                }
                Value::String(value) => text.push_str(value),
                other => text.push_str(&other.to_string()),
            }
        }
        text.push('\n');
        text
    }

    fn as_json(&self) -> String {
        let level = self.level.as_str().to_lowercase();
        let said = [("@level", level.as_str()), ("@message", &self.message), ("@module", self.room)];
        let mut object: Map<String, Value> =
            said.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
        object.insert("@timestamp".to_owned(), Value::from(self.time.as_str()));
        object.extend(self.fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        format!("{}\n", Value::Object(object))
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::from(format!("{value:?}")));
    }
}
