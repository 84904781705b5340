//! Rebuilds the committed components, or says which are stale.
//!
//! `cargo run --manifest-path plugins/Cargo.toml -p build` rebuilds all; with `-- --verify` it only
//! compares digests, which needs no WebAssembly toolchain. See `plugins/README.md`.

mod component;
mod digest;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use component::{COMPONENTS, Component};
use toolchain::Toolchain;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    verify: bool,
    toolchain: Option<String>,
    names: Vec<String>,
}

const USAGE: &str = "usage: build [--verify] [--toolchain rustup|debian] [NAME…]";

fn parse(arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--verify" => options.verify = true,
            "--toolchain" => options.toolchain = Some(arguments.next().ok_or(USAGE)?),
            flag if flag.starts_with('-') => return Err(USAGE.into()),
            name => options.names.push(name.to_owned()),
        }
    }
    Ok(options)
}

fn selected(names: &[String]) -> Result<Vec<&'static Component>> {
    if names.is_empty() {
        return Ok(COMPONENTS.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            COMPONENTS
                .iter()
                .find(|component| component.name == name)
                .ok_or_else(|| format!("there is no component {name}").into())
        })
        .collect()
}

fn verify(root: &Path, components: &[&Component]) -> Result<()> {
    let mut stale = Vec::new();
    for component in components {
        if let Err(reason) = digest::verify(root, component) {
            stale.push(format!("{}: {reason}", component.output()));
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    stale.push("rebuild them with: cargo run --manifest-path plugins/Cargo.toml -p build".to_owned());
    Err(stale.join("\n").into())
}

fn build(root: &Path, components: &[&Component], toolchain: Option<&str>) -> Result<()> {
    let toolchain = Toolchain::find(toolchain)?;
    let packages: Vec<&str> = components.iter().map(|component| component.name).collect();
    let modules = toolchain.build(root, &packages)?;
    for component in components {
        let core = std::fs::read(modules.join(format!("{}.wasm", component.name)))?;
        let bytes = wit_component::ComponentEncoder::default().validate(true).module(&core)?.encode()?;
        let output = root.join(component.output());
        if let Some(directory) = output.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(&output, &bytes)?;
        digest::write(root, component)?;
        eprintln!("{}: {} bytes", component.output(), bytes.len());
    }
    Ok(())
}

/// The top of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

fn run() -> Result<()> {
    let options = parse(std::env::args().skip(1))?;
    let components = selected(&options.names)?;
    if options.verify {
        verify(&root(), &components)
    } else {
        build(&root(), &components, options.toolchain.as_deref())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_components_are_those_of_their_sources() {
        let all: Vec<&Component> = COMPONENTS.iter().collect();
        if let Err(stale) = verify(&root(), &all) {
            panic!("{stale}");
        }
    }
}
