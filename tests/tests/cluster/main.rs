//! Whole clusters of real processes, and what they promise while machines and networks fail.
//!
//! Every test is in a network of its own (see `lictor_testkit::Network`), which needs the right to
//! make one; without it these tests fail. They run one after the other, since the machine that
//! they all share is part of what they measure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests fail so, print so and measure real time"
)]

mod clients;
mod detection;
mod events;
mod failover;
mod history;
mod load;
mod membership;
mod partitions;
mod script;
mod servers;
mod snapshots;
mod turn;
