//! Whose turn it is to run.
//!
//! Three gates, passed in order: the service's own, so that one service with a thousand checks
//! takes no more than its share; the slow lane's, for checks that timed out last time, so that
//! targets that hang hold only a part of the pool; and the pool's. Each is a fair queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The part of the pool that one service, or all slow checks, may hold.
const SHARE: usize = 4;

/// The gates.
#[derive(Debug)]
pub(crate) struct Turns {
    pool: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    services: Mutex<HashMap<String, Weak<Semaphore>>>,
    share: usize,
    wait: Duration,
}

/// A turn; it ends with the value.
#[derive(Debug)]
pub(crate) struct Turn(
    #[expect(dead_code, reason = "held for their drop")] [Option<OwnedSemaphorePermit>; 3],
);

impl Turns {
    pub(crate) fn new(concurrency: usize, wait: Duration) -> Self {
        let share = (concurrency / SHARE).max(1);
        Self {
            pool: Arc::new(Semaphore::new(concurrency.max(1))),
            slow: Arc::new(Semaphore::new(share)),
            services: Mutex::default(),
            share,
            wait,
        }
    }

    /// A service's own gate; it exists for as long as one of its checks does.
    pub(crate) fn service(&self, name: &str) -> Arc<Semaphore> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = services.get(name).and_then(Weak::upgrade) {
            return gate;
        }
        services.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(Semaphore::new(self.share));
        services.insert(name.to_owned(), Arc::downgrade(&gate));
        gate
    }

    /// Waits for a turn; none if it took too long.
    pub(crate) async fn take(&self, service: &Arc<Semaphore>, slow: bool) -> Option<Turn> {
        let gates = async {
            let service = Arc::clone(service).acquire_owned().await.ok();
            let lane = if slow { Arc::clone(&self.slow).acquire_owned().await.ok() } else { None };
            let pool = Arc::clone(&self.pool).acquire_owned().await.ok();
            Turn([service, lane, pool])
        };
        tokio::time::timeout(self.wait, gates).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_service_leaves_room_for_others_and_slow_checks_for_quick_ones() {
        let turns = Turns::new(8, Duration::from_millis(20));
        let (greedy, modest) = (turns.service("greedy"), turns.service("modest"));
        let mut held = Vec::new();
        while let Some(turn) = turns.take(&greedy, false).await {
            held.push(turn);
        }
        assert_eq!(held.len(), 2);
        assert!(turns.take(&modest, false).await.is_some());

        let slow: Vec<_> = [turns.take(&modest, true).await, turns.take(&modest, true).await].into();
        assert!(slow.iter().all(Option::is_some));
        assert!(turns.take(&turns.service("third"), true).await.is_none());
        assert!(turns.take(&turns.service("third"), false).await.is_some());
    }

    #[test]
    fn gates_go_with_their_services() {
        let turns = Turns::new(8, Duration::ZERO);
        for number in 0..100 {
            drop(turns.service(&number.to_string()));
        }
        assert!(turns.services.lock().unwrap().len() <= 1);
    }
}
