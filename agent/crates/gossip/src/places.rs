//! The file of members, by which a node finds the others again after a restart, and the file of keys.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use lictor_sys::file;
use serde::{Deserialize, Serialize};

/// The largest file that is read, in bytes.
const MOST: u64 = 16 * 1024 * 1024;
const VERSION: u32 = 1;

/// Who was there when this was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Places {
    version: u32,
    /// Whether this node has left since.
    pub(crate) left: bool,
    /// Where members were, by name.
    pub(crate) members: BTreeMap<String, SocketAddr>,
}

impl Places {
    pub(crate) fn new(members: BTreeMap<String, SocketAddr>, left: bool) -> Self {
        Self { version: VERSION, left, members }
    }

    /// Reads the file; one that is not there or makes no sense holds nobody.
    pub(crate) fn read(path: &Path) -> Self {
        let content = match file::read_bounded(path, MOST) {
            Ok(content) => content,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, path = %path.display(), "the members of before are not known");
                }
                return Self::default();
            }
        };
        match serde_json::from_slice::<Self>(&content) {
            Ok(places) if places.version == VERSION => places,
            _ => {
                tracing::warn!(path = %path.display(), "the file of members is of no known format");
                Self::default()
            }
        }
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        write(path, self)
    }
}

/// Replaces a file by what is given, as JSON.
pub(crate) fn write(path: &Path, content: &impl Serialize) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        file::create_private_dir(directory)?;
    }
    file::write_atomic(path, &serde_json::to_vec_pretty(content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nonsense_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("serf/local.members");
        assert_eq!(Places::read(&path), Places::default());
        let members = BTreeMap::from([("a".to_owned(), SocketAddr::from(([10, 0, 0, 1], 8301)))]);
        let places = Places::new(members, true);
        places.write(&path).unwrap();
        assert_eq!(Places::read(&path), places);
        for nonsense in ["", "{}", r#"{"version": 9, "left": false, "members": {}}"#] {
            std::fs::write(&path, nonsense).unwrap();
            assert_eq!(Places::read(&path), Places::default());
        }
    }
}
