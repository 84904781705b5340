//! Digests that tie a committed component to what it was built from.
//!
//! A digest file holds two lines: the digest over the sources, and the one over the component.
//! The sources are the plugin's folder, the SDK, the WIT package and the plugins' lock file and
//! manifest. How a toolchain turned them into bytes is not part of it: that differs by compiler.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Result;
use crate::component::Component;

/// What all components are built from.
const SHARED: &[&str] = &["wit", "plugin-sdk", "plugins/Cargo.toml", "plugins/Cargo.lock"];

/// Whether a file makes a difference to the component.
fn is_source(path: &Path) -> bool {
    matches!(path.extension().and_then(|extension| extension.to_str()), Some("rs" | "toml" | "lock" | "wit"))
}

fn collect(root: &Path, path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let full = root.join(path);
    if !full.is_dir() {
        if is_source(path) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    for entry in fs::read_dir(&full)? {
        let name = entry?.file_name();
        // What only tests see does not end up in a component.
        if name != "target" && name != "tests" {
            collect(root, &path.join(name), files)?;
        }
    }
    Ok(())
}

fn sources(root: &Path, component: &Component) -> Result<String> {
    let mut files = Vec::new();
    collect(root, Path::new(component.source), &mut files)?;
    for shared in SHARED {
        collect(root, Path::new(shared), &mut files)?;
    }
    files.sort();
    let mut hasher = Sha256::new();
    for file in files {
        let content = fs::read(root.join(&file))?;
        hasher.update(format!("{}\0{}\0", file.display(), content.len()));
        hasher.update(content);
    }
    Ok(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(root: &Path, component: &Component) -> Result<String> {
    let blob = hex(&Sha256::digest(fs::read(root.join(component.output()))?));
    Ok(format!("{}  sources\n{blob}  {}.wasm\n", sources(root, component)?, component.name))
}

fn file(root: &Path, component: &Component) -> PathBuf {
    root.join(format!("{}.digest", component.output()))
}

/// Notes what the component was built from.
pub(crate) fn write(root: &Path, component: &Component) -> Result<()> {
    Ok(fs::write(file(root, component), text(root, component)?)?)
}

/// Fails if the component or its sources are not those that were noted.
pub(crate) fn verify(root: &Path, component: &Component) -> Result<()> {
    let noted = fs::read_to_string(file(root, component))?;
    let actual = text(root, component)?;
    match noted.lines().zip(actual.lines()).position(|(noted, actual)| noted != actual) {
        None => Ok(()),
        Some(0) => Err("its sources, the SDK, the WIT package or the lock file have changed".into()),
        Some(_) => Err("the file is not the one that was built".into()),
    }
}
