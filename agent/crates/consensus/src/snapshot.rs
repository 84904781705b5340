//! Snapshot files: whole, checked, and never only one.
//!
//! A snapshot is one file, `<index>-<term>-<raft id>.snap`, written beside and renamed into place.
//! Its head names the log entry it ends with and the membership there; a SHA-256 covers all of it.
//! The newest two are kept. If the newest turns out to be damaged, the one before is used, and the
//! log still has what came after that one: see [`SnapshotHome::purge_limit`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lictor_store::MAX_STATE;
use lictor_sys::file;
use sha2::{Digest, Sha256};

use crate::codec;
use crate::types::{CommittedLeader, LogId, SnapshotMeta};

const MAGIC: &[u8; 8] = b"LICTSNAP";
const SUFFIX: &str = ".snap";
/// How many snapshots are kept.
const KEPT: usize = 2;
/// Where snapshots are kept.
pub(crate) struct SnapshotHome {
    place: Place,
    kept: Mutex<Kept>,
}

enum Place {
    Memory,
    Disk(PathBuf),
}

#[derive(Default)]
struct Kept {
    /// From the oldest to the newest; the bytes only when they are kept in memory.
    snapshots: Vec<(LogId, Option<(SnapshotMeta, Bytes)>)>,
    /// Whether the only snapshot came from a leader, so that nothing older has any use.
    installed: bool,
}

impl SnapshotHome {
    pub(crate) fn in_memory() -> Self {
        Self { place: Place::Memory, kept: Mutex::default() }
    }

    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        file::create_private_dir(directory)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            if let Some(log_id) = entry?.file_name().to_str().and_then(parse_name) {
                found.push((log_id, None));
            }
        }
        found.sort_by_key(|(log_id, _)| (log_id.index, log_id.leader_id));
        let kept = Kept { snapshots: found, installed: false };
        Ok(Self { place: Place::Disk(directory.to_owned()), kept: Mutex::new(kept) })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry that the newest snapshot ends with.
    pub(crate) fn newest_id(&self) -> Option<LogId> {
        self.kept().snapshots.last().map(|(log_id, _)| *log_id)
    }

    /// How far the log may be purged when it is asked to purge up to `wanted`: not beyond the
    /// older of the two snapshots, and not at all while there is only one of our own.
    pub(crate) fn purge_limit(&self, wanted: LogId) -> Option<LogId> {
        let kept = self.kept();
        match kept.snapshots.as_slice() {
            [] => Some(wanted),
            [_] if kept.installed => Some(wanted),
            [_] => None,
            [older, ..] => Some(wanted.min(older.0)),
        }
    }

    /// Keeps a snapshot that this server took, and forgets the oldest if there are too many.
    pub(crate) fn save(&self, meta: &SnapshotMeta, data: &Bytes) -> io::Result<()> {
        self.write(meta, data)?;
        self.prune(KEPT, false)
    }

    /// Keeps a snapshot that came from the leader instead of all others.
    pub(crate) fn replace(&self, meta: &SnapshotMeta, data: &Bytes) -> io::Result<()> {
        self.write(meta, data)?;
        self.prune(1, true)
    }

    fn write(&self, meta: &SnapshotMeta, data: &Bytes) -> io::Result<()> {
        // Nothing was applied yet, so there is nothing to keep.
        let Some(log_id) = meta.last_log_id else {
            return Ok(());
        };
        let in_memory = match &self.place {
            Place::Memory => Some((meta.clone(), data.clone())),
            Place::Disk(directory) => {
                let path = directory.join(name_of(log_id));
                file::write_atomic(&path, &encode(meta, data)?).map_err(|error| at(&path, &error))?;
                None
            }
        };
        let mut kept = self.kept();
        kept.snapshots.retain(|(id, _)| *id != log_id);
        kept.snapshots.push((log_id, in_memory));
        Ok(())
    }

    /// Removes all but the newest, damaged files and leftovers included.
    fn prune(&self, keep: usize, installed: bool) -> io::Result<()> {
        let remaining: Vec<String> = {
            let mut kept = self.kept();
            let surplus = kept.snapshots.len().saturating_sub(keep);
            kept.snapshots.drain(..surplus);
            kept.installed = installed;
            kept.snapshots.iter().map(|(log_id, _)| name_of(*log_id)).collect()
        };
        if let Place::Disk(directory) = &self.place {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if !entry.file_name().to_str().is_some_and(|name| remaining.iter().any(|kept| kept == name)) {
                    file::remove_durable(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// The newest snapshot that is whole. A damaged one is reported and left out from then on.
    pub(crate) fn newest(&self) -> io::Result<Option<(SnapshotMeta, Bytes)>> {
        loop {
            let (log_id, in_memory) = match self.kept().snapshots.last() {
                None => return Ok(None),
                Some((log_id, in_memory)) => (*log_id, in_memory.clone()),
            };
            let directory = match &self.place {
                Place::Memory => return Ok(in_memory),
                Place::Disk(directory) => directory,
            };
            let path = directory.join(name_of(log_id));
            match read(&path) {
                Ok(found) => return Ok(Some(found)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::error!(%error, "a snapshot is damaged, looking for the one before");
                    self.kept().snapshots.retain(|(id, _)| *id != log_id);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn name_of(log_id: LogId) -> String {
    let LogId { leader_id, index } = log_id;
    format!("{index:020}-{:010}-{:016x}{SUFFIX}", leader_id.term, leader_id.node_id)
}

fn parse_name(name: &str) -> Option<LogId> {
    let mut parts = name.strip_suffix(SUFFIX)?.split('-');
    let index = parts.next()?.parse().ok()?;
    let term = parts.next()?.parse().ok()?;
    let node_id = u64::from_str_radix(parts.next()?, 16).ok()?;
    Some(LogId { leader_id: CommittedLeader { term, node_id }, index })
}

/// Magic, format, length of the head, digest of all that follows, head, state.
fn encode(meta: &SnapshotMeta, data: &[u8]) -> io::Result<Vec<u8>> {
    let head = codec::encode(meta)?;
    let head_length = u32::try_from(head.len()).map_err(io::Error::other)?;
    let mut content = Vec::with_capacity(MAGIC.len() + 1 + 4 + 32 + head.len() + data.len());
    content.extend_from_slice(MAGIC);
    content.push(codec::FORMAT);
    content.extend_from_slice(&head_length.to_le_bytes());
    content.extend_from_slice(&digest(&head, data));
    content.extend_from_slice(&head);
    content.extend_from_slice(data);
    Ok(content)
}

fn digest(head: &[u8], data: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(head).chain_update(data).finalize().into()
}

fn read(path: &Path) -> io::Result<(SnapshotMeta, Bytes)> {
    let content = Bytes::from(file::read_bounded(path, MAX_STATE).map_err(|error| at(path, &error))?);
    decode(&content).map_err(|error| at(path, &error))
}

fn decode(content: &Bytes) -> io::Result<(SnapshotMeta, Bytes)> {
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let short = || damaged("it is cut short");
    let rest = content.strip_prefix(MAGIC).ok_or_else(|| damaged("it is no snapshot"))?;
    let (&[format], rest) = rest.split_first_chunk().ok_or_else(short)?;
    if format != codec::FORMAT {
        // Not damaged: falling back would silently lose what a newer build wrote.
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("it has format {format}, and this build reads format {}", codec::FORMAT),
        ));
    }
    let (head_length, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (expected, body) = rest.split_first_chunk::<32>().ok_or_else(short)?;
    let head_length = u32::from_le_bytes(*head_length) as usize;
    let (head, data) = body.split_at_checked(head_length).ok_or_else(short)?;
    if digest(head, data) != *expected {
        return Err(damaged("its content does not match its checksum"));
    }
    Ok((codec::decode(head)?, content.slice_ref(data)))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("snapshot {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(index: u64) -> SnapshotMeta {
        let leader_id = CommittedLeader { term: 2, node_id: 0xabc };
        SnapshotMeta { last_log_id: Some(LogId { leader_id, index }), ..SnapshotMeta::default() }
    }

    fn saved(home: &SnapshotHome, index: u64) {
        home.save(&meta(index), &Bytes::from(format!("state at {index}"))).unwrap();
    }

    #[test]
    fn the_newest_two_are_kept_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let home = SnapshotHome::open(directory.path()).unwrap();
        for index in [9, 10, 100] {
            saved(&home, index);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), KEPT);
        let reopened = SnapshotHome::open(directory.path()).unwrap();
        let (found, data) = reopened.newest().unwrap().unwrap();
        assert_eq!((found, &*data), (meta(100), b"state at 100".as_slice()));
        assert_eq!(reopened.purge_limit(meta(100).last_log_id.unwrap()), meta(10).last_log_id);
    }

    #[test]
    fn every_torn_or_flipped_file_is_recognised_and_the_one_before_is_used() {
        let whole = encode(&meta(7), b"state").unwrap();
        for length in 0..whole.len() {
            let torn = Bytes::copy_from_slice(&whole[..length]);
            assert_eq!(decode(&torn).unwrap_err().kind(), io::ErrorKind::InvalidData, "{length}");
        }
        for position in (0..whole.len()).filter(|position| *position != MAGIC.len()) {
            let mut flipped = whole.clone();
            flipped[position] ^= 0x40;
            assert_eq!(decode(&flipped.into()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{position}");
        }
        let directory = tempfile::tempdir().unwrap();
        let home = SnapshotHome::open(directory.path()).unwrap();
        saved(&home, 5);
        saved(&home, 6);
        fs::write(directory.path().join(name_of(meta(6).last_log_id.unwrap())), b"LICT").unwrap();
        assert_eq!(home.newest().unwrap().unwrap().0, meta(5));
        assert_eq!(home.purge_limit(meta(6).last_log_id.unwrap()), None);
    }
}
