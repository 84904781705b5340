//! A saved state on its way into the store.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encode::RestoreError;
use crate::snapshot::Snapshot;

/// The largest encoded state that is read, in bytes: one that was saved, and a snapshot of Raft's.
pub const MAX_STATE: u64 = 4 * 1024 * 1024 * 1024;
/// What goes beside an incoming state into a snapshot of Raft's, in bytes: heads, and the lengths
/// of pieces.
const BESIDE: u64 = 16 * 1024 * 1024;
/// The largest index that a state may have to be restored. All that is written after it has to be
/// newer, and nothing is newer than the end.
const MAX_INDEX: u64 = 1 << 62;

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
        let mut pieces = self.pieces.iter().cloned();
        Snapshot::read(Pieces { next: || Ok(pieces.next()), current: Bytes::new() })
    }
}

/// Takes a saved state apart into pieces of at most this many bytes, and checks on the way that it
/// can be put in place: what is none is not gathered further than it takes to see that.
///
/// # Errors
/// If this build cannot read it, or whoever it comes from.
pub fn gather_saved(mut from: impl Read, piece_size: usize) -> Result<Vec<Bytes>, RestoreError> {
    let mut pieces = Vec::new();
    let next = || {
        let mut piece = Vec::new();
        from.by_ref().take(piece_size as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(None);
        }
        let piece = Bytes::from(piece);
        pieces.push(piece.clone());
        Ok(Some(piece))
    };
    let state = Snapshot::read(Pieces { next, current: Bytes::new() })?;
    if state.index.0 > MAX_INDEX {
        return Err(RestoreError::Index { found: state.index.0 });
    }
    Ok(pieces)
}

impl Snapshot {
    /// Whether a saved state of this many bytes may gather beside this one, as it does until it is
    /// put in place. Takes as long as it takes to encode this one.
    #[must_use]
    pub fn has_room_for(&self, saved: u64) -> bool {
        let mut own = Counted(0);
        let encoded = self.encode_saved(&mut own);
        debug_assert!(encoded.is_ok(), "plain data always encodes: {encoded:?}");
        own.0.saturating_add(saved).saturating_add(BESIDE) <= MAX_STATE
    }
}

/// Counts what is written.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pieces read one after the other.
struct Pieces<N> {
    next: N,
    current: Bytes,
}

impl<N: FnMut() -> io::Result<Option<Bytes>>> Read for Pieces<N> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match (self.next)()? {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.current.len());
        let (filled, _) = into.split_at_mut(length);
        self.current.copy_to_slice(filled);
        Ok(length)
    }
}
