//! How agents speak to one another: connections between them, and the requests these carry.
//!
//! Who needs a peer takes a [`Transport`] and never a socket, so that a test can put a whole
//! cluster into one process. A call goes over a [`Lane`], so that a bulk transfer cannot delay a
//! heartbeat; it carries opaque bytes and always has a time limit. [`Network`] is the transport
//! over TCP, [`serve`] its other end, where a [`Handler`] answers.
//!
//! On top of that, [`message`] is what agents ask servers, and [`Remote`] asks whichever server can
//! be reached, which is how an agent without a state of its own reads and writes. What is too large
//! for a message is a [`transfer`].
//!
//! The transport must never look into what it carries, and must never retry: only the caller knows
//! whether a request may be repeated. [`Remote`] repeats what certainly was not carried out, and
//! reads.

mod connection;
mod frame;
mod listener;
pub mod message;
mod network;
mod remote;
mod servers;
pub mod transfer;
mod transport;

pub use listener::{Handler, serve};
pub use network::Network;
pub use remote::{Remote, Settings as RemoteSettings, forward};
pub use servers::Servers;
pub use transport::{Alone, CallError, Lane, MAX_MESSAGE, PROTOCOL_VERSION, Transport};

#[cfg(test)]
mod tests;
