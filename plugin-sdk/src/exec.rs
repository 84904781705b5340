//! Commands on the agent's machine.

use std::time::Duration;

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The program and its arguments; no shell is involved.
    pub args: Vec<String>,
    /// What the program reads from its standard input.
    pub stdin: Vec<u8>,
    /// Environment variables on top of those the host gives.
    pub environment: Vec<(String, String)>,
    /// How many bytes of output to keep.
    pub output_limit: u32,
    /// A time after which the program is killed; what is left of the run's own if none.
    pub timeout: Option<Duration>,
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Its exit status; none if a signal ended it.
    pub exit: Option<i32>,
    /// Standard output and error as they came; of a longer output, the end.
    pub output: Vec<u8>,
    /// How many bytes of output there were.
    pub total: u64,
    /// How long it ran.
    pub duration: Duration,
}
