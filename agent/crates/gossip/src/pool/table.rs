//! Members: whether they are there, as foca says, and what they say of themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foca::{BroadcastHandler, Invalidates};
use lictor_model::local::{Member, MemberStatus};
use lictor_sys::clock::Moment;

use crate::event::MemberEvent;
use crate::record::{Id, Record};

/// How many members are kept; packets are not authenticated, so there has to be an end.
const MAX_MEMBERS: usize = 65_536;

/// One member.
#[derive(Default)]
struct Entry {
    /// Whom foca takes for this member, if it is there.
    active: Option<Id>,
    record: Option<Record>,
    /// What was last told of it.
    told: Option<Member>,
    /// Since when it is away.
    away: Option<Moment>,
}

impl Entry {
    fn member(&self) -> Option<Member> {
        let record = self.record.as_ref()?;
        let status = match (self.active.is_some(), record.leaving) {
            (true, false) => MemberStatus::Alive,
            (true, true) => MemberStatus::Leaving,
            (false, true) => MemberStatus::Left,
            (false, false) => MemberStatus::Failed,
        };
        Some(record.member(status))
    }
}

/// All members by the key of their node id.
pub(crate) struct Table {
    me: u64,
    reap_after: Duration,
    entries: BTreeMap<u64, Entry>,
    /// Members that may have changed since the last events.
    touched: BTreeSet<u64>,
    reaped: Vec<Member>,
    /// Grows whenever [`Table::members`] would give something else.
    pub(crate) revision: u64,
}

impl Table {
    pub(crate) fn new(me: Record, reap_after: Duration) -> Self {
        let key = me.id.key;
        let entry = Entry { active: Some(me.id), record: Some(me), ..Entry::default() };
        Self {
            me: key,
            reap_after,
            entries: BTreeMap::from([(key, entry)]),
            touched: BTreeSet::from([key]),
            reaped: Vec::new(),
            revision: 0,
        }
    }

    fn entry(&mut self, key: u64) -> Option<&mut Entry> {
        if self.entries.len() >= MAX_MEMBERS && !self.entries.contains_key(&key) {
            return None;
        }
        self.touched.insert(key);
        Some(self.entries.entry(key).or_default())
    }

    pub(crate) fn up(&mut self, id: Id) {
        if let Some(entry) = self.entry(id.key) {
            entry.active = Some(id);
        }
    }

    pub(crate) fn down(&mut self, id: Id) {
        if let Some(entry) = self.entry(id.key)
            // What an earlier life of it died of is of no interest.
            && entry.active.is_none_or(|active| active.birth <= id.birth)
        {
            entry.active = None;
        }
    }

    pub(crate) fn record(&mut self, record: Record) {
        if let Some(entry) = self.entry(record.id.key)
            && entry.record.as_ref().is_none_or(|known| known.version < record.version)
        {
            entry.record = Some(record);
        }
    }

    pub(crate) fn is_active(&self, key: u64) -> bool {
        self.entries.get(&key).is_some_and(|entry| entry.active.is_some())
    }

    /// Where the other members are that are there.
    pub(crate) fn active_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let others = self.entries.iter().filter(|(key, _)| **key != self.me);
        others.filter_map(|(_, entry)| Some(entry.active?.address))
    }

    /// Where members are that are there but have not said what they are in this life.
    pub(crate) fn without_record(&self, limit: usize) -> Vec<SocketAddr> {
        let missing = self.entries.values().filter_map(|entry| {
            let active = entry.active?;
            let known = entry.record.as_ref().is_some_and(|record| record.id.birth >= active.birth);
            (!known).then_some(active.address)
        });
        missing.take(limit).collect()
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        let mut members: Vec<Member> = self.entries.values().filter_map(Entry::member).collect();
        members.sort_by(|a, b| (&a.name, &a.addr, a.port).cmp(&(&b.name, &b.addr, b.port)));
        members
    }

    /// Forgets who has been away for long.
    pub(crate) fn reap(&mut self, now: Moment) {
        let (me, reap_after) = (self.me, self.reap_after);
        let reaped = &mut self.reaped;
        self.entries.retain(|key, entry| {
            let keep = *key == me || entry.away.is_none_or(|since| now.since(since) < reap_after);
            if !keep {
                reaped.extend(entry.told.take());
            }
            keep
        });
    }

    /// What has happened since the last call.
    pub(crate) fn changes(&mut self, now: Moment) -> Vec<MemberEvent> {
        let mut events: Vec<MemberEvent> = self.reaped.drain(..).map(MemberEvent::Reap).collect();
        self.revision += events.len() as u64;
        for key in std::mem::take(&mut self.touched) {
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            entry.away = match entry.active {
                Some(_) => None,
                None => entry.away.or(Some(now)),
            };
            let Some(member) = entry.member() else {
                continue;
            };
            if entry.told.as_ref() == Some(&member) {
                continue;
            }
            self.revision += 1;
            events.extend(change(entry.told.as_ref(), &member));
            entry.told = Some(member);
        }
        events
    }
}

/// What it is called that a member is like this now.
fn change(before: Option<&Member>, member: &Member) -> Option<MemberEvent> {
    use MemberStatus::{Alive, Failed, Leaving, Left};
    let was = before.map(|before| before.status);
    let is_there = |status| matches!(status, Alive | Leaving);
    match (was, member.status) {
        // Someone heard of only after it went away is no news.
        (None, Left | Failed) => None,
        (None | Some(Left | Failed), Alive | Leaving) => Some(MemberEvent::Join(member.clone())),
        (Some(was), Left) if was != Left => Some(MemberEvent::Leave(member.clone())),
        (Some(was), Failed) if was != Failed && is_there(was) => Some(MemberEvent::Failed(member.clone())),
        (Some(was), now) if is_there(was) && is_there(now) => {
            let before = before.map(|before| Member { status: now, ..before.clone() });
            (before.as_ref() != Some(member)).then(|| MemberEvent::Update(member.clone()))
        }
        _ => None,
    }
}

/// Records on their way from packets into the table.
pub(crate) struct Inbox {
    me: u64,
    versions: HashMap<u64, u64>,
    records: Vec<Record>,
    /// The newest version of this node's own record that others spread.
    refute: Option<u64>,
}

impl Inbox {
    pub(crate) fn new(me: u64) -> Self {
        Self { me, versions: HashMap::new(), records: Vec::new(), refute: None }
    }

    /// Takes a record from someone else. Says whether it is news.
    pub(crate) fn offer(&mut self, record: Record) -> bool {
        if record.id.key == self.me {
            self.refute = self.refute.max(Some(record.version));
            return false;
        }
        let full = self.versions.len() >= MAX_MEMBERS && !self.versions.contains_key(&record.id.key);
        let known = self.versions.get(&record.id.key).is_some_and(|known| *known >= record.version);
        if full || known {
            return false;
        }
        self.versions.insert(record.id.key, record.version);
        self.records.push(record);
        true
    }

    pub(crate) fn take(&mut self) -> (Vec<Record>, Option<u64>) {
        (std::mem::take(&mut self.records), self.refute.take())
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
        let record = Record::decode(data).ok_or(NoRecord)?;
        let version = Version { key: record.id.key, version: record.version };
        // What this node says itself is news by definition.
        let news =
            sender.is_none() || self.inbox.lock().unwrap_or_else(PoisonError::into_inner).offer(record);
        Ok(news.then_some(version))
    }
}
