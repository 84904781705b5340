//! The commands of the program.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::binary::lictor;

/// The program under the name that scripts call it by, told where an agent is.
#[derive(Debug)]
pub struct Cli {
    // Holds the link.
    folder: TempDir,
    address: String,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The exit status.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ran {
    /// What was printed, if the command succeeded.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    #[must_use]
    pub fn ok(self) -> String {
        assert!(self.code == 0, "exit status {}: {}{}", self.code, self.stdout, self.stderr);
        self.stdout
    }
}

impl Cli {
    /// Commands for the agent at an address such as `127.0.0.1:8500`.
    ///
    /// # Panics
    /// If the program is missing.
    #[must_use]
    pub fn new(address: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::os::unix::fs::symlink(lictor(), folder.path().join("consul")).expect("a link to the program");
        Self { folder, address: address.to_owned() }
    }

    /// The link called `consul`.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.folder.path().join("consul")
    }

    /// Where commands run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command without input.
    ///
    /// # Panics
    /// If it cannot be run.
    #[track_caller]
    #[must_use]
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        self.run_with(arguments, b"")
    }

    /// Runs a command that reads `input`.
    ///
    /// # Panics
    /// If it cannot be run.
    #[track_caller]
    #[must_use]
    pub fn run_with<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, input: &[u8]) -> Ran {
        let mut child = Command::new(self.program())
            .args(arguments)
            .current_dir(self.folder.path())
            .env("CONSUL_HTTP_ADDR", &self.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be run");
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing may be gone already.
            let _ = stdin.write_all(input);
        }
        let output = child.wait_with_output().expect("the program ends");
        Ran {
            code: output.status.code().expect("the program was not killed"),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
