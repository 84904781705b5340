//! The log file: a redb database with the entries and a handful of facts beside them.
//!
//! The file does not shrink while it is used: space that purged entries leave is used again, so it
//! levels off at the largest log that was ever kept between two snapshots. When a large file is
//! found mostly empty on opening, before anything else uses it, it is compacted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lictor_sys::{file, random};
use redb::backends::InMemoryBackend;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::codec;
use crate::formation::Nomination;
use crate::log::tail::Found;
use crate::types::{Entry, LogId, Vote};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");

const RAFT_ID: &str = "raft_id";
const VOTE: &str = "vote";
const NOMINATION: &str = "nomination";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";

/// What redb may keep of the file in memory; the newest entries are in memory anyway.
const CACHE: usize = 4 * 1024 * 1024;
/// A file at least this large is compacted if less than a quarter of it is in use.
const WORTH_COMPACTING: u64 = 16 * 1024 * 1024;

/// The open log file.
pub(crate) struct Disk {
    database: Database,
    raft_id: u64,
    place: String,
}

impl Disk {
    /// Opens or creates the file in a directory, or an empty log in memory.
    pub(crate) fn open(directory: Option<&Path>) -> io::Result<(Self, Found)> {
        let path = directory.map(|directory| directory.join("log.redb"));
        let place = path.as_deref().map_or_else(|| "memory".to_owned(), |path| path.display().to_string());
        let database = open_database(path).map_err(|error| fault(&place, "open", &error))?;
        Self::with_database(database, place)
    }

    pub(crate) fn with_database(database: Database, place: String) -> io::Result<(Self, Found)> {
        let mut disk = Self { database, raft_id: 0, place };
        let found = disk.load()?;
        Ok((disk, found))
    }

    pub(crate) fn raft_id(&self) -> u64 {
        self.raft_id
    }

    /// Creates what is missing and reads what is there.
    fn load(&mut self) -> io::Result<Found> {
        let place = self.place.clone();
        let failed = |error: redb::Error| fault(&place, "read", &error);
        let begin = self.begin()?;
        let mut found = Found::default();
        let raft_id;
        {
            let entries = begin.0.open_table(ENTRIES).map_err(|error| failed(error.into()))?;
            if let Some((index, record)) = entries.last().map_err(|error| failed(error.into()))? {
                found.last = Some(codec::decode_entry(index.value(), record.value())?.log_id);
            }
            let mut facts = begin.0.open_table(FACTS).map_err(|error| failed(error.into()))?;
            let fact = |name| -> io::Result<Option<Vec<u8>>> {
                let value = facts.get(name).map_err(|error| failed(error.into()))?;
                Ok(value.map(|value| value.value().to_vec()))
            };
            found.purged = fact(PURGED)?.map(|bytes| codec::decode(&bytes)).transpose()?;
            found.committed = fact(COMMITTED)?.map(|bytes| codec::decode(&bytes)).transpose()?.flatten();
            found.nomination = fact(NOMINATION)?.map(|bytes| codec::decode(&bytes)).transpose()?;
            found.vote = fact(VOTE)?.map(|bytes| codec::decode(&bytes)).transpose()?;
            match fact(RAFT_ID)? {
                Some(bytes) => raft_id = codec::decode(&bytes)?,
                None => {
                    // Zero is left out, so that it can stand for "nobody".
                    raft_id = random::seed().max(1);
                    let id = codec::encode(&raft_id)?;
                    facts.insert(RAFT_ID, &*id).map_err(|error| failed(error.into()))?;
                }
            }
        }
        begin.commit()?;
        self.raft_id = raft_id;
        Ok(found)
    }

    /// Entries of `start..end`, the first in any case and more up to `max_bytes`.
    pub(crate) fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let failed = |error: redb::Error| fault(&self.place, "read", &error);
        let reading = self.database.begin_read().map_err(|error| failed(error.into()))?;
        let table = reading.open_table(ENTRIES).map_err(|error| failed(error.into()))?;
        let mut bytes = 0_usize;
        let mut entries = Vec::new();
        for row in table.range(start..end).map_err(|error| failed(error.into()))? {
            let (index, record) = row.map_err(|error| failed(error.into()))?;
            bytes = bytes.saturating_add(record.value().len());
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(codec::decode_entry(index.value(), record.value())?);
        }
        Ok(entries)
    }

    /// Begins a set of changes that becomes durable as a whole.
    pub(crate) fn begin(&self) -> io::Result<Change<'_>> {
        let failed = |error: redb::Error| fault(&self.place, "write", &error);
        let mut transaction = self.database.begin_write().map_err(|error| failed(error.into()))?;
        transaction.set_durability(Durability::Immediate).map_err(|error| failed(error.into()))?;
        Ok(Change(transaction, &self.place))
    }
}

/// A set of changes. Dropping it undoes them.
pub(crate) struct Change<'a>(WriteTransaction, &'a str);

impl Change<'_> {
    fn failed(&self, error: impl Into<redb::Error>) -> io::Error {
        fault(self.1, "write", &error.into())
    }

    pub(crate) fn append(&self, records: &[(u64, Vec<u8>)]) -> io::Result<()> {
        let mut table = self.0.open_table(ENTRIES).map_err(|error| self.failed(error))?;
        for (index, record) in records {
            table.insert(*index, record.as_slice()).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    pub(crate) fn truncate_after(&self, last: Option<LogId>) -> io::Result<()> {
        let start = last.map_or(0, |last| last.index + 1);
        let mut table = self.0.open_table(ENTRIES).map_err(|error| self.failed(error))?;
        table.retain_in(start.., |_, _| false).map_err(|error| self.failed(error))
    }

    pub(crate) fn purge(&self, upto: LogId) -> io::Result<()> {
        let mut table = self.0.open_table(ENTRIES).map_err(|error| self.failed(error))?;
        table.retain_in(..=upto.index, |_, _| false).map_err(|error| self.failed(error))?;
        self.put(PURGED, &codec::encode(&upto)?)
    }

    pub(crate) fn vote(&self, vote: &Vote) -> io::Result<()> {
        self.put(VOTE, &codec::encode(vote)?)
    }

    pub(crate) fn nomination(&self, nomination: &Nomination) -> io::Result<()> {
        self.put(NOMINATION, &codec::encode(nomination)?)
    }

    pub(crate) fn committed(&self, committed: Option<LogId>) -> io::Result<()> {
        self.put(COMMITTED, &codec::encode(&committed)?)
    }

    fn put(&self, name: &str, value: &[u8]) -> io::Result<()> {
        let mut facts = self.0.open_table(FACTS).map_err(|error| self.failed(error))?;
        facts.insert(name, value).map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Returns once everything is durable.
    pub(crate) fn commit(self) -> io::Result<()> {
        let Self(transaction, place) = self;
        transaction.commit().map_err(|error| fault(place, "write", &error.into()))
    }
}

fn open_database(path: Option<PathBuf>) -> Result<Database, redb::Error> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    let Some(path) = path else {
        return Ok(builder.create_with_backend(InMemoryBackend::new())?);
    };
    let mut database = builder.create(&path)?;
    // A new file is only as durable as the directories that name it.
    for directory in path.ancestors().skip(1).take(2).filter(|directory| !directory.as_os_str().is_empty()) {
        file::sync_dir(directory)?;
    }
    let size = fs::metadata(&path)?.len();
    if size >= WORTH_COMPACTING {
        let look = database.begin_write()?;
        let stats = look.stats()?;
        look.abort()?;
        let used = stats.stored_bytes().saturating_add(stats.metadata_bytes());
        if used < size / 4 {
            database.compact()?;
            tracing::info!(path = %path.display(), before = size, used, "compacted the raft log");
        }
    }
    Ok(database)
}

fn fault(place: &str, what: &str, error: &redb::Error) -> io::Error {
    let kind = match error {
        redb::Error::Io(error) => error.kind(),
        redb::Error::DatabaseAlreadyOpen => io::ErrorKind::ResourceBusy,
        _ => io::ErrorKind::Other,
    };
    let hint = match kind {
        io::ErrorKind::ResourceBusy => "; is another agent using the same data directory?",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "; make room on the disk and start the agent again"
        }
        _ => "",
    };
    io::Error::new(kind, format!("cannot {what} the raft log in {place}: {error}{hint}"))
}
