//! `snapshot`: saving the servers' state to a file and putting it back.

mod inspect;
mod tables;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub(super) use inspect::{FLAGS as INSPECT_FLAGS, inspect};
use lictor_client::{Client, Stream};
use serde_json::Value;

use crate::commands::{Ran, client, failed};
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

pub(super) const SAVE_FLAGS: &[Flag] =
    &[flags::value("append-filename", "parts", "What to add to the file's name: version, dc, node, status.")];

pub(super) async fn save(context: &Context, parsed: Parsed) -> Ran {
    let file = file(&parsed)?;
    let client = client(context, &parsed)?;
    let target = extended(&client, Path::new(file), parsed.get("append-filename")).await?;
    let stream = client.snapshot_save().await.map_err(|error| failed("Error saving snapshot", error))?;
    let index = stream.index();
    let unverified = Unverified::beside(&target);
    unverified.write(stream).await?;
    let written = open(&unverified.0).map_err(|why| failed("Error opening snapshot file for verify", why))?;
    lictor_archive::read(written, u64::MAX, |_, _| Ok(()))
        .map_err(|error| failed("Error verifying snapshot file", error))?;
    unverified.keep_as(&target).map_err(|error| failed("Error renaming snapshot file", error))?;
    Ok(Output::text(format!("Saved and verified snapshot to index {index}")))
}

pub(super) async fn restore(context: &Context, parsed: Parsed) -> Ran {
    let file = open(Path::new(file(&parsed)?)).map_err(|why| failed("Error opening snapshot file", why))?;
    let restored = client(context, &parsed)?.snapshot_restore(file).await;
    restored.map_err(|error| failed("Error restoring snapshot", error))?;
    Ok(Output::text("Restored snapshot"))
}

/// The one argument.
fn file(parsed: &Parsed) -> Result<&str, Output> {
    match parsed.arguments.as_slice() {
        [] => Err(Output::error("Missing FILE argument", 1)),
        [file] => Ok(file),
        more => Err(Output::error(format!("Too many arguments (expected 1, got {})", more.len()), 1)),
    }
}

fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| at(path, &error))
}

/// What went wrong with a file, as the reference's runtime says it.
fn at(path: &Path, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    format!("open {}: {why}", path.display())
}

/// The file's name with what is asked for of the agent before its extension.
async fn extended(client: &Client, file: &Path, parts: &str) -> Result<PathBuf, Output> {
    if parts.is_empty() {
        return Ok(file.to_owned());
    }
    let about = client
        .describe()
        .await
        .map_err(|error| failed("Error connecting to Consul agent and fetching datacenter/version", error))?;
    Ok(name(file, parts, &about))
}

fn name(file: &Path, parts: &str, about: &Value) -> PathBuf {
    let of = |path: &str| about.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut name = file.file_stem().unwrap_or_default().to_os_string();
    let known = ["version", "dc", "node", "status"];
    for part in known.into_iter().filter(|part| parts.split(',').any(|wanted| wanted == *part)) {
        let value = match part {
            "version" => of("/Config/Version"),
            "dc" => of("/Config/Datacenter"),
            "node" => of("/Config/NodeName"),
            _ if of("/Stats/consul/leader") == "true" => "leader".to_owned(),
            _ => "follower".to_owned(),
        };
        name.push("-");
        name.push(value);
    }
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

/// A file beside its place until it is known to be whole; removed if it never is.
struct Unverified(PathBuf);

impl Unverified {
    fn beside(target: &Path) -> Self {
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(".unverified");
        Self(target.with_file_name(name))
    }

    async fn write(&self, mut stream: Stream) -> Result<(), Output> {
        let refused = |error| failed("Error writing unverified snapshot file", at(&self.0, &error));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.0)
            .map_err(refused)?;
        let broken = |error| failed("Error writing unverified snapshot file", error);
        while let Some(piece) = stream.next().await.map_err(broken)? {
            file.write_all(&piece).map_err(refused)?;
        }
        file.sync_all().map_err(refused)
    }

    /// Puts the file in its place, also for after a power failure.
    fn keep_as(&self, target: &Path) -> io::Result<()> {
        fs::rename(&self.0, target)?;
        let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}

impl Drop for Unverified {
    fn drop(&mut self) {
        // There is nothing to remove once it is in its place.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_stand_before_the_extension_in_the_order_of_the_reference() {
        let about = json!({
            "Config": {"Version": "1.20.0", "Datacenter": "dc1", "NodeName": "n1"},
            "Stats": {"consul": {"leader": "true"}},
        });
        let named = |parts| name(Path::new("/b/back.snap"), parts, &about).display().to_string();
        assert_eq!(named("node,dc,version"), "/b/back-1.20.0-dc1-n1.snap");
        assert_eq!(named("status,other"), "/b/back-leader.snap");
        assert_eq!(name(Path::new("back"), "dc", &about), Path::new("back-dc1"));
    }

    #[test]
    fn a_file_that_is_not_kept_leaves_nothing() {
        let directory = std::env::temp_dir().join(format!("lictor-snapshot-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let target = directory.join("a.snap");
        for keep in [false, true] {
            let unverified = Unverified::beside(&target);
            fs::write(&unverified.0, "x").unwrap();
            if keep {
                unverified.keep_as(&target).unwrap();
            }
            drop(unverified);
            assert_eq!(fs::read_dir(&directory).unwrap().count(), usize::from(keep));
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
