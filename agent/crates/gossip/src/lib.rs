//! Who is in the cluster: membership by gossip, on foca's SWIM.
//!
//! [`Pool`] is the protocol without input and output: it takes packets and the time and returns
//! packets and [`MemberEvent`]s, so that whole clusters run in a test without sockets or waiting.
//! [`Gossip`] drives one over a UDP socket.
//!
//! foca finds out who is there and who has failed; what it does not do stands in [`mod@pool`]: what
//! members say of themselves (name, tags), leaving as opposed to failing, joining over a lossy
//! network, and forgetting who has been away for long.
//!
//! What this room must never do: decide anything from membership (that is the leader's duty), let
//! a queue grow without bound, or trust a packet. Packets that make no sense are counted and
//! dropped; packets are not encrypted yet, and [`mod@wire`] is the one place where that belongs.

mod driver;
mod event;
mod options;
mod pool;
mod record;
mod wire;

pub use driver::{Gossip, JoinError};
pub use event::MemberEvent;
pub use options::Options;
pub use pool::{Figures, Input, Output, Pool};
pub use record::RecordError;

#[cfg(test)]
mod tests;
