//! A saved state on its way into the store.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encode::RestoreError;
use crate::snapshot::Snapshot;

/// The largest saved state, in bytes: what a snapshot of Raft's may have too.
pub(crate) const MAX_SAVED: u64 = 4 * 1024 * 1024 * 1024;

/// Pieces of a state that have come so far. Cloning shares them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Incoming {
    pub(crate) id: Uuid,
    pub(crate) size: u64,
    pub(crate) pieces: imbl::Vector<Bytes>,
}

impl Incoming {
    pub(crate) fn new(id: Uuid) -> Self {
        Self { id, size: 0, pieces: imbl::Vector::new() }
    }

    pub(crate) fn state(&self) -> Result<Snapshot, RestoreError> {
        Snapshot::read(Pieces { rest: self.pieces.iter(), current: Bytes::new() })
    }
}

/// Checks that a saved state, in pieces, can be put in place.
///
/// # Errors
/// If this build cannot read it.
pub fn check_saved(pieces: &[Bytes]) -> Result<(), RestoreError> {
    Snapshot::read(Pieces { rest: pieces.iter(), current: Bytes::new() }).map(drop)
}

/// Pieces read one after the other.
struct Pieces<I> {
    rest: I,
    current: Bytes,
}

impl<'p, I: Iterator<Item = &'p Bytes>> Read for Pieces<I> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.rest.next() {
                Some(piece) => self.current = piece.clone(),
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.current.len());
        let (filled, _) = into.split_at_mut(length);
        self.current.copy_to_slice(filled);
        Ok(length)
    }
}
