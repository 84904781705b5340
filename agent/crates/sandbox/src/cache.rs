//! Compiled components on disk.
//!
//! An entry is named after the component's digest and everything in the engine that shapes its
//! code, so a new agent never meets an old one's entries. Beside the code lies its checksum: a
//! torn or rotten entry is compiled anew. The folder is the agent's own (0700), because what is in
//! it is native code that runs unchecked; a folder that cannot be made so is not used.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use lictor_sys::file;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// How large an entry may be; code is a few times as large as its component.
const ENTRY_LIMIT: u64 = 512 << 20;

/// The folder, if there is one that can be used.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: Option<PathBuf>,
    engine_key: String,
}

/// Feeds what is hashed to SHA-256, whose result is the same in every build.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Cache {
    pub(crate) fn open(directory: Option<&Path>, engine: &Engine) -> Self {
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine_key = hex(hasher.0.finalize().get(..8).unwrap_or_default());
        let directory = directory.and_then(|path| match file::create_private_dir(path) {
            Ok(()) => Some(path.to_owned()),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled plugins are not kept");
                None
            }
        });
        Self { directory, engine_key }
    }

    fn paths(&self, digest: &str) -> Option<(PathBuf, PathBuf)> {
        let directory = self.directory.as_ref()?;
        let name = format!("{digest}-{}", self.engine_key);
        Some((directory.join(format!("{name}.cwasm")), directory.join(format!("{name}.sum"))))
    }

    /// The component, if it is there and whole.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let (code, sum) = self.paths(digest)?;
        let noted = file::read_bounded(&sum, 64).ok()?;
        let actual = hex(&Sha256::digest(file::read_bounded(&code, ENTRY_LIMIT).ok()?));
        if noted != actual.as_bytes() {
            tracing::warn!(path = %code.display(), "a compiled plugin is damaged, compiling it anew");
            return None;
        }
        #[expect(
            unsafe_code,
            reason = "the file was written by this agent into a folder nobody else may enter, and is whole"
        )]
        // SAFETY: see the reason above; wasmtime itself checks version and settings.
        let component = unsafe { Component::deserialize_file(engine, &code) };
        component
            .inspect_err(
                |error| tracing::warn!(path = %code.display(), %error, "a compiled plugin does not load"),
            )
            .ok()
    }

    /// Keeps a component. Failing to is no reason not to run it.
    pub(crate) fn store(&self, digest: &str, component: &Component) {
        let Some((code_path, sum_path)) = self.paths(digest) else { return };
        let written = component.serialize().map_err(|error| error.to_string()).and_then(|code| {
            let sum = hex(&Sha256::digest(&code));
            file::write_atomic(&code_path, &code)
                .and_then(|()| file::write_atomic(&sum_path, sum.as_bytes()))
                .map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::warn!(path = %code_path.display(), error, "a compiled plugin was not kept");
        }
    }
}
