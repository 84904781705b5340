//! What this agent knows of itself: its services, its checks and what they say.
//!
//! The agent is the source of truth for what is registered with it; the catalog is a copy that
//! [`sync`] keeps true. [`LocalState`] is a plain struct: registrations and check results go in,
//! and what the catalog lacks comes out as commands. [`persist::Files`] keeps what came over the
//! HTTP API across restarts; [`Local`] puts both behind one lock and tells who waits.
//!
//! Nothing here runs a check or talks to a server.

pub mod events;
mod handle;
mod health;
pub mod maintenance;
mod naming;
pub mod persist;
mod state;
pub mod sync;

pub use handle::{Local, content_hash};
pub use state::{Identity, LocalState, Registered, Update};
