//! Starts real agents for tests and talks to them as their users do.
//!
//! Everything is blocking and on loopback. Nothing in here knows how the agent is made inside:
//! it is the built program, its configuration, its sockets and its signals. What a test starts
//! ends with it: agents are killed, targets closed, folders removed when they are dropped, and
//! the log of an agent is shown if the test failed.
//!
//! Start at [`Agent::builder`], or at [`Cluster::start`] for several agents in a [`Network`] of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "part of tests, which fail so, print so and measure real time"
)]

mod agent;
mod binary;
mod cli;
mod cluster;
mod dns;
mod http;
mod network;
mod ports;
mod target;
mod wait;

pub use agent::{Agent, Builder};
pub use binary::{lictor, repository};
pub use cli::{Cli, Ran};
pub use cluster::{Cluster, Plan};
pub use dns::{Dns, DnsReply, Rcode, Record, RecordType};
pub use http::{Http, Response};
pub use network::Network;
pub use ports::Ports;
pub use rustix::process::Signal;
pub use target::Target;
pub use wait::{eventually, eventually_within};
