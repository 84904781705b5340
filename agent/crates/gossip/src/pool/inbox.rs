//! Records and events on their way from packets and streams into the table.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use foca::{BroadcastHandler, Invalidates};

use crate::door::Door;
use crate::pool::events::{Events, Fired};
use crate::pool::table::MAX_MEMBERS;
use crate::record::{Id, News, Notice, Record, hash};

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
    pub(crate) events: Events,
}

/// What has come.
pub(crate) struct Came {
    pub(crate) events: Vec<Fired>,
    pub(crate) records: Vec<Record>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) refute: Option<u64>,
}

impl Inbox {
    pub(crate) fn new(me: u64, door: Door) -> Self {
        Self {
            me,
            door,
            versions: HashMap::new(),
            records: Vec::new(),
            notices: Vec::new(),
            refute: None,
            events: Events::default(),
        }
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
            events: self.events.take_news(),
            records: std::mem::take(&mut self.records),
            notices: std::mem::take(&mut self.notices),
            refute: self.refute.take(),
        }
    }
}

/// Takes records and events out of foca's packets.
pub(crate) struct Records {
    inbox: Arc<Mutex<Inbox>>,
}

impl Records {
    pub(crate) fn new(inbox: Arc<Mutex<Inbox>>) -> Self {
        Self { inbox }
    }
}

/// What a broadcast spreads.
pub(crate) enum Topic {
    Record { key: u64, version: u64 },
    Event { key: u64 },
}

impl Invalidates for Topic {
    fn invalidates(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Record { key, version }, Self::Record { key: theirs, version: older }) => {
                key == theirs && version >= older
            }
            (Self::Event { key }, Self::Event { key: theirs }) => key == theirs,
            _ => false,
        }
    }
}

/// A broadcast that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("a broadcast is neither a member record nor an event")]
pub(crate) struct NoNews;

impl BroadcastHandler<Id> for Records {
    type Key = Topic;
    type Error = NoNews;

    fn receive_item(&mut self, data: &[u8], sender: Option<&Id>) -> Result<Option<Topic>, NoNews> {
        let news = News::decode(data).ok_or(NoNews)?;
        let topic = match &news {
            News::Record(Record { id, version, .. }) | News::Notice(Notice { id, version }) => {
                Topic::Record { key: id.key, version: *version }
            }
            News::Event(_) => Topic::Event { key: hash(data) },
        };
        // What this node spreads itself is news by definition.
        if sender.is_none() {
            return Ok(Some(topic));
        }
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = match news {
            News::Record(record) => inbox.offer(record),
            News::Notice(notice) => inbox.offer_notice(notice),
            // It is heard all the same, and the others hear of it by comparing everything.
            News::Event(event) => inbox.events.offer(event, data) && !inbox.events.is_full,
        };
        Ok(is_news.then_some(topic))
    }
}
