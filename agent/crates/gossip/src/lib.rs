//! Who is in the cluster: membership by gossip, on foca's SWIM.
//!
//! [`Pool`] is the protocol without input and output: it takes packets, questions and the time and
//! returns packets, questions, answers and [`MemberEvent`]s, so that whole clusters run in a test
//! without sockets or waiting. [`Gossip`] drives one over a UDP socket and streams on the same port.
//!
//! foca finds out who is there and who has failed; what it does not do stands in [`mod@pool`].
//! [`mod@wire`] is the one place where what is sent is sealed, [`mod@talk`] what goes by stream.
//!
//! What this room must never do: decide anything from membership (that is the leader's duty), let
//! a queue grow without bound, or trust a packet. What makes no sense is counted and dropped.

mod awareness;
mod door;
mod driver;
mod event;
mod gossip;
mod keyring;
mod options;
mod places;
mod pool;
mod record;
mod streams;
mod tags;
mod talk;
mod vivaldi;
mod wire;

pub use event::MemberEvent;
pub use gossip::{Gossip, JoinError, Stopped, listed};
pub use keyring::KeyRequest;
pub use options::{Admission, Options, Timing};
pub use pool::{Figures, FireError, Fired, Input, Output, Pool, PoolError, Unjoined};
pub use record::RecordError;
pub use talk::KeyReport;

// The simulation's world sees the crate as its users do.
#[cfg(test)]
extern crate self as lictor_gossip;

#[cfg(test)]
mod tests;
