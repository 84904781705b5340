//! Records on their way from packets and streams into the table.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use foca::{BroadcastHandler, Invalidates};

use crate::door::Door;
use crate::pool::table::MAX_MEMBERS;
use crate::record::{Id, News, Notice, Record};

/// See the module's documentation.
pub(crate) struct Inbox {
    me: u64,
    door: Door,
    /// The newest version of each record that was here, or of which there is notice.
    versions: HashMap<u64, u64>,
    records: Vec<Record>,
    notices: Vec<Notice>,
    /// The newest version of this node's own record that others spread.
    refute: Option<u64>,
}

/// What has come.
pub(crate) struct Came {
    pub(crate) records: Vec<Record>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) refute: Option<u64>,
}

impl Inbox {
    pub(crate) fn new(me: u64, door: Door) -> Self {
        Self { me, door, versions: HashMap::new(), records: Vec::new(), notices: Vec::new(), refute: None }
    }

    /// Whether this is newer than what was here; it counts as having been here from now on.
    fn is_news(&mut self, key: u64, version: u64) -> bool {
        let full = self.versions.len() >= MAX_MEMBERS && !self.versions.contains_key(&key);
        if full || self.versions.get(&key).is_some_and(|known| *known >= version) {
            return false;
        }
        self.versions.insert(key, version);
        true
    }

    /// Takes a record from someone else, if it is of one who may take part. Says whether it is news.
    pub(crate) fn offer(&mut self, record: Record) -> bool {
        if record.id.key == self.me {
            self.refute = self.refute.max(Some(record.version));
            return false;
        }
        if !self.door.admits(&record) {
            return false;
        }
        let news = self.is_news(record.id.key, record.version);
        // The notice may have been here before the record itself.
        if news || self.versions.get(&record.id.key) == Some(&record.version) {
            self.records.push(record);
        }
        news
    }

    fn offer_notice(&mut self, notice: Notice) -> bool {
        if notice.id.key == self.me {
            self.refute = self.refute.max(Some(notice.version));
            return false;
        }
        if !self.door.is_open_to(notice.id.address.ip()) {
            return false;
        }
        let news = self.is_news(notice.id.key, notice.version);
        if news {
            self.notices.push(notice);
        }
        news
    }

    pub(crate) fn forget(&mut self, key: u64) {
        self.versions.remove(&key);
    }

    pub(crate) fn take(&mut self) -> Came {
        Came {
            records: std::mem::take(&mut self.records),
            notices: std::mem::take(&mut self.notices),
            refute: self.refute.take(),
        }
    }
}

/// Takes records out of foca's packets.
pub(crate) struct Records {
    inbox: Arc<Mutex<Inbox>>,
}

impl Records {
    pub(crate) fn new(inbox: Arc<Mutex<Inbox>>) -> Self {
        Self { inbox }
    }
}

/// Which record a broadcast spreads.
pub(crate) struct Version {
    key: u64,
    version: u64,
}

impl Invalidates for Version {
    fn invalidates(&self, other: &Self) -> bool {
        self.key == other.key && self.version >= other.version
    }
}

/// A broadcast that is no record.
#[derive(Debug, thiserror::Error)]
#[error("a broadcast is no member record")]
pub(crate) struct NoRecord;

impl BroadcastHandler<Id> for Records {
    type Key = Version;
    type Error = NoRecord;

    fn receive_item(&mut self, data: &[u8], sender: Option<&Id>) -> Result<Option<Version>, NoRecord> {
        let news = News::decode(data).ok_or(NoRecord)?;
        let (id, version) = match &news {
            News::Record(record) => (record.id, record.version),
            News::Notice(notice) => (notice.id, notice.version),
        };
        let version = Version { key: id.key, version };
        // What this node spreads itself is news by definition.
        if sender.is_none() {
            return Ok(Some(version));
        }
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = match news {
            News::Record(record) => inbox.offer(record),
            News::Notice(notice) => inbox.offer_notice(notice),
        };
        Ok(is_news.then_some(version))
    }
}
