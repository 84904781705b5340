//! Memory, tables and instances of one run, and what was asked for beyond them.

use wasmtime::{ResourceLimiter, Result};

use crate::config::Limits;

/// Counts what a run holds. Unlike wasmtime's own limiter it sums over all memories and tables of
/// the run, and remembers which limit was met, because guests only see a failed allocation.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    memory: usize,
    elements: usize,
    breach: Option<String>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, memory: 0, elements: 0, breach: None }
    }

    /// The limit that the run has met, for people.
    pub(crate) fn breach(&self) -> Option<&str> {
        self.breach.as_deref()
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let after = self.memory.saturating_add(desired.saturating_sub(current));
        if after > self.limits.memory {
            self.breach = Some(format!("memory limit of {} MiB reached", self.limits.memory >> 20));
            return Ok(false);
        }
        self.memory = after;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let after = self.elements.saturating_add(desired.saturating_sub(current));
        if after > self.limits.table_elements {
            self.breach = Some(format!("table limit of {} elements reached", self.limits.table_elements));
            return Ok(false);
        }
        self.elements = after;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.instances
    }

    fn memories(&self) -> usize {
        self.limits.instances
    }
}
