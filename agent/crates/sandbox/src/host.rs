//! What all runs share: the engine, the threads that run guests, the pool, the loaded components.
//!
//! It starts with the first check that needs it. Guests run on threads of their own, so that
//! nothing they do delays the agent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lictor_model::{Error, Result};
use tokio::sync::OnceCell;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::HealthCheck;
use crate::cache::Cache;
use crate::config::{Limits, SandboxConfig};
use crate::library::Source;
use crate::loaded::Loaded;
use crate::refusals::Refusals;
use crate::state::RunState;
use crate::threads::Threads;
use crate::ticker::Ticker;
use crate::turns::Turns;
use crate::wire::tls::Tls;

/// How much stack a guest has.
pub(crate) const GUEST_STACK: usize = 256 << 10;
/// How much stack a guest and what the host does on its behalf have together.
const FIBER_STACK: usize = 2 << 20;
/// Instances beyond the concurrency that the gates allow: for `describe`, and for runs that were
/// given up and are being cleared away.
const SPARE: usize = 16;
/// Core instances per run to make room for; a Rust component uses three.
const CORE_INSTANCES: usize = 4;

/// Slots of the pool that keep their pages for the next run of the same component.
const WARM: u32 = 32;
/// Bytes of a memory that are cleared by hand and kept, instead of being given back to the kernel
/// and faulted in again by the next run. Only where the kernel says which pages those are: without
/// that, clearing takes longer than giving back.
const KEPT_MEMORY: usize = 256 << 10;
/// The same of a table.
const KEPT_TABLE: usize = 16 << 10;

/// Components by digest; each is loaded once, by whoever comes first.
pub(crate) type Shelf = Mutex<HashMap<String, Arc<OnceCell<Arc<Loaded>>>>>;

/// Everything that runs guests.
pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<RunState>,
    pub(crate) cache: Cache,
    pub(crate) ticker: Ticker,
    pub(crate) turns: Turns,
    pub(crate) tls: Arc<Tls>,
    pub(crate) limits: Limits,
    pub(crate) threads: Threads,
    pub(crate) shelf: Shelf,
    /// The digests of what is loaded, by where it came from. A file that changes is not looked at
    /// again before somebody asks for it.
    pub(crate) known: Mutex<HashMap<Source, String>>,
    /// What need not be compiled again.
    pub(crate) refusals: Refusals,
    /// Compiling takes much memory: one at a time.
    pub(crate) compiling: Arc<tokio::sync::Mutex<()>>,
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::failed(format!("the plugin sandbox does not start: {what}: {error}"))
}

fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn engine(config: &SandboxConfig) -> wasmtime::Result<Engine> {
    let limits = &config.limits;
    let runs = config.concurrency.max(1) + SPARE;
    let cores = (runs * CORE_INSTANCES).max(limits.instances);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(number(runs))
        .total_core_instances(number(cores))
        .total_memories(number(runs * 2))
        .total_tables(number(cores))
        .total_stacks(number(runs))
        .max_core_instances_per_component(number(limits.instances))
        .max_memories_per_component(8)
        .max_tables_per_component(number(limits.instances))
        .max_memory_size(limits.memory)
        .table_elements(limits.table_elements)
        .max_unused_warm_slots(WARM)
        .table_keep_resident(KEPT_TABLE)
        .pagemap_scan(Enabled::Auto);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.linear_memory_keep_resident(KEPT_MEMORY);
    }
    let mut settings = Config::new();
    settings
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        // Accesses are checked instead of trapped: what a run has grown stays mapped for the next
        // one, and neither growing nor shrinking it costs a system call.
        .signals_based_traps(false)
        .memory_reservation(limits.memory as u64)
        .memory_guard_size(0)
        // Compiling would otherwise take every processor, and with them the agent's other duties.
        .parallel_compilation(false)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(FIBER_STACK);
    Engine::new(&settings)
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<RunState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    HealthCheck::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}

impl Host {
    /// Starts engine and threads. Blocks for some milliseconds.
    pub(crate) fn start(config: &SandboxConfig) -> Result<Self> {
        let engine = engine(config).map_err(|error| failed("engine", &error))?;
        let linker = linker(&engine).map_err(|error| failed("imports", &error))?;
        let ticker = Ticker::start(&engine).map_err(|error| failed("ticker", &error))?;
        let threads = Threads::start(config.threads).map_err(|error| failed("threads", &error))?;
        Ok(Self {
            cache: Cache::open(config.cache_dir.as_deref(), &engine),
            engine,
            linker,
            ticker,
            turns: Turns::new(config.concurrency, config.queue_wait),
            tls: Arc::default(),
            limits: config.limits,
            threads,
            shelf: Mutex::default(),
            known: Mutex::default(),
            refusals: Refusals::default(),
            compiling: Arc::default(),
        })
    }

    /// Ends all runs, and the threads once they are done with what cannot be interrupted.
    pub(crate) async fn shutdown(&self, patience: Duration) {
        self.threads.end(patience).await;
    }
}
