//! The only door to sockets, the clock, randomness and the disk.
//!
//! Every room that touches the outside world does it through here, so that there is one place
//! where sockets get their options, files their durability and tests their own time. This crate
//! knows nothing of service discovery and must never hold state of its own.
//!
//! Start with [`clock::Clock`]; [`mod@file`] is about files that must survive a crash, [`rotate`]
//! about those that grow, [`net`] and [`datagram`] about sockets, [`host`] about the machine,
//! [`random`] about seeds and jitter.

pub mod clock;
pub mod datagram;
pub mod file;
pub mod host;
pub mod net;
pub mod random;
pub mod rotate;
