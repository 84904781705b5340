//! From bytes to a component that is ready to run, once per component.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lictor_model::probe::Blindness;
use lictor_model::{Code, Error, Result};
use lictor_sys::file;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use wasmtime::component::Component;

use crate::bindings::types::Descriptor;
use crate::bindings::{CHECKER, HANDLER, HealthCheckPre};
use crate::cache::hex;
use crate::figures::Figures;
use crate::host::Host;
use crate::library::{self, Source};
use crate::needs::Need;
use crate::run;
use crate::schema::Schema;
use crate::state::RunState;

/// How long `describe` may take.
const DESCRIBE_TIME: Duration = Duration::from_secs(5);
/// How long what a plugin calls itself may be.
const NAME: usize = 128;

/// A component that is ready to run.
pub(crate) struct Loaded {
    pub(crate) pre: HealthCheckPre<RunState>,
    /// What the plugin calls itself.
    pub(crate) name: Arc<str>,
    pub(crate) version: String,
    pub(crate) digest: String,
    pub(crate) schema: Schema,
    pub(crate) needs: Vec<Need>,
    pub(crate) figures: Figures,
    /// One line for people.
    pub(crate) summary: String,
    /// The schema as the plugin wrote it.
    pub(crate) schema_text: String,
    /// It is the agent's own.
    pub(crate) built_in: bool,
    /// Bytes of the component.
    pub(crate) size: usize,
    /// How long it took to compile it, or to take it from the cache.
    pub(crate) compile_time: Duration,
}

fn refuse(file: &str, what: impl std::fmt::Display) -> Error {
    Error::invalid(format!("plugin {file}: {what}"))
}

/// Loads a component, or finds it loaded.
pub(crate) async fn load(host: &Arc<Host>, file: &str, source: Source) -> Result<Arc<Loaded>> {
    let known = host.known.lock().unwrap_or_else(PoisonError::into_inner).get(&source).cloned();
    if let Some(digest) = known {
        let shelf = host.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = shelf.get(&digest).and_then(|slot| slot.get()) {
            return Ok(Arc::clone(loaded));
        }
    }
    let (digest, bytes) = read(host, file, source.clone()).await?;
    put(host, file, source, digest, bytes).await
}

/// Loads a component that has been read, and notes that this is what its source has.
async fn put(
    host: &Arc<Host>,
    file: &str,
    source: Source,
    digest: String,
    bytes: Arc<[u8]>,
) -> Result<Arc<Loaded>> {
    let slot = {
        let mut shelf = host.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shelf.entry(digest.clone()).or_default())
    };
    let built_in = matches!(source, Source::BuiltIn(_));
    let loaded = slot.get_or_try_init(|| async {
        // Asked here, so that who waited for another's attempt learns what came of it.
        if let Some(refusal) = host.refusals.get(file, &digest) {
            return Err(refusal);
        }
        let made = make(host, file, &digest, bytes, built_in).await;
        made.map(Arc::new).inspect_err(|error| host.refusals.note(file, &digest, error))
    });
    let loaded = loaded.await.cloned()?;
    // Only what could be loaded: a file that is broken is read again until it is not.
    host.known.lock().unwrap_or_else(PoisonError::into_inner).insert(source, digest);
    Ok(loaded)
}

/// Compiles a component and learns what it is.
async fn make(
    host: &Arc<Host>,
    file: &str,
    digest: &str,
    bytes: Arc<[u8]>,
    built_in: bool,
) -> Result<Loaded> {
    let size = bytes.len();
    let started = Instant::now();
    let component = compile(host, file, digest, bytes).await?;
    let compile_time = started.elapsed();
    let loaded = finish(host, file, digest.to_owned(), &component).await?;
    Ok(Loaded { built_in, size, compile_time, ..loaded })
}

/// Reads the files again whose components are loaded. Returns the digests that were replaced; a
/// file that is gone or broken now leaves what was loaded from it before.
pub(crate) async fn refresh(host: &Arc<Host>) -> BTreeSet<String> {
    host.refusals.clear();
    let known = host.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut replaced = BTreeSet::new();
    for (source, digest) in known {
        let Source::File(path) = &source else { continue };
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let renewed = match read(host, &file, source.clone()).await {
            Ok((new, _)) if new == digest => continue,
            Ok((new, bytes)) => put(host, &file, source, new, bytes).await.map(drop),
            Err(error) => Err(error),
        };
        match renewed {
            Ok(()) => drop(replaced.insert(digest)),
            Err(error) => {
                tracing::error!("{}; its checks go on with what was loaded from it before", error.message);
            }
        }
    }
    replaced
}

/// Lets go of components from files that no check uses.
pub(crate) fn evict(host: &Host) {
    let mut shelf = host.shelf.lock().unwrap_or_else(PoisonError::into_inner);
    shelf.retain(|_, slot| match slot.get() {
        Some(loaded) => loaded.built_in || Arc::strong_count(loaded) > 1,
        // Somebody is loading it, or could not.
        None => Arc::strong_count(slot) > 1,
    });
    let mut known = host.known.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|_, digest| shelf.contains_key(digest));
}

async fn read(host: &Host, file: &str, source: Source) -> Result<(String, Arc<[u8]>)> {
    let limit = host.limits.component_size;
    let work = host.threads.spawn_blocking(move || {
        let bytes: Arc<[u8]> = match source {
            Source::BuiltIn(name) => library::built_in_bytes(name).into(),
            Source::File(path) if std::fs::metadata(&path)?.len() > limit => {
                let message = format!("larger than {} MiB", limit >> 20);
                return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
            }
            Source::File(path) => file::read_bounded(&path, limit)?.into(),
        };
        Ok::<_, std::io::Error>((hex(&Sha256::digest(&bytes)), bytes))
    })?;
    work.await.map_err(|_| Error::stopping())?.map_err(|error| refuse(file, error))
}

/// The component from the cache, or else compiled.
async fn compile(host: &Arc<Host>, file: &str, digest: &str, bytes: Arc<[u8]>) -> Result<Component> {
    check_magic(file, &bytes)?;
    let limit = host.limits.compile_time;
    let turn = tokio::time::timeout(limit, Arc::clone(&host.compiling).lock_owned());
    let turn = turn.await.map_err(|_| {
        Error::new(Code::Overloaded, format!("plugin {file}: waits too long for others to be compiled"))
    })?;
    let (theirs, key) = (Arc::clone(host), digest.to_owned());
    let work = host.threads.spawn_blocking(move || {
        // It goes on when nobody waits for it any more, and is to be the only one even then.
        let _turn = turn;
        if let Some(component) = theirs.cache.load(&theirs.engine, &key) {
            return Ok(component);
        }
        let component = Component::new(&theirs.engine, &bytes)?;
        theirs.cache.store(&key, &component);
        Ok(component)
    })?;
    let compiled: wasmtime::Result<Component> = tokio::time::timeout(limit, work)
        .await
        .map_err(|_| refuse(file, format_args!("compiling takes longer than {limit:?}")))?
        .map_err(|_| Error::stopping())?;
    compiled.map_err(|error| refuse(file, format_args!("is not a valid component: {error:#}")))
}

/// Says clearly what a file is that is no component.
fn check_magic(file: &str, bytes: &[u8]) -> Result<()> {
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 0x0d, 0, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Err(refuse(
            file,
            "is a core WebAssembly module, not a component; make one of it, for example with `wasm-tools component new`",
        )),
        _ => Err(refuse(file, "is not a WebAssembly component")),
    }
}

/// Links the component and asks it what it is.
async fn finish(host: &Arc<Host>, file: &str, digest: String, component: &Component) -> Result<Loaded> {
    check_world(host, file, component)?;
    let pre = host
        .linker
        .instantiate_pre(component)
        .map_err(|error| refuse(file, format_args!("imports what this agent does not offer: {error:#}")))?;
    let pre = HealthCheckPre::new(pre).map_err(|error| {
        refuse(file, format_args!("is not a health check as this agent knows them: {error:#}"))
    })?;
    let descriptor =
        run::describe(host, &pre, file, DESCRIBE_TIME).await.map_err(|(blindness, message)| {
            let error = refuse(file, format_args!("does not describe itself: {message}"));
            // Time and room may be short only now.
            if blindness == Blindness::Trap { error } else { Error::failed(error.message) }
        })?;
    understand(file, digest, pre, descriptor)
}

fn check_world(host: &Host, file: &str, component: &Component) -> Result<()> {
    let kind = component.component_type();
    let exports: Vec<String> = kind.exports(&host.engine).map(|(name, _)| name.to_owned()).collect();
    if exports.iter().any(|name| name.starts_with(CHECKER)) {
        return Ok(());
    }
    if exports.iter().any(|name| name.starts_with(HANDLER)) {
        return Err(refuse(file, "is an event handler, not a health check"));
    }
    let exports = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
    Err(refuse(
        file,
        format_args!("is not a health check: it exports {exports}, not lictor:plugin/checker@1.0.0"),
    ))
}

fn understand(
    file: &str,
    digest: String,
    pre: HealthCheckPre<RunState>,
    descriptor: Descriptor,
) -> Result<Loaded> {
    if descriptor.name.is_empty() || descriptor.name.len() > NAME || descriptor.version.len() > NAME {
        return Err(refuse(file, "calls itself by no usable name and version"));
    }
    let schema = Schema::parse(&descriptor.config_schema)
        .map_err(|error| refuse(file, format_args!("its configuration's schema {error}")))?;
    let needs = descriptor
        .needs
        .iter()
        .map(|need| {
            Need::parse(need).map_err(|error| refuse(file, format_args!("its need {need:?} {error}")))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Loaded {
        pre,
        figures: Figures::new(descriptor.name.clone(), digest.clone()),
        name: descriptor.name.into(),
        version: descriptor.version,
        digest,
        schema,
        needs,
        summary: descriptor.summary,
        schema_text: descriptor.config_schema,
        built_in: false,
        size: 0,
        compile_time: Duration::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::{Limits, SandboxConfig};

    fn host() -> Arc<Host> {
        let limits = Limits { compile_time: Duration::from_millis(200), ..Limits::default() };
        Arc::new(Host::start(&SandboxConfig { limits, ..SandboxConfig::default() }).unwrap())
    }

    async fn refusal(host: &Arc<Host>, path: &Path) -> String {
        load(host, "it.wasm", Source::File(path.to_owned())).await.map(drop).unwrap_err().message
    }

    /// A component up to its middle.
    fn torn(directory: &Path) -> PathBuf {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/handler.wasm");
        let whole = std::fs::read(fixture).unwrap();
        let path = directory.join("it.wasm");
        std::fs::write(&path, whole.get(..whole.len() / 2).unwrap()).unwrap();
        path
    }

    #[tokio::test]
    async fn what_was_refused_is_not_compiled_again_before_a_refresh() {
        let directory = tempfile::tempdir().unwrap();
        let (host, path) = (host(), torn(directory.path()));
        let others = Arc::clone(&host.compiling).lock_owned().await;
        let waited = refusal(&host, &path).await;
        assert!(waited.contains("waits too long for others"), "{waited}");
        drop(others);
        let why = refusal(&host, &path).await;
        assert!(why.contains("is not a valid component"), "that others were compiled was no refusal: {why}");
        // Now it does not wait for its turn to be compiled.
        let others = Arc::clone(&host.compiling).lock_owned().await;
        assert_eq!(refusal(&host, &path).await, why);
        refresh(&host).await;
        assert_eq!(refusal(&host, &path).await, waited);
        drop(others);
        host.shutdown(Duration::from_secs(1)).await;
    }
}
