//! Where the log goes beside standard output: a file, and the system's log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lictor_config::{LogConfig, RuntimeConfig};
use lictor_sys::clock::{Clock, SystemClock};
use lictor_sys::datagram;
use lictor_sys::rotate::{RotatingFile, Rotation};
use lictor_telemetry::log::{self, Log, Sink};
use tracing::Level;

use crate::StartError;

/// The file's name if only its directory is given.
const FILE_NAME: &str = "consul.log";
/// Where the system's log listens.
const SYSLOG: &str = "/dev/log";
/// The name of the program in the system's log.
const TAG: &str = "consul";
/// What may write to the system's log, in the order of the numbers that stand for it there.
const FACILITIES: [&str; 24] = [
    "KERN",
    "USER",
    "MAIL",
    "DAEMON",
    "AUTH",
    "SYSLOG",
    "LPR",
    "NEWS",
    "UUCP",
    "CRON",
    "AUTHPRIV",
    "FTP",
    "NTP",
    "SECURITY",
    "CONSOLE",
    "SOLARIS-CRON",
    "LOCAL0",
    "LOCAL1",
    "LOCAL2",
    "LOCAL3",
    "LOCAL4",
    "LOCAL5",
    "LOCAL6",
    "LOCAL7",
];

/// Starts the log as the configuration says.
pub(crate) fn start(config: &RuntimeConfig) -> Result<Log, StartError> {
    let config = &config.log;
    let level = log::level(&config.level).map_err(StartError)?;
    let mut sinks = Vec::new();
    if let Some(path) = &config.file {
        sinks.push(to_file(config, path)?);
    }
    if config.syslog {
        sinks.push(to_syslog(config)?);
    }
    Ok(Log::start(level, config.json, sinks))
}

fn to_file(config: &LogConfig, path: &Path) -> Result<Sink, StartError> {
    let path = file_path(path);
    let failed = |error: io::Error| {
        StartError(format!(
            "Failed to setup logging: {}: {error}; set -log-file to where the agent may write",
            path.display()
        ))
    };
    let rotation =
        Rotation { bytes: config.rotate_bytes, after: config.rotate_after, max_files: config.max_files };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let mut file = RotatingFile::open(&path, rotation, clock).map_err(failed)?;
    Sink::start("log_file", config.json, Box::new(move |_, line| file.write_line(line))).map_err(failed)
}

/// A path that ends in `/`, or is a directory, is where a file of the usual name goes.
fn file_path(path: &Path) -> PathBuf {
    if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return path.join(FILE_NAME);
    }
    path.to_owned()
}

fn to_syslog(config: &LogConfig) -> Result<Sink, StartError> {
    let wanted = config.syslog_facility.to_uppercase();
    let facility = FACILITIES.iter().position(|facility| *facility == wanted).ok_or_else(|| {
        StartError(format!("Syslog setup error: invalid syslog facility: {}", config.syslog_facility))
    })?;
    let process = std::process::id();
    let write =
        move |level, line: &[u8]| datagram::send(SYSLOG, &syslog_line(facility, process, level, line));
    Sink::start("syslog", config.json, Box::new(write))
        .map_err(|error| StartError::new("Syslog setup error", error))
}

/// A line as the system's log takes it. It knows time and level itself.
fn syslog_line(facility: usize, process: u32, level: Level, line: &[u8]) -> Vec<u8> {
    let severity = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    };
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    let said = match text.split_once("] ") {
        Some((_, said)) if !text.starts_with('{') => said.trim_start(),
        _ => text,
    };
    format!("<{}>{TAG}[{process}]: {said}", facility * 8 + severity).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_log_gets_what_it_does_not_know_itself() {
        let local0 = FACILITIES.iter().position(|name| *name == "LOCAL0").unwrap();
        let line = b"2026-01-01T00:00:00Z [WARN]  agent: Check is now critical: check=[x] y\n";
        let written = syslog_line(local0, 7, Level::WARN, line);
        assert_eq!(written, b"<132>consul[7]: agent: Check is now critical: check=[x] y");
        let written = syslog_line(local0, 7, Level::INFO, b"{\"@message\":\"[a] b\"}\n");
        assert_eq!(written, b"<134>consul[7]: {\"@message\":\"[a] b\"}");
    }

    #[test]
    fn a_directory_takes_a_file_of_the_usual_name() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(file_path(directory.path()), directory.path().join("consul.log"));
        assert_eq!(file_path(Path::new("/nowhere/")), Path::new("/nowhere/consul.log"));
        assert_eq!(file_path(Path::new("/nowhere/a.txt")), Path::new("/nowhere/a.txt"));
    }
}
