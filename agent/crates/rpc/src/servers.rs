//! The servers that an agent without a state of its own may ask.

use std::collections::VecDeque;
use std::net::SocketAddr;

use lictor_sys::random;
use tokio::sync::watch;

/// Servers in the order in which they are asked: the first until it fails.
///
/// Every agent has them in an order of its own, and changes it now and then, so that the agents
/// spread over the servers, also over those that came later.
#[derive(Debug)]
pub struct Servers {
    order: watch::Sender<VecDeque<SocketAddr>>,
}

impl Default for Servers {
    fn default() -> Self {
        Self { order: watch::Sender::new(VecDeque::new()) }
    }
}

impl Servers {
    /// Takes up which servers there are. Those that are known keep their place; new ones get one
    /// by chance. Says whether there are new ones.
    pub fn update(&self, there: &[SocketAddr]) -> bool {
        let mut has_new = false;
        self.order.send_modify(|order| {
            order.retain(|known| there.contains(known));
            let known = order.len();
            for server in there {
                if !order.contains(server) {
                    let place = random::below(order.len() + 1);
                    order.insert(place, *server);
                }
            }
            has_new = order.len() > known;
        });
        has_new
    }

    /// Puts them into another order.
    pub fn shuffle(&self) {
        self.order.send_modify(|order| {
            for place in (1..order.len()).rev() {
                order.swap(place, random::below(place + 1));
            }
        });
    }

    /// The server to ask next; none if none is known.
    #[must_use]
    pub fn first(&self) -> Option<SocketAddr> {
        self.order.borrow().front().copied()
    }

    /// Notes that a server did not answer: the others are asked before it.
    pub fn failed(&self, server: SocketAddr) {
        self.order.send_modify(|order| {
            if order.front() == Some(&server) {
                order.rotate_left(1);
            }
        });
    }

    /// Waits until a server is none of those that are there.
    pub async fn gone(&self, server: SocketAddr) {
        // The sender is this, so that the channel is open.
        let _ = self.order.subscribe().wait_for(|order| !order.contains(&server)).await;
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.order.borrow().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 8300))
    }

    #[test]
    fn one_that_fails_is_asked_last_and_one_that_is_gone_never() {
        let servers = Servers::default();
        assert_eq!(servers.first(), None);
        assert!(servers.update(&[server(1), server(2), server(3)]));
        let first = servers.first().unwrap();
        servers.failed(first);
        let second = servers.first().unwrap();
        assert_ne!(first, second);
        servers.failed(first);
        assert_eq!(servers.first(), Some(second), "only who is first can lose that place");
        assert!(!servers.update(&[first]));
        assert_eq!((servers.first(), servers.count()), (Some(first), 1));
    }

    #[test]
    fn agents_spread_over_the_servers() {
        let there = [server(1), server(2), server(3)];
        let mut asked = [0; 3];
        for _ in 0..300 {
            let servers = Servers::default();
            servers.update(&there);
            let first = servers.first().unwrap();
            asked[there.iter().position(|server| *server == first).unwrap()] += 1;
        }
        assert!(asked.iter().all(|agents| *agents > 30), "{asked:?}");
    }
}
