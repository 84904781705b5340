//! The agent as its users see it: real processes, real sockets, real signals.
//!
//! Every test has agents, ports and folders of its own, so that all run at once. Nothing waits by
//! sleeping; [`lictor_testkit::eventually`] polls with a deadline.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests fail so, and measure real time"
)]

mod bad_input;
mod blocking;
mod checks;
mod cli;
mod directions;
mod durability;
mod edges;
mod events;
mod forwarding;
mod full_disk;
mod locks;
mod logs;
mod metrics;
mod prepared;
mod quickstart;
mod reload;
mod sandbox;
mod snapshots;
mod startup;
mod sync;
