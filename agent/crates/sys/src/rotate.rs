//! A file that grows line by line and is put aside when it is large or old enough.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Moment};

/// When a file is put aside, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Once it has this many bytes; 0: never because of its size.
    pub bytes: u64,
    /// Once it was written to for this long.
    pub after: Duration,
    /// How many are kept beside the one that grows; 0: all, below: none.
    pub max_files: i64,
}

/// The file. What was put aside is beside it, with the time of that in its name, in nanoseconds:
/// `agent-1500000000000000000.log`.
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    clock: Arc<dyn Clock>,
    open: Option<Open>,
    /// The last line may have been cut off.
    is_torn: bool,
    /// The time in the newest name: names tell the order also within one tick of the clock.
    newest: u128,
}

struct Open {
    file: File,
    written: u64,
    since: Moment,
}

impl RotatingFile {
    /// Opens the file and goes on where it ends.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(path: &Path, rotation: Rotation, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let mut file = Self { path: path.to_owned(), rotation, clock, open: None, is_torn: false, newest: 0 };
        file.prune()?;
        file.open = Some(file.open_current()?);
        Ok(file)
    }

    /// Adds a line, which ends with its line feed.
    ///
    /// # Errors
    /// Those of the file system; the next line tries again.
    pub fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) if self.is_due(&open) => {
                drop(open);
                self.put_aside()?;
                self.open_current()?
            }
            Some(open) => open,
            None => self.open_current()?,
        };
        let written = if self.is_torn { open.file.write_all(b"\n") } else { Ok(()) }
            .and_then(|()| open.file.write_all(line));
        self.is_torn = written.is_err();
        open.written += line.len() as u64;
        self.open = Some(open);
        written
    }

    fn is_due(&self, open: &Open) -> bool {
        let is_full = self.rotation.bytes > 0 && open.written >= self.rotation.bytes;
        is_full || self.clock.now().since(open.since) >= self.rotation.after
    }

    fn open_current(&self) -> io::Result<Open> {
        let file = OpenOptions::new().create(true).append(true).mode(0o640).open(&self.path)?;
        let written = file.metadata()?.len();
        Ok(Open { file, written, since: self.clock.now() })
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let (mut name, after) = self.name_parts();
        let now = u128::from(self.clock.unix_millis()) * 1_000_000;
        let time = now.max(self.newest + 1);
        name.push(format!("{time}"));
        name.push(&after);
        fs::rename(&self.path, self.path.with_file_name(name))?;
        self.newest = time;
        self.prune()
    }

    /// Removes the oldest of what was put aside.
    fn prune(&self) -> io::Result<()> {
        if self.rotation.max_files == 0 {
            return Ok(());
        }
        let (before, after) = self.name_parts();
        let (before, after) = (before.to_string_lossy().into_owned(), after.to_string_lossy().into_owned());
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut aside: Vec<(u128, PathBuf)> = Vec::new();
        for entry in fs::read_dir(directory.unwrap_or_else(|| Path::new(".")))? {
            let entry = entry?;
            let name = entry.file_name();
            let time =
                name.to_str().and_then(|name| name.strip_prefix(&before)?.strip_suffix(&after)?.parse().ok());
            aside.extend(time.map(|time| (time, entry.path())));
        }
        aside.sort();
        let kept = usize::try_from(self.rotation.max_files).unwrap_or(0);
        for (_, path) in aside.iter().take(aside.len().saturating_sub(kept)) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// What stands before and after the time in the name of what was put aside.
    fn name_parts(&self) -> (OsString, OsString) {
        let mut before = self.path.file_stem().unwrap_or_default().to_owned();
        before.push("-");
        let mut after = OsString::from(".");
        after.push(self.path.extension().unwrap_or_else(|| "log".as_ref()));
        (before, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    struct Case {
        directory: tempfile::TempDir,
        clock: Arc<ManualClock>,
        file: RotatingFile,
    }

    fn case(bytes: u64, after: u64, max_files: i64) -> Case {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let rotation = Rotation { bytes, after: Duration::from_secs(after), max_files };
        let path = directory.path().join("agent.log");
        let file = RotatingFile::open(&path, rotation, Arc::clone(&clock) as _).unwrap();
        Case { directory, clock, file }
    }

    impl Case {
        fn write(&mut self, lines: &[&str]) {
            for line in lines {
                self.file.write_line(format!("{line}\n").as_bytes()).unwrap();
            }
        }

        /// What all files hold, oldest first, the one that grows last.
        fn contents(&self) -> Vec<String> {
            let mut paths: Vec<PathBuf> =
                fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
            paths.sort_by_key(|path| (path.ends_with("agent.log"), path.clone()));
            paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
        }
    }

    #[test]
    fn a_file_that_is_full_is_put_aside() {
        let mut case = case(4, 3600, 0);
        case.write(&["one", "two", "three"]);
        assert_eq!(case.contents(), ["one\n", "two\n", "three\n"]);
    }

    #[test]
    fn a_file_that_is_old_is_put_aside() {
        let mut case = case(0, 60, 0);
        case.write(&["one", "two"]);
        case.clock.advance(Duration::from_secs(60));
        case.write(&["three"]);
        assert_eq!(case.contents(), ["one\ntwo\n", "three\n"]);
    }

    #[test]
    fn as_many_are_kept_as_wanted() {
        for (max_files, expected) in [(2, &["2\n", "3\n", "4\n"][..]), (-1, &["4\n"]), (1, &["3\n", "4\n"])] {
            let mut case = case(1, 3600, max_files);
            case.write(&["1", "2", "3", "4"]);
            assert_eq!(case.contents(), expected, "{max_files}");
        }
    }

    #[test]
    fn what_was_written_before_a_restart_stays_and_counts() {
        let mut case = case(8, 3600, 0);
        case.write(&["one"]);
        let path = case.directory.path().join("agent.log");
        case.file = RotatingFile::open(&path, case.file.rotation, Arc::clone(&case.clock) as _).unwrap();
        case.write(&["two", "three"]);
        assert_eq!(case.contents(), ["one\ntwo\n", "three\n"]);
    }

    #[test]
    fn a_directory_that_is_gone_is_tried_again() {
        let mut case = case(1, 3600, 0);
        case.write(&["one"]);
        let (path, hidden) =
            (case.directory.path().to_owned(), case.directory.path().with_extension("hidden"));
        fs::rename(&path, &hidden).unwrap();
        assert!(case.file.write_line(b"two\n").is_err());
        fs::rename(&hidden, &path).unwrap();
        case.write(&["three"]);
        assert_eq!(case.contents().last().map(String::as_str), Some("one\nthree\n"));
    }
}
