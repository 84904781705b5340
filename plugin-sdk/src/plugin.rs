//! What the attribute macros implement: a plugin as the host sees it.

use crate::ctx::Ctx;
use crate::event::Event;
use crate::outcome::{Fault, Verdict};

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its name.
    pub name: &'static str,
    /// Its own version.
    pub version: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The JSON Schema of its configuration.
    pub config_schema: String,
    /// What it has to reach, as templates.
    pub needs: &'static [&'static str],
}

/// A health check; implemented by the [`check`](macro@crate::check) attribute.
pub trait CheckPlugin {
    /// What it is.
    fn descriptor() -> Descriptor;

    /// Runs it with a configuration in JSON.
    ///
    /// # Errors
    /// The check's own faults, and a configuration that does not fit.
    fn check(ctx: &Ctx<'_>, config: &str) -> Result<Verdict, Fault>;
}

/// An event handler; implemented by the [`on_event`](macro@crate::on_event) attribute.
pub trait EventPlugin {
    /// What it is.
    fn descriptor() -> Descriptor;

    /// Handles an event with a configuration in JSON.
    ///
    /// # Errors
    /// The handler's own faults, and a configuration that does not fit.
    fn on_event(ctx: &Ctx<'_>, event: &Event, config: &str) -> Result<(), Fault>;
}
