//! What came over the HTTP API, as files that survive restarts.
//!
//! One file for each registration, named after the digest of its identifier, since identifiers
//! may hold anything. A file that cannot be read is reported and left alone, never deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lictor_model::check::Status;
use lictor_model::definition::{CheckDefinition, ServiceDefinition};
use lictor_model::{CheckId, ServiceId};
use lictor_sys::file;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::naming::with_named_checks;

/// The largest registration that is kept, in bytes: more than the API takes in one request.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// The version of the files that this build writes and reads.
const VERSION: u32 = 1;

/// Where registrations are kept.
#[derive(Clone, Debug)]
pub struct Files {
    services: PathBuf,
    checks: PathBuf,
}

/// A service as it was registered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedService {
    version: u32,
    /// Its definition, with its checks.
    pub definition: ServiceDefinition,
}

/// A check as it was registered, or the state of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedCheck {
    version: u32,
    /// Its identifier.
    pub id: String,
    /// Its definition; absent for the check of a service, which is saved with the service.
    pub definition: Option<CheckDefinition>,
    /// What it last said, for those that only say something when told to.
    pub last: Option<(Status, String)>,
}

/// Everything that was saved.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// Services.
    pub services: Vec<SavedService>,
    /// Checks.
    pub checks: Vec<SavedCheck>,
    /// Files that could not be read, with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Files {
    /// Keeps registrations below a data directory.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let files = Self { services: data_dir.join("services"), checks: data_dir.join("checks") };
        file::create_private_dir(&files.services)?;
        file::create_private_dir(&files.checks)?;
        Ok(files)
    }

    /// Saves a service. It is durable once this has returned.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save_service(&self, definition: &ServiceDefinition) -> io::Result<()> {
        let id = definition.effective_id();
        let saved = SavedService { version: VERSION, definition: definition.clone() };
        write(&self.services.join(name_for(id.as_str())), &saved)
    }

    /// Takes one check out of what is saved of a service, so that it does not come back with it.
    ///
    /// # Errors
    /// Those of the file system; a service that is not saved is no error.
    pub fn forget_check_of(&self, service: &ServiceId, check: &CheckId) -> io::Result<()> {
        let path = self.services.join(name_for(service.as_str()));
        let content = match file::read_bounded(&path, MAX_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            content => content?,
        };
        let saved: SavedService = serde_json::from_slice(&content)?;
        let mut definition = with_named_checks(&saved.definition);
        definition.checks.retain(|known| known.id != check.as_str());
        write(&path, &SavedService { definition, ..saved })
    }

    /// Keeps of a check only what it last said: its definition is somewhere else now.
    ///
    /// # Errors
    /// Those of the file system; a check that is not saved is no error.
    pub fn forget_definition(&self, id: &CheckId) -> io::Result<()> {
        let path = self.checks.join(name_for(id.as_str()));
        let content = match file::read_bounded(&path, MAX_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            content => content?,
        };
        let saved: SavedCheck = serde_json::from_slice(&content)?;
        if saved.definition.is_none() {
            return Ok(());
        }
        write(&path, &SavedCheck { definition: None, ..saved })
    }

    /// Forgets a service.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn forget_service(&self, id: &ServiceId) -> io::Result<()> {
        file::remove_durable(&self.services.join(name_for(id.as_str())))
    }

    /// Saves a check, its last words, or both.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save_check(
        &self,
        id: &CheckId,
        definition: Option<&CheckDefinition>,
        last: Option<(Status, String)>,
    ) -> io::Result<()> {
        let saved =
            SavedCheck { version: VERSION, id: id.to_string(), definition: definition.cloned(), last };
        write(&self.checks.join(name_for(id.as_str())), &saved)
    }

    /// Forgets a check.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn forget_check(&self, id: &CheckId) -> io::Result<()> {
        file::remove_durable(&self.checks.join(name_for(id.as_str())))
    }

    /// Reads everything back.
    ///
    /// # Errors
    /// If the directories themselves cannot be read.
    pub fn load(&self) -> io::Result<Saved> {
        let mut saved = Saved::default();
        read_all(&self.services, &mut saved.services, &mut saved.unreadable)?;
        read_all(&self.checks, &mut saved.checks, &mut saved.unreadable)?;
        Ok(saved)
    }
}

fn name_for(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.json")
}

fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let content = serde_json::to_vec(value)?;
    // What would not be read back is not acknowledged.
    if content.len() as u64 > MAX_FILE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it takes {} bytes; at most {MAX_FILE} are kept", content.len()),
        ));
    }
    file::write_atomic(path, &content)
}

fn read_all<T: DeserializeOwned>(
    directory: &Path,
    found: &mut Vec<T>,
    unreadable: &mut Vec<(PathBuf, String)>,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let read = file::read_bounded(&path, MAX_FILE)
            .map_err(|error| error.to_string())
            .and_then(|content| serde_json::from_slice(&content).map_err(|error| error.to_string()));
        match read {
            Ok(value) => found.push(value),
            Err(why) => unreadable.push((path, why)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_is_taken_out_does_not_come_back_and_does_not_rename_others() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::open(directory.path()).unwrap();
        let ttl = |name: &str| CheckDefinition { name: name.to_owned(), ..CheckDefinition::default() };
        let service = ServiceDefinition {
            name: "web".to_owned(),
            checks: vec![ttl("a"), ttl("b"), ttl("c")],
            ..ServiceDefinition::default()
        };
        files.save_service(&service).unwrap();
        files.forget_check_of(&"web".into(), &"service:web:2".into()).unwrap();
        files.forget_check_of(&"none".into(), &"c".into()).unwrap();
        let saved = files.load().unwrap();
        let left: Vec<(&str, &str)> = saved.services[0]
            .definition
            .checks
            .iter()
            .map(|check| (check.id.as_str(), check.name.as_str()))
            .collect();
        assert_eq!(left, [("service:web:1", "a"), ("service:web:3", "c")]);
    }

    #[test]
    fn what_is_saved_comes_back_and_what_is_damaged_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::open(directory.path()).unwrap();
        let service = ServiceDefinition { name: "../web".to_owned(), ..ServiceDefinition::default() };
        files.save_service(&service).unwrap();
        files.save_check(&"c".into(), None, Some((Status::Passing, "fine".to_owned()))).unwrap();
        fs::write(directory.path().join("checks/broken.json"), "{").unwrap();
        let saved = Files::open(directory.path()).unwrap().load().unwrap();
        assert_eq!(saved.services[0].definition, service);
        assert_eq!(saved.checks[0].last, Some((Status::Passing, "fine".to_owned())));
        assert!(saved.unreadable[0].0.ends_with("broken.json"));
        let long = Some((Status::Passing, "x".repeat(MAX_FILE as usize)));
        files.save_check(&"c".into(), None, long).unwrap_err();
        assert_eq!(files.load().unwrap().checks, saved.checks, "what is refused leaves what was there");
        files.forget_definition(&"c".into()).unwrap();
        assert_eq!(files.load().unwrap().checks, saved.checks);
        files.forget_service(&"../web".into()).unwrap();
        assert!(files.load().unwrap().services.is_empty());
    }
}
