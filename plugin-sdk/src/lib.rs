//! Write health checks and event handlers for Lictor as WebAssembly components.
//!
//! A check is a function from a typed configuration to a [`Verdict`]:
//!
//! ```
//! use lictor_plugin_sdk::{check, http, Ctx, Fault, Schema, Verdict};
//!
//! /// The check's configuration; the comments become the schema's descriptions.
//! #[derive(serde::Deserialize, Schema)]
//! struct Config {
//!     /// What to request.
//!     url: String,
//! }
//!
//! #[check(name = "is_ok", summary = "passes while a URL answers 200", needs("http {config.url}"))]
//! fn is_ok(ctx: &Ctx, config: Config) -> Result<Verdict, Fault> {
//!     let response = ctx.http(&http::Request::get(&config.url))?;
//!     Ok(match response.status {
//!         200 => Verdict::passing("fine"),
//!         other => Verdict::critical(format!("answered {other}")),
//!     })
//! }
//! # fn main() {}
//! ```
//!
//! The `?` above does the right thing: a target that refuses the connection is a critical verdict,
//! while a request that is not granted is a [`Fault`], which says that the check could not look.
//!
//! Compiled for `wasm32`, such a crate is a component. Compiled natively it can be tested without
//! an agent and without WebAssembly, against the scripted answers of a [`testing::MockHost`].
//!
//! This crate knows the WIT package in `wit/` and nothing of the agent.

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;

mod ctx;
pub mod dns;
mod event;
pub mod exec;
pub mod http;
pub mod http2;
mod outcome;
mod plugin;
mod probe;
pub mod schema;
mod target;
pub mod tcp;
pub mod testing;
pub mod tls;
pub mod udp;

pub use ctx::{Ctx, Host, Level};
pub use event::Event;
pub use lictor_plugin_sdk_macros::{check, on_event};
pub use outcome::{Fault, Metric, Status, Verdict};
pub use plugin::{CheckPlugin, Descriptor, EventPlugin};
pub use probe::{Misbehaviour, ProbeError, TargetFault, Timings, TlsOptions};
pub use schema::Schema;
pub use target::Target;

/// What the macros' code refers to.
#[doc(hidden)]
pub mod private {
    pub use serde_json;
}
