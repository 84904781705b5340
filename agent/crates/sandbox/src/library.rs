//! Where components come from: those built in, and files.

use std::path::{Path, PathBuf};

use lictor_model::probe::{Origin, Program};
use lictor_model::{Error, Result};

/// The components that every agent carries, by file name.
const BUILT_IN: [(&str, &[u8]); 6] = [
    (
        "grpc_check.wasm",
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../plugins/grpc_check/grpc_check.wasm")),
    ),
    (
        "h2ping_check.wasm",
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../plugins/h2ping_check/h2ping_check.wasm"
        )),
    ),
    (
        "http_check.wasm",
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../plugins/http_check/http_check.wasm")),
    ),
    (
        "script_check.wasm",
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../plugins/script_check/script_check.wasm"
        )),
    ),
    (
        "udp_check.wasm",
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../plugins/udp_check/udp_check.wasm")),
    ),
    (
        "tcp_check.wasm",
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../plugins/tcp_check/tcp_check.wasm")),
    ),
];

/// A component that was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// In the agent itself, under this name.
    BuiltIn(&'static str),
    /// On disk.
    File(PathBuf),
}

/// The names of what is built in.
pub(crate) fn built_in() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(file, _)| *file)
}

/// A component that is built in; nothing for a name that none has.
pub(crate) fn built_in_bytes(name: &str) -> &'static [u8] {
    BUILT_IN.iter().find(|(file, _)| *file == name).map_or(&[], |(_, bytes)| bytes)
}

/// Finds the component that a program names, and the name to call it by.
pub(crate) fn find(plugin_dir: Option<&Path>, program: &Program) -> Result<(String, Source)> {
    let name = program.name.as_str();
    if name.contains(['/', '\\']) {
        if program.origin != Origin::File {
            return Err(Error::invalid(format!(
                "plugin {name:?}: only configuration files may name a path; put the file into plugin_dir and name it \
                 without folders"
            )));
        }
        let path = plugin_dir.map_or_else(|| PathBuf::from(name), |directory| directory.join(name));
        if !path.is_file() {
            return Err(Error::invalid(format!("plugin {name:?}: there is no file {}", path.display())));
        }
        let called = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok((called, Source::File(path)));
    }
    // What is built in cannot be replaced by a file of the same name: definitions mean it.
    let built_in =
        BUILT_IN.iter().find(|(file, _)| *file == name || file.strip_suffix(".wasm") == Some(name));
    if let Some((file, _)) = built_in {
        return Ok(((*file).to_owned(), Source::BuiltIn(file)));
    }
    if let Some(path) = plugin_dir.map(|directory| directory.join(name)).filter(|path| path.is_file()) {
        return Ok((name.to_owned(), Source::File(path)));
    }
    Err(Error::invalid(missing(plugin_dir, name)))
}

/// How many files of a folder a complaint lists.
const LISTED: usize = 20;

fn missing(plugin_dir: Option<&Path>, name: &str) -> String {
    let built_in: Vec<&str> = built_in().collect();
    let there = match plugin_dir {
        None => "plugin_dir is not set".to_owned(),
        Some(directory) => match list(directory) {
            Err(error) => format!("plugin_dir {} cannot be read: {error}", directory.display()),
            Ok(files) if files.is_empty() => format!("plugin_dir {} has none", directory.display()),
            Ok(mut files) => {
                files.truncate(LISTED);
                format!("plugin_dir {} has {}", directory.display(), files.join(", "))
            }
        },
    };
    format!("there is no plugin {name:?}; built in are {}; {there}", built_in.join(", "))
}

/// The components in a folder, in the order of their names.
pub(crate) fn list(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|extension| extension == "wasm") {
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn program(name: &str, origin: Origin) -> Program {
        Program { name: name.to_owned(), origin, config: Value::Null, allow: Value::Null, output_limit: 4096 }
    }

    #[test]
    fn what_is_built_in_is_found_with_and_without_its_suffix() {
        for name in ["http_check", "http_check.wasm"] {
            let (called, source) = find(None, &program(name, Origin::Api)).unwrap();
            assert_eq!(called, "http_check.wasm");
            assert!(matches!(source, Source::BuiltIn(_)));
        }
    }

    #[test]
    fn complaints_say_what_there_is() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("mine.wasm"), b"x").unwrap();
        let complaint = find(Some(directory.path()), &program("nosuch", Origin::Api)).unwrap_err().message;
        assert!(complaint.contains("no plugin \"nosuch\""), "{complaint}");
        assert!(complaint.contains("built in are grpc_check.wasm"), "{complaint}");
        assert!(complaint.contains("has mine.wasm"), "{complaint}");
    }

    #[test]
    fn only_files_may_name_paths() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mine.wasm");
        std::fs::write(&path, b"x").unwrap();
        let name = path.to_str().unwrap();
        assert!(find(None, &program(name, Origin::Api)).is_err());
        assert!(find(Some(directory.path()), &program("../mine.wasm", Origin::Api)).is_err());
        assert!(find(Some(directory.path()), &program("..", Origin::Api)).is_err());
        assert_eq!(find(None, &program(name, Origin::File)).unwrap().1, Source::File(path));
        assert!(find(Some(directory.path()), &program("mine.wasm", Origin::Api)).is_ok());
    }
}
