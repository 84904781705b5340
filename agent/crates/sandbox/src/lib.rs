//! Runs health checks that are WebAssembly components, each within its grants and limits.
//!
//! A [`Sandbox`] is the agent's [`CheckRunner`](lictor_model::probe::CheckRunner): it finds a
//! component, compiles it once, validates the configuration against the component's own schema,
//! works out what it may reach and then runs it, each time in a fresh instance on threads of its
//! own.
//!
//! What must stay true:
//! - nothing is reached that is not granted, and the address that is connected to is the one that
//!   was checked;
//! - whatever a component does (loops, hoards, crashes, floods), its run ends with a finding that
//!   names the reason, and neither the agent nor another check notices;
//! - a target's failure is a verdict; only a denial, a limit, a crash or a failure of the host is
//!   "could not look".
//!
//! This crate must never decide when to run something or what a finding does to a status, and
//! wasmtime stands in no other crate's manifest.
//!
//! Start with `sandbox.rs` for the door, `run.rs` for a run, `grants.rs` for what may be reached.

mod bindings;
mod cache;
mod config;
mod figures;
mod grants;
mod host;
mod imports;
mod inventory;
mod library;
mod limiter;
mod loaded;
mod needs;
mod probe;
mod refusals;
mod run;
mod sandbox;
mod schema;
mod state;
mod threads;
mod ticker;
mod turns;
mod wasi;
mod wire;

pub use config::{Bounds, ExecPolicy, Limits, SandboxConfig};
pub use figures::{BUCKETS, PluginFigures};
pub use inventory::{PluginDescription, PluginEntry, PluginState};
pub use sandbox::Sandbox;
