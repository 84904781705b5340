//! When each check is due.
//!
//! A check never runs twice at once: while a run lasts, its next turn waits. Turns are counted
//! from starts, so that a slow run does not shift the rhythm.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use lictor_model::CheckId;
use lictor_sys::clock::Moment;

/// How many void turns are kept before they are swept out.
const MAX_VOID_TURNS: usize = 256;

/// The turns of all checks.
#[derive(Debug, Default)]
pub struct Schedule {
    entries: HashMap<CheckId, Entry>,
    /// Turns by time. A turn whose generation is not its entry's any more is void.
    turns: BinaryHeap<Reverse<(Moment, u64, CheckId)>>,
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    interval: Duration,
    generation: u64,
    /// When the current run started, if one lasts.
    running_since: Option<Moment>,
}

impl Schedule {
    /// Adds a check, or gives it a new rhythm, with its first turn at `first`.
    pub fn insert(&mut self, id: CheckId, interval: Duration, first: Moment) {
        self.generation += 1;
        let generation = self.generation;
        self.entries.insert(id.clone(), Entry { interval, generation, running_since: None });
        self.turns.push(Reverse((first, generation, id)));
        // A check that is given new turns all the time must not leave its void ones behind.
        if self.turns.len() > 2 * self.entries.len() + MAX_VOID_TURNS {
            let entries = &self.entries;
            self.turns.retain(|Reverse((_, generation, id))| {
                entries.get(id).is_some_and(|entry| entry.generation == *generation)
            });
        }
    }

    /// Removes a check; a run that lasts is forgotten.
    pub fn remove(&mut self, id: &CheckId) {
        self.entries.remove(id);
    }

    /// When the next turn is.
    #[must_use]
    pub fn next_turn(&self) -> Option<Moment> {
        self.turns.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes a check whose turn has come, and marks it as running. The number identifies the run.
    pub fn start_due(&mut self, now: Moment) -> Option<(CheckId, u64)> {
        while let Some(Reverse((at, _, _))) = self.turns.peek() {
            if *at > now {
                return None;
            }
            let Reverse((_, generation, id)) = self.turns.pop()?;
            if let Some(entry) = self.entries.get_mut(&id)
                && entry.generation == generation
            {
                entry.running_since = Some(now);
                return Some((id, generation));
            }
        }
        None
    }

    /// Notes that a run has ended. Returns whether the check still is the one that was started.
    pub fn finished(&mut self, id: &CheckId, run: u64, now: Moment) -> bool {
        let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.generation == run) else {
            return false;
        };
        let Some(started) = entry.running_since.take() else { return false };
        let next = (started + entry.interval).max(now);
        self.turns.push(Reverse((next, run, id.clone())));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn a_slow_run_delays_only_its_own_next_turn() {
        let mut schedule = Schedule::default();
        schedule.insert("a".into(), Duration::from_secs(2), at(0));
        let (id, run) = schedule.start_due(at(0)).unwrap();
        assert_eq!(schedule.start_due(at(10)), None, "one run at a time");
        assert!(schedule.finished(&id, run, at(5)));
        assert_eq!(schedule.next_turn(), Some(at(5)));
        let (id, run) = schedule.start_due(at(5)).unwrap();
        assert!(schedule.finished(&id, run, at(6)));
        assert_eq!(schedule.next_turn(), Some(at(7)));
    }

    #[test]
    fn a_replaced_check_does_not_hear_from_its_former_run() {
        let mut schedule = Schedule::default();
        schedule.insert("a".into(), Duration::from_secs(1), at(0));
        let (id, run) = schedule.start_due(at(0)).unwrap();
        schedule.insert("a".into(), Duration::from_secs(1), at(3));
        assert!(!schedule.finished(&id, run, at(1)));
        assert_eq!(schedule.start_due(at(2)), None);
        assert!(schedule.start_due(at(3)).is_some());
    }

    proptest! {
        /// Whatever happens, no check runs twice at once and none that exists is forgotten.
        #[test]
        fn no_check_overlaps_or_starves(events in prop::collection::vec((0u8..4, 0u8..3, 0u64..5), 1..200)) {
            let mut schedule = Schedule::default();
            let mut known = std::collections::BTreeSet::new();
            let mut running: HashMap<CheckId, u64> = HashMap::new();
            let mut now = 0;
            for (event, check, step) in events {
                let id = CheckId::from(format!("c{check}"));
                now += step;
                match event {
                    0 => {
                        schedule.insert(id.clone(), Duration::from_secs(3), at(now));
                        known.insert(id.clone());
                        running.remove(&id);
                    }
                    1 => {
                        schedule.remove(&id);
                        known.remove(&id);
                        running.remove(&id);
                    }
                    2 => while let Some((id, run)) = schedule.start_due(at(now)) {
                        prop_assert!(running.insert(id, run).is_none());
                    },
                    _ => if let Some(run) = running.remove(&id) {
                        prop_assert!(schedule.finished(&id, run, at(now)));
                    },
                }
            }
            for (id, run) in running.drain() {
                schedule.finished(&id, run, at(now));
            }
            let mut started = std::collections::BTreeSet::new();
            while let Some((id, _)) = schedule.start_due(at(now + 100)) {
                started.insert(id);
            }
            prop_assert_eq!(started, known);
        }
    }
}
