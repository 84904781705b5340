//! Which check runs when, and what its results do to its status.
//!
//! A definition becomes a [`CheckSpec`] ([`spec::lower`]); the [`Scheduler`] runs it through any
//! [`CheckRunner`](lictor_model::probe::CheckRunner) and hands every status to a [`Reporter`].
//! Nothing here knows what a program is made of or where statuses go.
//!
//! The rules are in plain structs that take an event and a time: [`schedule::Schedule`] says when,
//! [`status::StatusMachine`] what a result means. [`Scheduler`] only feeds them.

pub mod alias;
mod expect;
pub mod schedule;
mod scheduler;
pub mod spec;
pub mod status;

pub use alias::Alias;
pub use scheduler::{Reporter, Scheduler};
pub use spec::{CheckKind, CheckSpec};
