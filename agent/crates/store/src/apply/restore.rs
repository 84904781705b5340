//! Replacing everything by a saved state.

use bytes::Bytes;
use lictor_model::command::{Outcome, Restore};
use lictor_model::{Error, RaftIndex};
use uuid::Uuid;

use crate::apply::Change;
use crate::encode::RestoreError;
use crate::restore::{Incoming, MAX_STATE};

impl Change<'_> {
    pub(super) fn restore(&mut self, step: Restore) -> Result<Outcome, RestoreError> {
        let (id, done) = match step {
            Restore::Begin { id } => {
                self.state.incoming = Some(Incoming::new(id));
                (id, Ok(()))
            }
            Restore::Piece { id, offset, data } => (id, self.gather(id, offset, data)),
            Restore::Commit { id, size } => (id, self.put_in_place(id, size)?),
            Restore::Abandon => {
                self.state.incoming = None;
                return Ok(Outcome::Done);
            }
        };
        Ok(match done {
            Ok(()) => Outcome::Done,
            Err(why) => {
                self.state.incoming.take_if(|incoming| incoming.id == id);
                Outcome::Refused(Error::failed(why))
            }
        })
    }

    fn gather(&mut self, id: Uuid, offset: u64, data: Bytes) -> Result<(), String> {
        let incoming = self.incoming(id)?;
        if incoming.size != offset || offset.saturating_add(data.len() as u64) > MAX_STATE {
            return Err("a piece of the snapshot came out of order".to_owned());
        }
        incoming.size += data.len() as u64;
        incoming.pieces.push_back(data);
        Ok(())
    }

    /// What is refused here every server refuses. The leader has read this state before it proposed
    /// it, so who cannot read it is another build than the leader: its state would no longer be the
    /// others'.
    fn put_in_place(&mut self, id: Uuid, size: u64) -> Result<Result<(), String>, RestoreError> {
        let incoming = match self.incoming(id) {
            Ok(incoming) if incoming.size == size => incoming,
            Ok(_) => return Ok(Err("a piece of the snapshot is missing".to_owned())),
            Err(why) => return Ok(Err(why)),
        };
        let mut saved = incoming.state()?;
        let in_log = self.index.0.saturating_sub(self.state.ahead);
        // Indexes never go back behind what was restored: what is written next has to be newer.
        let next = self.index.max(RaftIndex(saved.index.0.saturating_add(1)));
        saved.ahead = next.0.saturating_sub(in_log);
        saved.index = next;
        saved.restored = next;
        saved.incoming = None;
        *self.state = saved;
        Ok(Ok(()))
    }

    /// The restoration of this id. Another one may have taken its place, which goes on undisturbed.
    fn incoming(&mut self, id: Uuid) -> Result<&mut Incoming, String> {
        let incoming = self.state.incoming.as_mut().filter(|incoming| incoming.id == id);
        incoming.ok_or_else(|| "another restoration began meanwhile, or this one was given up".to_owned())
    }
}
