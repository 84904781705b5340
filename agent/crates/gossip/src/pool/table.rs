//! Members: whether they are there, as foca says, what they say of themselves, and whose a name is.
//!
//! A member is known by the key of its node id. Names are unique among those who are listed: a
//! living member keeps its name against any other, and takes it over from one that is away.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lictor_model::local::{Member, MemberStatus};
use lictor_sys::clock::Moment;

use crate::event::MemberEvent;
use crate::record::{Id, Record};

/// How many members are kept: where nothing is sealed, anybody can claim to be one.
pub(crate) const MAX_MEMBERS: usize = 65_536;

/// One member.
#[derive(Default)]
struct Entry {
    /// Whom foca takes for this member, if it is there.
    active: Option<Id>,
    /// Whom foca has last told to be gone.
    gone: Option<Id>,
    record: Option<Arc<Record>>,
    /// What was last told of it.
    told: Option<(MemberStatus, Arc<Record>)>,
    /// Since when it is away.
    away: Option<Moment>,
    /// Whether somebody else lives under its name.
    hidden: bool,
}

impl Entry {
    fn status(&self, record: &Record) -> MemberStatus {
        // What it said in an earlier life is over.
        let leaving = record.leaving && self.active.is_none_or(|active| active.birth <= record.id.birth);
        match (self.active.is_some(), leaving) {
            (true, false) => MemberStatus::Alive,
            (true, true) => MemberStatus::Leaving,
            (false, true) => MemberStatus::Left,
            (false, false) => MemberStatus::Failed,
        }
    }

    /// Its status and record, if it is to be seen.
    fn seen(&self) -> Option<(MemberStatus, &Arc<Record>)> {
        let record = self.record.as_ref().filter(|_| !self.hidden)?;
        let gone = record.pruned && self.active.is_none();
        (!gone).then(|| (self.status(record), record))
    }
}

/// Two living members with one name.
#[derive(Debug)]
pub(crate) struct Conflict {
    /// Whose name it is.
    pub(crate) keeps: Arc<Record>,
    /// Who came later, and is not listed.
    pub(crate) hidden: Arc<Record>,
}

/// All members by the key of their node id.
pub(crate) struct Table {
    me: u64,
    reap_after: Duration,
    entries: HashMap<u64, Box<Entry>>,
    /// Who has a name.
    names: HashMap<Box<str>, u64>,
    /// Members that may have changed since the last events.
    touched: BTreeSet<u64>,
    /// Those who are not there.
    absent: BTreeSet<u64>,
    /// Those who are there and have not said what they are in this life.
    missing: BTreeSet<u64>,
    hidden: usize,
    events: Vec<MemberEvent>,
    pub(crate) conflicts: Vec<Conflict>,
    /// Grows whenever [`Table::members`] would give something else.
    pub(crate) revision: u64,
}

impl Table {
    pub(crate) fn new(me: Record, reap_after: Duration) -> Self {
        let key = me.id.key;
        let names = HashMap::from([(me.name.as_str().into(), key)]);
        let entry = Entry { active: Some(me.id), record: Some(Arc::new(me)), ..Entry::default() };
        Self {
            me: key,
            reap_after,
            entries: HashMap::from([(key, Box::new(entry))]),
            names,
            touched: BTreeSet::from([key]),
            absent: BTreeSet::new(),
            missing: BTreeSet::new(),
            hidden: 0,
            events: Vec::new(),
            conflicts: Vec::new(),
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
        if let Some(entry) = self.entry(id.key)
            && entry.active.is_none_or(|active| active.birth <= id.birth)
        {
            entry.active = Some(id);
        }
    }

    pub(crate) fn down(&mut self, id: Id) {
        if let Some(entry) = self.entry(id.key)
            // What an earlier life of it died of is of no interest.
            && entry.active.is_none_or(|active| active.birth <= id.birth)
        {
            entry.active = None;
            entry.gone = Some(id);
        }
    }

    /// Whether somebody is known to be there, or known to be gone.
    pub(crate) fn knows(&self, id: Id, is_there: bool) -> bool {
        let entry = self.entries.get(&id.key);
        entry.is_some_and(|entry| if is_there { entry.active == Some(id) } else { entry.gone == Some(id) })
    }

    /// Another lives where the first was.
    pub(crate) fn replaced(&mut self, old: Id, new: Id) {
        if old.key != new.key {
            self.down(old);
        }
        self.up(new);
    }

    pub(crate) fn record(&mut self, record: Record) {
        if let Some(entry) = self.entry(record.id.key)
            && entry.record.as_ref().is_none_or(|known| known.version < record.version)
        {
            entry.record = Some(Arc::new(record));
        }
    }

    /// What a member said last.
    pub(crate) fn record_of(&self, key: u64) -> Option<&Arc<Record>> {
        self.entries.get(&key)?.record.as_ref()
    }

    /// The member that is listed under a name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Record>> {
        let entry = self.entries.get(self.names.get(name)?)?;
        entry.seen().map(|(_, record)| record)
    }

    /// Who else lives under the name that somebody wants to have.
    pub(crate) fn rival(&self, record: &Record) -> Option<&Arc<Record>> {
        let holder = self.named(&record.name)?;
        let entry = self.entries.get(&holder.id.key)?;
        // Who comes from the very place of another has taken its place.
        (holder.id.key != record.id.key && entry.active?.address != record.id.address).then_some(holder)
    }

    /// How new all records are that are here.
    pub(crate) fn versions(&self) -> Vec<(u64, u64)> {
        self.entries.iter().filter_map(|(key, entry)| Some((*key, entry.record.as_ref()?.version))).collect()
    }

    /// All records that are newer than those.
    pub(crate) fn newer_than(&self, versions: &HashMap<u64, u64>) -> impl Iterator<Item = &Arc<Record>> {
        self.entries.iter().filter_map(|(key, entry)| {
            let record = entry.record.as_ref()?;
            versions.get(key).is_none_or(|known| *known < record.version).then_some(record)
        })
    }

    /// The other members that are there.
    pub(crate) fn others(&self) -> impl Iterator<Item = Id> {
        self.entries.iter().filter(|(key, _)| **key != self.me).filter_map(|(_, entry)| entry.active)
    }

    /// Where the members were that failed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = SocketAddr> {
        self.absent.iter().filter_map(|key| {
            let (status, record) = self.entries.get(key)?.seen()?;
            (status == MemberStatus::Failed).then_some(record.id.address)
        })
    }

    /// Members that are there but have not said what they are in this life.
    pub(crate) fn missing(&self) -> &BTreeSet<u64> {
        &self.missing
    }

    /// Where a member is that is there.
    pub(crate) fn address_of(&self, key: u64) -> Option<SocketAddr> {
        Some(self.entries.get(&key)?.active?.address)
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        let seen = self.entries.values().filter_map(|entry| entry.seen());
        let mut members: Vec<Member> = seen.map(|(status, record)| record.member(status)).collect();
        members.sort_by(|a, b| (&a.name, &a.addr, a.port).cmp(&(&b.name, &b.addr, b.port)));
        members
    }

    /// Forgets who has been away for long; returns their keys.
    pub(crate) fn reap(&mut self, now: Moment) -> Vec<u64> {
        let over: Vec<u64> = self
            .absent
            .iter()
            .filter(|key| {
                let away = self.entries.get(key).and_then(|entry| entry.away);
                away.is_some_and(|since| now.since(since) >= self.reap_after)
            })
            .copied()
            .collect();
        for key in &over {
            if let Some((status, record)) = self.remove(*key).and_then(|entry| entry.told) {
                self.events.push(MemberEvent::Reap(record.member(status)));
            }
        }
        over
    }

    fn remove(&mut self, key: u64) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        self.absent.remove(&key);
        self.missing.remove(&key);
        self.names.retain(|_, holder| *holder != key);
        self.hidden -= usize::from(entry.hidden);
        Some(*entry)
    }

    /// What has happened since the last call.
    pub(crate) fn changes(&mut self, now: Moment) -> Vec<MemberEvent> {
        while let Some(key) = self.touched.pop_first() {
            self.settle_name(key);
            self.settle(key, now);
        }
        self.revision += self.events.len() as u64;
        std::mem::take(&mut self.events)
    }

    /// Finds out whose the name is that this member has.
    fn settle_name(&mut self, key: u64) {
        let Some(entry) = self.entries.get(&key) else { return };
        let Some(record) = entry.record.clone() else { return };
        if let Some((_, told)) = &entry.told
            && told.name != record.name
        {
            self.give_up(key);
        }
        let lives = self.entries.get(&key).is_some_and(|entry| entry.active.is_some());
        let holder = self.names.get(record.name.as_str()).copied();
        let other = holder.filter(|holder| *holder != key).and_then(|holder| {
            let entry = self.entries.get(&holder)?;
            Some((holder, entry.active.is_some(), entry.record.clone()?))
        });
        match other {
            None => self.keep(key, &record.name),
            Some((_, _, _)) if !lives => self.hide(key),
            Some((old, false, _)) => {
                // One that is away makes room, and it goes on under the same name.
                let told = self.remove(old).and_then(|entry| entry.told);
                if let Some(entry) = self.entries.get_mut(&key) {
                    entry.told = entry.told.take().or(told);
                }
                self.keep(key, &record.name);
            }
            Some((rival, true, theirs)) => {
                let was_first = (record.id.birth, key) < (theirs.id.birth, rival);
                let is_known =
                    [key, rival].iter().any(|key| self.entries.get(key).is_some_and(|entry| entry.hidden));
                // This node lists itself whatever the others do.
                let stays = if [key, rival].contains(&self.me) { key == self.me } else { was_first };
                if stays {
                    self.hide(rival);
                    self.keep(key, &record.name);
                    self.touched.insert(rival);
                } else {
                    self.hide(key);
                }
                if !is_known {
                    let (keeps, hidden) = if was_first { (record, theirs) } else { (theirs, record) };
                    self.conflicts.push(Conflict { keeps, hidden });
                }
            }
        }
    }

    fn keep(&mut self, key: u64, name: &str) {
        self.names.insert(name.into(), key);
        if let Some(entry) = self.entries.get_mut(&key)
            && std::mem::take(&mut entry.hidden)
        {
            self.hidden -= 1;
        }
    }

    fn hide(&mut self, key: u64) {
        if let Some(entry) = self.entries.get_mut(&key)
            && !std::mem::replace(&mut entry.hidden, true)
        {
            self.hidden += 1;
        }
    }

    /// A member has another name now: nobody is listed under the old one.
    fn give_up(&mut self, key: u64) {
        self.names.retain(|_, holder| *holder != key);
        if let Some((status, record)) = self.entries.get_mut(&key).and_then(|entry| entry.told.take()) {
            self.events.push(MemberEvent::Reap(record.member(status)));
        }
    }

    /// Finds out what there is to tell of this member.
    fn settle(&mut self, key: u64, now: Moment) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        match entry.active {
            Some(active) => {
                entry.away = None;
                self.absent.remove(&key);
                if entry.record.as_ref().is_some_and(|record| record.id.birth >= active.birth) {
                    self.missing.remove(&key);
                } else {
                    self.missing.insert(key);
                }
            }
            None => {
                entry.away = entry.away.or(Some(now));
                self.absent.insert(key);
                self.missing.remove(&key);
            }
        }
        let left_a_name = entry.active.is_none();
        match entry.seen().map(|(status, record)| (status, Arc::clone(record))) {
            Some((status, record)) => {
                let told = entry.told.replace((status, Arc::clone(&record)));
                if told.as_ref().is_none_or(|(was, said)| *was != status || !said.says_the_same(&record)) {
                    self.revision += 1;
                    self.events.extend(change(told.as_ref(), status, &record));
                }
            }
            None => {
                if let Some((status, record)) = entry.told.take() {
                    self.events.push(MemberEvent::Reap(record.member(status)));
                }
            }
        }
        if left_a_name && self.hidden > 0 {
            let waiting = self.entries.iter().filter(|(_, entry)| entry.hidden && entry.active.is_some());
            self.touched.extend(waiting.map(|(key, _)| *key));
        }
    }
}

/// What it is called that a member is like this now.
fn change(
    before: Option<&(MemberStatus, Arc<Record>)>,
    status: MemberStatus,
    record: &Record,
) -> Option<MemberEvent> {
    use MemberStatus::{Alive, Failed, Leaving, Left};
    let member = || record.member(status);
    let is_there = |status| matches!(status, Alive | Leaving);
    match (before, status) {
        // Someone heard of only after it went away is no news.
        (None, Left | Failed) => None,
        (None | Some((Left | Failed, _)), Alive | Leaving) => Some(MemberEvent::Join(member())),
        (Some((was, _)), Left) if *was != Left => Some(MemberEvent::Leave(member())),
        (Some((was, _)), Failed) if is_there(*was) => Some(MemberEvent::Failed(member())),
        (Some((was, said)), now) if is_there(*was) && is_there(now) => {
            (!said.says_the_same(record)).then(|| MemberEvent::Update(member()))
        }
        _ => None,
    }
}

/// The names of members and where they were, for a file.
pub(crate) fn places(members: &[Member]) -> BTreeMap<String, SocketAddr> {
    let there =
        members.iter().filter(|member| matches!(member.status, MemberStatus::Alive | MemberStatus::Failed));
    there
        .filter_map(|member| {
            let ip = member.addr.parse().ok()?;
            Some((member.name.clone(), SocketAddr::new(ip, member.port)))
        })
        .collect()
}
