//! Saved states as operators keep them: one file that says what it is and whether it is whole.
//!
//! The file is a tar archive in gzip, with the names that the reference uses, so that `tar tzf`
//! shows what one expects: `meta.json` says where the state was taken, `state.bin` is the state in
//! the store's own encoding, `SHA256SUMS` are the sums of both. [`write()`] makes one from a state
//! that can be written twice, without ever having it in memory as a whole; [`read()`] takes one
//! apart as it comes, and believes nothing in it before the last sum has been compared.
//!
//! What this room must never do: take more memory than its reader gives it, whatever a file says of
//! itself, or look into states.

mod read;
mod write;

pub use read::{ReadError, read};
use serde::{Deserialize, Serialize};
pub use write::write;

/// The file that says where the state was taken.
const META: &str = "meta.json";
/// The file with the state.
const STATE: &str = "state.bin";
/// The file with the sums of the others.
const SUMS: &str = "SHA256SUMS";
/// What states of this program are called in `meta.json`.
const FORMAT: &str = "lictor-1";

/// Where a state was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Meta {
    /// The version of this description: 1.
    pub version: u32,
    /// What tells the archive from others.
    #[serde(rename = "ID")]
    pub id: String,
    /// The index of the last command in the state.
    pub index: u64,
    /// The term of Raft in which the state was taken.
    pub term: u64,
    /// How many bytes the state has.
    pub size: u64,
    /// How the state is encoded. Absent in files of the reference, whose states mean nothing here.
    pub format: String,
}

impl Meta {
    /// A state of this program, taken at an index in a term at this time, in milliseconds of Unix
    /// time.
    #[must_use]
    pub fn new(index: u64, term: u64, unix_millis: u64) -> Self {
        let id = format!("{term}-{index}-{unix_millis}");
        Self { version: 1, id, index, term, size: 0, format: FORMAT.to_owned() }
    }
}

#[cfg(test)]
mod tests;
