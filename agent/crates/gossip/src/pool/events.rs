//! What users fire: events that everybody hears of once.
//!
//! Each carries the Lamport time at which it was fired, so that all who hear of it agree on what
//! came before. They spread like records do, by broadcast, and whom that misses hears of them when
//! everything is compared. What was fired before this node met anybody, in this life, is not news:
//! somebody who comes late, or comes back, is not told what to do by what is long over.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use lictor_sys::clock::Moment;
use serde::{Deserialize, Serialize};

use crate::pool::{Output, Pool};
use crate::record::hash;

/// The first byte of an encoded event, where records have their format.
pub(crate) const EVENT: u8 = 0x81;
/// How large an event may be, in bytes: name and payload, and again all of it as it is sent.
const MAX_EVENT: usize = 512;
/// How far behind the newest event one may be and still be news.
const WINDOW: u64 = 512;
/// How many events are kept, to know them again and to tell others.
const MOST_KEPT: usize = 1024;
/// How far ahead an event may be: farther than any pool comes, so that nobody makes all others old.
const FARTHEST: u64 = 1 << 32;
/// How much may wait to be broadcast.
const MOST_SPREADING: usize = 512;

/// Something that somebody fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// When, in the pool's Lamport time.
    #[serde(rename = "LTime")]
    pub time: u64,
    /// What it is called.
    #[serde(rename = "Name")]
    pub name: String,
    /// What it carries.
    #[serde(rename = "Payload")]
    pub payload: Bytes,
}

impl Fired {
    fn encode(&self) -> Result<Vec<u8>, FireError> {
        let mut bytes = vec![EVENT];
        rmp_serde::encode::write_named(&mut bytes, self)
            .map_err(|error| FireError::Encode(error.to_string()))?;
        Ok(bytes)
    }

    /// Reads an event without its first byte; `None` if it makes no sense to this build.
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(body).ok().filter(|_| body.len() < MAX_EVENT)
    }
}

/// Why an event is not fired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FireError {
    /// Name and payload are too long.
    #[error("user event exceeds configured limit of {MAX_EVENT} bytes before encoding")]
    TooLong,
    /// With what is sent beside them, they are.
    #[error("user event exceeds configured limit of {MAX_EVENT} bytes after encoding")]
    TooLongEncoded,
    /// It cannot be sent.
    #[error("the event cannot be encoded: {0}")]
    Encode(String),
    /// There are too many at once.
    #[error("too many events are being spread, try again later")]
    TooMany,
    /// The pool has been left or shut down.
    #[error("gossip has stopped")]
    Stopped,
}

/// The events that were here, and the pool's Lamport clock.
pub(crate) struct Events {
    /// The time of the next event.
    clock: u64,
    /// What is older than this is not news.
    oldest: u64,
    /// Whether anybody was met in this life.
    has_met: bool,
    /// Those of late, by time and hash.
    kept: BTreeMap<(u64, u64), Bytes>,
    /// Those that came and were not told yet.
    came: Vec<Fired>,
    /// Whether so much is being broadcast that nothing is added.
    pub(crate) is_full: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { clock: 1, oldest: 0, has_met: false, kept: BTreeMap::new(), came: Vec::new(), is_full: false }
    }
}

impl Events {
    fn fire(&mut self, name: String, payload: Bytes) -> Result<Vec<u8>, FireError> {
        if name.len() + payload.len() > MAX_EVENT {
            return Err(FireError::TooLong);
        }
        let fired = Fired { time: self.clock, name, payload };
        let encoded = fired.encode()?;
        if encoded.len() > MAX_EVENT {
            return Err(FireError::TooLongEncoded);
        }
        if self.is_full {
            return Err(FireError::TooMany);
        }
        self.take(fired, &encoded);
        Ok(encoded)
    }

    /// Takes an event from someone else. Says whether it is news.
    pub(crate) fn offer(&mut self, fired: Fired, encoded: &[u8]) -> bool {
        let is_old = fired.time < self.hears_from();
        let is_absurd = fired.time >= self.clock.saturating_add(FARTHEST);
        let is_known = self.kept.contains_key(&(fired.time, hash(encoded)));
        if is_old || is_absurd || is_known {
            return false;
        }
        self.take(fired, encoded);
        true
    }

    fn take(&mut self, fired: Fired, encoded: &[u8]) {
        self.clock = self.clock.max(fired.time.saturating_add(1));
        self.kept.insert((fired.time, hash(encoded)), Bytes::copy_from_slice(encoded));
        let first_news = self.clock.saturating_sub(WINDOW);
        while let Some(entry) = self.kept.first_entry() {
            let time = entry.key().0;
            if time >= first_news && self.kept.len() <= MOST_KEPT {
                break;
            }
            self.kept.pop_first();
            // What cannot be known again must not be taken for new.
            self.oldest = self.oldest.max(time.saturating_add(1));
        }
        self.came.push(fired);
    }

    /// Somebody was met whose clock stands there. The first time in a life, everything before that
    /// is over.
    pub(crate) fn meet(&mut self, clock: u64) {
        if clock >= self.clock.saturating_add(FARTHEST) {
            return;
        }
        self.clock = self.clock.max(clock);
        if !self.has_met {
            self.has_met = true;
            self.oldest = self.oldest.max(clock);
        }
    }

    pub(crate) fn clock(&self) -> u64 {
        self.clock
    }

    /// What tells the events that were here from others.
    pub(crate) fn keys(&self) -> Vec<u64> {
        self.kept.keys().map(|(_, key)| *key).collect()
    }

    /// What was fired before this is no news here.
    pub(crate) fn hears_from(&self) -> u64 {
        if self.has_met { self.oldest.max(self.clock.saturating_sub(WINDOW)) } else { u64::MAX }
    }

    /// Those that are news to somebody else.
    pub(crate) fn lacking(&self, theirs: &[u64], hears_from: u64) -> Vec<Bytes> {
        let theirs: HashSet<u64> = theirs.iter().copied().collect();
        self.kept
            .iter()
            .filter(|((time, key), _)| *time >= hears_from && !theirs.contains(key))
            .map(|(_, event)| event.clone())
            .collect()
    }

    pub(crate) fn take_news(&mut self) -> Vec<Fired> {
        std::mem::take(&mut self.came)
    }
}

impl Pool {
    /// Has everybody hear of an event, this node first.
    ///
    /// # Errors
    /// If it is too long, or there are too many; nobody hears of it then.
    pub fn fire(&mut self, name: String, payload: Bytes, now: Moment) -> Result<Vec<Output>, FireError> {
        if self.left {
            return Err(FireError::Stopped);
        }
        let encoded = self.inbox().events.fire(name, payload)?;
        self.spread_event(&encoded);
        self.settle(now);
        Ok(std::mem::take(&mut self.outputs))
    }

    /// Takes in events that came by stream; what is news is broadcast, unless that is much.
    pub(super) fn hear(&mut self, events: &[Bytes]) {
        for encoded in events.iter().take(MOST_KEPT) {
            let fired = encoded.strip_prefix(&[EVENT]).and_then(Fired::decode);
            let news = fired.is_some_and(|fired| self.inbox().events.offer(fired, encoded));
            if news {
                self.spread_event(encoded);
            }
        }
    }

    fn spread_event(&mut self, encoded: &[u8]) {
        // The others hear of it by comparing everything; where there are none, nothing would ever go.
        if self.inbox().events.is_full || self.foca.num_members() == 0 {
            return;
        }
        if let Err(error) = self.foca.add_broadcast(encoded) {
            tracing::warn!(%error, "an event is not broadcast");
        }
        self.note_backlog();
    }

    /// Sees to it that not too much waits to be broadcast.
    pub(super) fn note_backlog(&mut self) {
        let is_alone = self.foca.num_members() == 0;
        let is_full = !is_alone && self.foca.custom_broadcast_backlog() >= MOST_SPREADING;
        self.inbox().events.is_full = is_full;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(time: u64, name: &str) -> (Fired, Vec<u8>) {
        let fired = Fired { time, name: name.to_owned(), payload: Bytes::from_static(b"p") };
        let encoded = fired.encode().unwrap();
        (fired, encoded)
    }

    fn offer(events: &mut Events, time: u64, name: &str) -> bool {
        let (fired, encoded) = fired(time, name);
        events.offer(fired, &encoded)
    }

    fn met() -> Events {
        let mut events = Events::default();
        events.meet(1);
        events
    }

    #[test]
    fn what_is_heard_twice_is_told_once() {
        let mut events = met();
        assert!(offer(&mut events, 1, "a"));
        assert!(!offer(&mut events, 1, "a"));
        assert!(offer(&mut events, 1, "b"), "two at one time are two");
        let names: Vec<String> = events.take_news().into_iter().map(|fired| fired.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(events.take_news().is_empty());
    }

    #[test]
    fn time_goes_on_from_the_newest_that_was_heard() {
        let mut events = met();
        offer(&mut events, 41, "a");
        events.fire("b".to_owned(), Bytes::new()).unwrap();
        assert_eq!(events.take_news().last().unwrap().time, 42);
        assert_eq!(events.clock(), 43);
    }

    #[test]
    fn what_was_fired_before_anybody_was_met_is_over() {
        let mut events = Events::default();
        assert!(!offer(&mut events, 5, "early"), "nobody was met");
        events.meet(10);
        assert!(!offer(&mut events, 9, "old"));
        assert!(offer(&mut events, 10, "new"));
        events.meet(20);
        assert!(offer(&mut events, 12, "late"), "only the first time counts");
        let own = Events::default().fire("own".to_owned(), Bytes::new());
        assert!(own.is_ok(), "who is alone hears itself");
    }

    #[test]
    fn neither_old_nor_absurd_times_are_news() {
        let mut events = met();
        assert!(offer(&mut events, 1000, "a"));
        assert!(!offer(&mut events, 1000 - WINDOW, "old"));
        assert!(offer(&mut events, 1001 - WINDOW, "just in time"));
        assert!(!offer(&mut events, u64::MAX, "absurd"));
        events.meet(u64::MAX);
        assert_eq!(events.clock(), 1001);
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for_and_none_is_told_again() {
        let mut events = met();
        for number in 0..2 * MOST_KEPT {
            offer(&mut events, 1 + number as u64 / 8, &format!("e{number}"));
        }
        assert!(events.kept.len() <= MOST_KEPT);
        for number in 0..2 * MOST_KEPT {
            assert!(!offer(&mut events, 1 + number as u64 / 8, &format!("e{number}")), "{number}");
        }
    }

    #[test]
    fn those_who_lack_some_get_just_these() {
        let (mut one, mut other) = (met(), met());
        for name in ["a", "b"] {
            offer(&mut one, 1, name);
        }
        offer(&mut other, 1, "a");
        let lacking = |one: &Events, other: &Events| one.lacking(&other.keys(), other.hears_from());
        assert_eq!(lacking(&one, &other), [Bytes::from(fired(1, "b").1)]);
        assert!(lacking(&other, &one).is_empty());
        let mut late = Events::default();
        assert!(lacking(&one, &late).is_empty(), "it has met nobody");
        late.meet(one.clock());
        assert!(lacking(&one, &late).is_empty(), "that is over for who comes late");
    }

    #[test]
    fn events_have_a_size() {
        let fire =
            |name: usize, payload: usize| met().fire("n".repeat(name), vec![0; payload].into()).map(drop);
        assert_eq!(fire(12, 501), Err(FireError::TooLong));
        assert_eq!(fire(12, 500), Err(FireError::TooLongEncoded));
        assert_eq!(fire(12, 450), Ok(()));
        let mut full = met();
        full.is_full = true;
        assert_eq!(full.fire("a".to_owned(), Bytes::new()), Err(FireError::TooMany));
        let long = Fired { time: 1, name: "n".repeat(600), payload: Bytes::new() }.encode().unwrap();
        assert_eq!(Fired::decode(&long[1..]), None);
    }
}
