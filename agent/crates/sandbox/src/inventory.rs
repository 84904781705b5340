//! What there is to run checks with, for whoever wants to see it.

use std::time::Duration;

use crate::bindings::WORLD;
use crate::figures::PluginFigures;
use crate::loaded::Loaded;

/// A component, built in or a file.
#[derive(Clone, Debug)]
pub struct PluginEntry {
    /// What check definitions call it.
    pub file: String,
    /// What became of it.
    pub state: PluginState,
}

/// What became of a component.
#[derive(Clone, Debug)]
pub enum PluginState {
    /// It can be used.
    Loaded(Box<PluginDescription>),
    /// It cannot, for this reason.
    Refused(String),
    /// There are too many files to look into all of them, or it would take too long now.
    NotRead,
}

/// What is known of a component that is loaded.
#[derive(Clone, Debug)]
pub struct PluginDescription {
    /// What it calls itself.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// SHA-256 over the component, in hex.
    pub digest: String,
    /// The world it is made for, with the version.
    pub world: &'static str,
    /// The JSON Schema of its configuration; empty if it has none.
    pub schema: String,
    /// It is the agent's own.
    pub built_in: bool,
    /// Bytes of the component.
    pub size: usize,
    /// How long it took to compile it, or to take it from the cache.
    pub compile_time: Duration,
    /// What its runs came to.
    pub figures: PluginFigures,
}

impl PluginDescription {
    pub(crate) fn of(loaded: &Loaded) -> Self {
        Self {
            name: loaded.name.to_string(),
            version: loaded.version.clone(),
            summary: loaded.summary.clone(),
            digest: loaded.digest.clone(),
            world: WORLD,
            schema: loaded.schema_text.clone(),
            built_in: loaded.built_in,
            size: loaded.size,
            compile_time: loaded.compile_time,
            figures: loaded.figures.snapshot(),
        }
    }
}
