//! What the agent runs on, as Linux tells it in `/proc`. What cannot be read is left blank.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// The release of its kernel.
    pub kernel: String,
    /// For how many seconds it is up.
    pub uptime: u64,
    /// The models of its processors, one for each core.
    pub processors: Vec<String>,
    /// Its memory.
    pub memory: Memory,
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All there is.
    pub total: u64,
    /// What programs could still get.
    pub available: u64,
    /// What nothing uses at all.
    pub free: u64,
}

/// Looks at the machine. It reads files, though none on a disk.
#[must_use]
pub fn look() -> Host {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let line = |path: &str| read(path).trim().to_owned();
    let uptime = read("/proc/uptime");
    Host {
        name: line("/proc/sys/kernel/hostname"),
        kernel: line("/proc/sys/kernel/osrelease"),
        uptime: uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default(),
        processors: processors(&read("/proc/cpuinfo")),
        memory: memory(&read("/proc/meminfo")),
    }
}

/// A file system; sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// A place on it.
    pub path: PathBuf,
    /// Its type, such as `ext4`; empty if unknown.
    pub kind: String,
    /// All there is.
    pub total: u64,
    /// What programs could still get.
    pub free: u64,
    /// What is in use.
    pub used: u64,
    /// How many files there can be.
    pub inodes: u64,
    /// How many more there can be.
    pub inodes_free: u64,
}

/// Looks at the file system that a path is on.
///
/// # Errors
/// Those of the operating system.
pub fn disk(path: &Path) -> io::Result<Disk> {
    let found = rustix::fs::statvfs(path)?;
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    Ok(Disk {
        path: path.to_owned(),
        kind: kind_of(&mounts, &path.canonicalize()?),
        total: found.f_blocks * found.f_frsize,
        free: found.f_bavail * found.f_frsize,
        used: found.f_blocks.saturating_sub(found.f_bfree) * found.f_frsize,
        inodes: found.f_files,
        inodes_free: found.f_ffree,
    })
}

/// The type of the file system whose mount point is the longest that a path is below; of two at the
/// same point the later one is in front.
fn kind_of(mounts: &str, path: &Path) -> String {
    let points = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((Path::new(words.next()?), words.next()?))
    });
    let above = points.filter(|(point, _)| path.starts_with(point));
    above
        .max_by_key(|(point, _)| point.components().count())
        .map(|(_, kind)| kind.to_owned())
        .unwrap_or_default()
}

/// What this process takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its memory that is resident, in bytes.
    pub resident: u64,
    /// Its threads.
    pub threads: u64,
}

/// Looks at this process.
#[must_use]
pub fn process() -> Process {
    process_of(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn process_of(status: &str) -> Process {
    let number = |wanted: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(':'));
        rest.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    Process { resident: number("VmRSS").saturating_mul(1024), threads: number("Threads") }
}

fn processors(cpuinfo: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (key, value) in cpuinfo.lines().filter_map(|line| line.split_once(':')) {
        match (key.trim(), found.last_mut()) {
            ("processor", _) => found.push(String::new()),
            ("model name", Some(model)) => value.trim().clone_into(model),
            _ => {}
        }
    }
    found
}

fn memory(meminfo: &str) -> Memory {
    let bytes = |wanted: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(':'));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or_default().saturating_mul(1024)
    };
    Memory { total: bytes("MemTotal"), available: bytes("MemAvailable"), free: bytes("MemFree") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_the_one_mounted_nearest_above() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/deep xfs rw 0 0\n";
        for (path, kind) in [("/", "ext4"), ("/tmpx", "ext4"), ("/tmp/a", "tmpfs"), ("/tmp/deep/b/c", "xfs")]
        {
            assert_eq!(kind_of(mounts, Path::new(path)), kind, "{path}");
        }
        let disk = disk(Path::new("/")).unwrap();
        assert!(disk.total >= disk.used && disk.total >= disk.free && disk.total > 0, "{disk:?}");
    }

    #[test]
    fn figures_are_read_and_gaps_are_blank() {
        let memory = memory("MemTotal:  16 kB\nMemFree:  1 kB\nMemAvailable: 8 kB\n");
        assert_eq!(memory, Memory { total: 16384, available: 8192, free: 1024 });
        assert_eq!(super::memory(""), Memory::default());
        let process = process_of("Name:\tx\nVmRSS:\t   12 kB\nThreads:\t7\n");
        assert_eq!(process, Process { resident: 12288, threads: 7 });
        assert_eq!(process_of(""), Process::default());
        let cpuinfo = "processor\t: 0\nmodel name\t: A: b\n\nprocessor\t: 1\n";
        assert_eq!(processors(cpuinfo), ["A: b", ""]);
    }
}
