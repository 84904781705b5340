//! What is said about the log.

use std::path::PathBuf;
use std::time::Duration;

use super::read::Reader;

/// How long one file is written to unless configured otherwise.
const ROTATE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The log: `log_*`, `enable_syslog` and `syslog_facility`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Least severe level that is logged.
    pub level: String,
    /// A JSON object a line.
    pub json: bool,
    /// The file that takes the lines, too; a directory if it ends in `/`.
    pub file: Option<PathBuf>,
    /// After how many bytes another file is begun; 0: never because of its size.
    pub rotate_bytes: u64,
    /// After how long another file is begun.
    pub rotate_after: Duration,
    /// How many files are kept beside the current one; 0: all, below: none.
    pub max_files: i64,
    /// Whether the system's log takes the lines, too.
    pub syslog: bool,
    /// Under which facility.
    pub syslog_facility: String,
}

impl LogConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            level: reader.text("log_level").unwrap_or_else(|| "INFO".to_owned()),
            json: reader.flag("log_json"),
            file: reader.text("log_file").map(PathBuf::from),
            rotate_bytes: u64::try_from(reader.number("log_rotate_bytes").unwrap_or_default())
                .unwrap_or_default(),
            rotate_after: match reader.duration("log_rotate_duration") {
                Duration::ZERO => ROTATE_AFTER,
                given => given,
            },
            max_files: reader.number("log_rotate_max_files").unwrap_or_default(),
            syslog: reader.flag("enable_syslog"),
            syslog_facility: reader.text("syslog_facility").unwrap_or_else(|| "LOCAL0".to_owned()),
        }
    }
}
