//! What a server has promised a leader before it was started anew.

use std::time::Duration;

use lictor_sys::clock::{Clock, Moment, SystemClock};

use crate::types::Vote;

/// The promise that lies in every answer to a leader: to elect nobody else for a lease. A leader
/// answers reads on the strength of it.
///
/// Raft does not record when it last answered, so a server that comes back keeps silent in
/// elections for one whole lease from when it opened its log: neither does it vote, nor does it
/// stand. Only a leader's own wish to hand over releases it.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    /// Its origin is the opening of the log.
    clock: SystemClock,
    lasts: Duration,
}

impl Promise {
    /// For a server that has just opened its log and found this vote in it.
    pub(crate) fn new(own: u64, vote: Option<Vote>, lease: Duration) -> Self {
        let followed = vote.is_some_and(|vote| vote.committed && vote.leader_id.node_id != own);
        Self { clock: SystemClock::default(), lasts: if followed { lease } else { Duration::ZERO } }
    }

    /// Whether it still has to be kept.
    pub(crate) fn holds(&self) -> bool {
        self.clock.now().since(Moment::default()) < self.lasts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_followed_another_has_promised_anything() {
        let lease = Duration::from_secs(600);
        assert!(Promise::new(1, Some(Vote::new_committed(7, 2)), lease).holds());
        assert!(!Promise::new(1, Some(Vote::new_committed(7, 2)), Duration::ZERO).holds());
        for vote in [None, Some(Vote::new(7, 2)), Some(Vote::new_committed(7, 1))] {
            assert!(!Promise::new(1, vote, lease).holds(), "{vote:?}");
        }
    }
}
