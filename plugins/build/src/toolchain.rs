//! Finding a toolchain that makes WebAssembly, and running it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

const TARGET: &str = "wasm32-unknown-unknown";
/// Where Debian's packages put the compiler and the standard library's sources.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust";

/// How much of a component's memory is its stack. The usual mebibyte would be looked through after
/// each run, whether or not it was used.
const STACK: usize = 128 << 10;

/// A toolchain that makes core modules for [`TARGET`].
pub(crate) enum Toolchain {
    /// One with the target's standard library, as rustup installs it.
    Rustup,
    /// Debian's, which builds the standard library from its sources.
    Debian,
}

fn rustup_works() -> bool {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| {
        output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    })
}

fn debian_works() -> bool {
    Path::new(DEBIAN_RUSTC).is_file() && Path::new(DEBIAN_SOURCES).join("library").is_dir()
}

impl Toolchain {
    /// The one asked for, or else the first one found.
    pub(crate) fn find(wanted: Option<&str>) -> Result<Self> {
        match wanted {
            Some("rustup") => Ok(Self::Rustup),
            Some("debian") => Ok(Self::Debian),
            Some(other) => Err(format!("there is no toolchain {other}: known are rustup and debian").into()),
            None if rustup_works() => Ok(Self::Rustup),
            None if debian_works() => Ok(Self::Debian),
            None => Err(format!(
                "no toolchain makes WebAssembly here; install one with\n  rustup target add {TARGET}\nor on Debian\n  \
                 apt-get install rustc-web rust-web-src lld"
            )
            .into()),
        }
    }

    /// Builds the packages and returns the folder with the core modules.
    pub(crate) fn build(&self, root: &Path, packages: &[&str]) -> Result<PathBuf> {
        let workspace = root.join("plugins");
        // A folder of its own, so that the flags below do not disturb native builds.
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| workspace.join("target"), PathBuf::from)
            .join("components");

        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .current_dir(&workspace)
            .args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"])
            .arg(&target)
            .env("RUSTFLAGS", format!("{} -Clink-arg=-zstack-size={STACK}", remappings(root)?));
        for package in packages {
            command.args(["--package", package]);
        }
        if matches!(self, Self::Debian) {
            command
                .args(["-Zbuild-std=std,panic_abort"])
                .env("RUSTC", DEBIAN_RUSTC)
                // Debian's compiler counts as a stable one, which refuses `-Z` flags otherwise.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
        }
        if !command.status()?.success() {
            return Err("the compiler failed; see above".into());
        }
        Ok(target.join(TARGET).join("release"))
    }
}

/// Panic messages carry paths; those of the machine are nobody else's business.
fn remappings(root: &Path) -> Result<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let mut flags = vec![format!("--remap-path-prefix={}=/lictor", root.display())];
    if let Some(home) = home {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    flags.push(format!("--remap-path-prefix={DEBIAN_SOURCES}=/rustc"));
    flags.push(format!(
        "--remap-path-prefix={}=/rustc",
        std::fs::canonicalize(DEBIAN_SOURCES).unwrap_or_else(|_| DEBIAN_SOURCES.into()).display()
    ));
    Ok(flags.join(" "))
}
