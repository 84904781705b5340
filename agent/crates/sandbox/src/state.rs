//! What belongs to one run and goes with it.

use std::fmt;
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{Result, UpdateDeadline};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::config::Limits;
use crate::limiter::Limiter;
use crate::ticker::TICK;
use crate::wasi::{self, Hooks};
use crate::wire::Leash;

/// A limit was broken in a way that ends the run; the text names it.
#[derive(Debug)]
pub(crate) struct Breach(pub(crate) String);

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Breach {}

/// The data of a run's store.
pub(crate) struct RunState {
    pub(crate) plugin: Arc<str>,
    pub(crate) leash: Leash,
    pub(crate) limiter: Limiter,
    limits: Limits,
    ticks: u64,
    log_lines: u32,
    output: MemoryOutputPipe,
    table: ResourceTable,
    /// Made when it is first asked for: the built-in plugins do without.
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
    hooks: Hooks,
}

impl RunState {
    pub(crate) fn new(plugin: Arc<str>, leash: Leash, limits: Limits) -> Self {
        Self {
            limiter: Limiter::new(limits),
            limits,
            ticks: 0,
            log_lines: 0,
            wasi: None,
            output: MemoryOutputPipe::new(wasi::OUTPUT),
            table: ResourceTable::new(),
            http: WasiHttpCtx::new(),
            hooks: Hooks::new(leash.clone()),
            plugin,
            leash,
        }
    }

    /// A tick passed while the guest was computing. One that passed while it waited for an answer
    /// counts once at most, when it goes on.
    pub(crate) fn tick(&mut self) -> Result<UpdateDeadline> {
        self.ticks += 1;
        let used = TICK.saturating_mul(u32::try_from(self.ticks).unwrap_or(u32::MAX));
        if used > self.limits.cpu {
            return Err(Breach(format!("processor time limit of {:?} reached", self.limits.cpu)).into());
        }
        // Other guests on the same thread get their turn with every tick.
        Ok(UpdateDeadline::Yield(1))
    }

    /// Counts one more line to the log.
    pub(crate) fn count_log_line(&mut self) -> Result<()> {
        self.log_lines += 1;
        if self.log_lines > self.limits.log_lines {
            return Err(Breach(format!("limit of {} log lines reached", self.limits.log_lines)).into());
        }
        Ok(())
    }

    /// What the guest wrote to its standard output and error.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.contents()).into_owned()
    }
}

impl WasiView for RunState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| wasi::context(&self.leash, &self.output));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl WasiHttpView for RunState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}
