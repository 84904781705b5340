//! From bytes to a component that is ready to run, once per component.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lictor_model::{Error, Result};
use lictor_sys::file;
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::bindings::types::Descriptor;
use crate::bindings::{CHECKER, HANDLER, HealthCheckPre};
use crate::cache::hex;
use crate::figures::Figures;
use crate::host::Host;
use crate::library::Source;
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
}

fn refuse(file: &str, what: impl std::fmt::Display) -> Error {
    Error::invalid(format!("plugin {file}: {what}"))
}

/// Loads a component, or finds it loaded.
pub(crate) async fn load(host: &Arc<Host>, file: &str, source: Source) -> Result<Arc<Loaded>> {
    let (digest, bytes) = identify(host, file, source.clone()).await?;
    let slot = {
        let mut shelf = host.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shelf.entry(digest.clone()).or_default())
    };
    let loaded = slot.get_or_try_init(|| async {
        let component = match bytes {
            Some(bytes) => compile(host, file, &digest, bytes).await?,
            // The digest was known from before but loading failed then: once more, from the start.
            None => match read(host, file, source).await? {
                (found, bytes) if found == digest => compile(host, file, &digest, bytes).await?,
                _ => return Err(refuse(file, "the file changes while it is read")),
            },
        };
        finish(host, file, digest, &component).await.map(Arc::new)
    });
    loaded.await.cloned()
}

/// The digest of a component, and its bytes if they had to be read for it.
async fn identify(host: &Arc<Host>, file: &str, source: Source) -> Result<(String, Option<Arc<[u8]>>)> {
    let Source::File(path) = &source else {
        return read(host, file, source).await.map(|(digest, bytes)| (digest, Some(bytes)));
    };
    let metadata = std::fs::metadata(path).map_err(|error| refuse(file, error))?;
    let stamp = (metadata.len(), metadata.modified().map_err(|error| refuse(file, error))?);
    if metadata.len() > host.limits.component_size {
        return Err(refuse(file, format_args!("larger than {} MiB", host.limits.component_size >> 20)));
    }
    let known = {
        let files = host.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(path).filter(|(size, time, _)| (*size, *time) == stamp).map(|(_, _, digest)| digest.clone())
    };
    if let Some(digest) = known {
        return Ok((digest, None));
    }
    let path = path.clone();
    let (digest, bytes) = read(host, file, source).await?;
    let mut files = host.files.lock().unwrap_or_else(PoisonError::into_inner);
    files.insert(path, (stamp.0, stamp.1, digest.clone()));
    Ok((digest, Some(bytes)))
}

async fn read(host: &Host, file: &str, source: Source) -> Result<(String, Arc<[u8]>)> {
    let limit = host.limits.component_size;
    let work = host.handle.spawn_blocking(move || {
        let bytes: Arc<[u8]> = match source {
            Source::BuiltIn(bytes) => bytes.into(),
            Source::File(path) => file::read_bounded(&path, limit)?.into(),
        };
        Ok::<_, std::io::Error>((hex(&Sha256::digest(&bytes)), bytes))
    });
    work.await.map_err(|_| Error::stopping())?.map_err(|error| refuse(file, error))
}

/// The component from the cache, or else compiled.
async fn compile(host: &Arc<Host>, file: &str, digest: &str, bytes: Arc<[u8]>) -> Result<Component> {
    check_magic(file, &bytes)?;
    let _one_at_a_time = host.compiling.lock().await;
    let (theirs, key) = (Arc::clone(host), digest.to_owned());
    let work = host.handle.spawn_blocking(move || {
        if let Some(component) = theirs.cache.load(&theirs.engine, &key) {
            return Ok(component);
        }
        let component = Component::new(&theirs.engine, &bytes)?;
        theirs.cache.store(&key, &component);
        Ok(component)
    });
    let limit = host.limits.compile_time;
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
    let descriptor = run::describe(host, &pre, file, DESCRIBE_TIME)
        .await
        .map_err(|(_, message)| refuse(file, format_args!("does not describe itself: {message}")))?;
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
    })
}
