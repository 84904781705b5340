//! The door: a [`Sandbox`] prepares programs and can be shut down.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lictor_model::probe::{CheckRunner, Probe, Program, Target};
use lictor_model::{Error, Result};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::config::SandboxConfig;
use crate::figures::PluginFigures;
use crate::host::Host;
use crate::inventory::{PluginDescription, PluginEntry, PluginState};
use crate::library::Source;
use crate::loaded::Loaded;
use crate::{library, loaded, probe};

/// How long what cannot be interrupted, such as compiling, may hold up the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many files of a folder are read to tell what they are.
const DESCRIBED: usize = 64;

/// Runs health checks that are WebAssembly components.
///
/// Making one costs nothing: engine and threads start when the first program is prepared.
pub struct Sandbox {
    config: SandboxConfig,
    host: OnceCell<Arc<Host>>,
    stopped: AtomicBool,
}

impl Sandbox {
    /// A sandbox that has not started yet.
    #[must_use]
    pub fn new(config: SandboxConfig) -> Self {
        Self { config, host: OnceCell::new(), stopped: AtomicBool::new(false) }
    }

    async fn host(&self) -> Result<&Arc<Host>> {
        if self.stopped.load(Ordering::SeqCst) {
            return Err(Error::stopping());
        }
        let start = || async {
            let config = self.config.clone();
            let host = tokio::task::spawn_blocking(move || Host::start(&config)).await;
            host.map_err(|_| Error::failed("the plugin sandbox does not start")).flatten().map(Arc::new)
        };
        self.host.get_or_try_init(start).await
    }

    /// What each plugin did since the start, by name.
    pub fn figures(&self) -> Vec<PluginFigures> {
        let Some(host) = self.host.get() else { return Vec::new() };
        let shelf = host.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let mut figures: Vec<PluginFigures> =
            shelf.values().filter_map(|slot| slot.get()).map(|loaded| loaded.figures.snapshot()).collect();
        figures.sort_by(|a, b| (&a.plugin, &a.digest).cmp(&(&b.plugin, &b.digest)));
        figures
    }

    /// Looks at the files of loaded components again. Returns the digests of those that were
    /// replaced: probes with them are to be prepared anew.
    pub async fn refresh(&self) -> BTreeSet<String> {
        match self.host.get() {
            Some(host) => loaded::refresh(host).await,
            None => BTreeSet::new(),
        }
    }

    /// Lets go of components from files that no probe uses any more, and forgets which were refused.
    pub fn evict(&self) {
        if let Some(host) = self.host.get() {
            loaded::evict(host);
            host.refusals.clear();
        }
    }

    /// What there is: everything built in, and the files of `plugin_dir`, each loaded to find out
    /// what it is. Beyond some number of files, and once it has taken long enough, the rest are only
    /// named.
    ///
    /// # Errors
    /// If the sandbox does not start, or `plugin_dir` cannot be read.
    pub async fn inventory(&self) -> Result<Vec<PluginEntry>> {
        let host = self.host().await?;
        let until = Instant::now() + self.config.limits.inventory_time;
        let mut entries = Vec::new();
        for name in library::built_in() {
            entries.push(described(host, name.to_owned(), Source::BuiltIn(name), until).await?);
        }
        let Some(directory) = &self.config.plugin_dir else { return Ok(entries) };
        let files = library::list(directory)
            .map_err(|error| Error::failed(format!("plugin_dir {}: {error}", directory.display())))?;
        for (position, file) in files.into_iter().enumerate() {
            entries.push(if position < DESCRIBED {
                let source = Source::File(directory.join(&file));
                described(host, file, source, until).await?
            } else {
                PluginEntry { file, state: PluginState::NotRead }
            });
        }
        loaded::evict(host);
        Ok(entries)
    }

    /// Ends all runs and the threads that run them. Probes that are run later answer that the
    /// agent is shutting down.
    pub async fn shutdown(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(host) = self.host.get() {
            host.shutdown(PATIENCE).await;
        }
    }
}

/// What a component says of itself, or why it is of no use, if that is known in time.
async fn described(host: &Arc<Host>, file: String, source: Source, until: Instant) -> Result<PluginEntry> {
    let not_read = |file| Ok(PluginEntry { file, state: PluginState::NotRead });
    if Instant::now() >= until {
        return not_read(file);
    }
    let Ok(loaded) = tokio::time::timeout_at(until, load(host, &file, source)).await else {
        return not_read(file);
    };
    let state = match loaded? {
        Ok(loaded) => PluginState::Loaded(Box::new(PluginDescription::of(&loaded))),
        Err(error) => PluginState::Refused(error.message),
    };
    Ok(PluginEntry { file, state })
}

/// Has a component loaded over there, where it takes nobody's time. That goes on even if the caller
/// goes away: the next one will want it.
async fn load(host: &Arc<Host>, file: &str, source: Source) -> Result<Result<Arc<Loaded>>> {
    let (theirs, file) = (Arc::clone(host), file.to_owned());
    let work = host.threads.spawn(async move { loaded::load(&theirs, &file, source).await })?;
    work.await.map_err(|_| Error::stopping())
}

#[async_trait]
impl CheckRunner for Sandbox {
    async fn prepare(&self, program: &Program, target: &Target) -> Result<Arc<dyn Probe>> {
        let host = Arc::clone(self.host().await?);
        let (file, source) = library::find(self.config.plugin_dir.as_deref(), program)?;
        let loaded = load(&host, &file, source).await??;
        let probe = probe::prepare(host, loaded, &file, program, target, &self.config)?;
        Ok(Arc::new(probe))
    }
}
