//! Port numbers that nobody else on this machine takes.
//!
//! Numbers come in blocks below the range that the kernel hands out by itself. The first of a
//! block is bound for as long as the block is held, so that other test processes leave it alone,
//! also while an agent is down; the others are for use.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use rand::Rng;

/// How many numbers a block has; the first is the guard.
const BLOCK: u16 = 8;
/// Where blocks may begin.
const FIRST: u16 = 10_000;
/// Where they end; the kernel's own range begins above.
const LAST: u16 = 32_000;
/// How many blocks are tried.
const ATTEMPTS: usize = 1000;

/// A block of port numbers, reserved until it is dropped.
#[derive(Debug)]
pub struct Ports {
    guard: TcpListener,
    first: u16,
}

impl Ports {
    /// Reserves a block.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn reserve() -> Self {
        let mut random = rand::rng();
        for _ in 0..ATTEMPTS {
            let first = random.random_range(0..(LAST - FIRST) / BLOCK) * BLOCK + FIRST;
            let Ok(guard) = TcpListener::bind((Ipv4Addr::LOCALHOST, first)) else { continue };
            if (1..BLOCK).all(|offset| is_free(first + offset)) {
                return Self { guard, first };
            }
        }
        panic!("no free ports between {FIRST} and {LAST}");
    }

    /// The number at a place in the block, counted from 0.
    ///
    /// # Panics
    /// If the block ends before.
    #[must_use]
    pub fn at(&self, place: u16) -> u16 {
        assert!(place + 1 < BLOCK, "a block has {} ports", BLOCK - 1);
        self.first + 1 + place
    }

    /// Which of the numbers somebody listens on, by TCP or UDP.
    #[must_use]
    pub fn busy(&self) -> Vec<u16> {
        debug_assert!(self.guard.local_addr().is_ok());
        (1..BLOCK).map(|offset| self.first + offset).filter(|port| !is_free(*port)).collect()
    }
}

fn is_free(port: u16) -> bool {
    let at = (Ipv4Addr::LOCALHOST, port);
    TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
}
