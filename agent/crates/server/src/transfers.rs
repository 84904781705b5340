//! Saved states that go out of this server, or come into it, a piece at a time.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use lictor_model::{Code, Error, Result};
use lictor_rpc::transfer::{MAX_PIECE, Place, Step, Stepped};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// How many transfers there may be at a time.
const MOST: usize = 8;
/// After how long a transfer is given up that nobody goes on with.
const UNUSED: Duration = Duration::from_secs(90);
/// How large the pieces are that a saved state is written in, in bytes.
pub(crate) const WRITTEN: usize = 256 * 1024;
/// How many pieces may wait to be taken.
pub(crate) const WAITING: usize = 4;

/// The transfers that are going on.
#[derive(Default)]
pub(crate) struct Transfers(Mutex<HashMap<Uuid, Transfer>>);

struct Transfer {
    last_used: Instant,
    /// Absent while a step is being taken.
    flow: Option<Flow>,
}

enum Flow {
    Out(Saving),
    In(Restoring),
}

/// A state that goes out; an error instead of the end if it is not whole.
pub(crate) type Saving = mpsc::Receiver<Result<Bytes>>;

/// A state that comes in.
pub(crate) struct Restoring {
    /// Takes pieces, and after the last one nothing, which tells a whole state from one of which
    /// the rest never came.
    pub(crate) pieces: mpsc::Sender<Option<Bytes>>,
    pub(crate) outcome: AbortOnDropHandle<Result<()>>,
}

impl Transfers {
    fn table(&self) -> MutexGuard<'_, HashMap<Uuid, Transfer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to hand out a state.
    pub(crate) fn add_saving(&self, saving: Saving) -> Result<Uuid> {
        self.add(Flow::Out(saving))
    }

    /// Begins to take a state in.
    pub(crate) fn add_restoring(&self, restoring: Restoring) -> Result<Uuid> {
        self.add(Flow::In(restoring))
    }

    fn add(&self, flow: Flow) -> Result<Uuid> {
        let mut table = self.table();
        if table.len() >= MOST {
            return Err(Error::new(Code::Overloaded, "too many snapshots are being saved or restored"));
        }
        let id = Uuid::new_v4();
        table.insert(id, Transfer { last_used: Instant::now(), flow: Some(flow) });
        Ok(id)
    }

    /// Gives up what nobody goes on with.
    pub(crate) fn expire(&self, now: Instant) {
        self.table()
            .retain(|_, transfer| transfer.flow.is_none() || now.duration_since(transfer.last_used) < UNUSED);
    }

    /// Gives up everything.
    pub(crate) fn clear(&self) {
        self.table().clear();
    }

    async fn next(&self, id: Uuid) -> Result<Stepped> {
        let (Flow::Out(mut saving), turn) = self.take(id)? else { return Err(unknown()) };
        let mut piece = BytesMut::new();
        while piece.len() + WRITTEN <= MAX_PIECE {
            match saving.recv().await {
                Some(bytes) => piece.extend_from_slice(&bytes?),
                // What has come goes first; the end is told the next time.
                None => break,
            }
        }
        if !piece.is_empty() {
            turn.put_back(Flow::Out(saving));
        }
        Ok(Stepped::Piece(piece.freeze()))
    }

    async fn append(&self, id: Uuid, piece: Bytes) -> Result<()> {
        let (Flow::In(restoring), turn) = self.take(id)? else { return Err(unknown()) };
        if piece.len() > MAX_PIECE {
            return Err(Error::invalid(format!("a piece of a snapshot has {} bytes", piece.len())));
        }
        if restoring.pieces.send(Some(piece)).await.is_err() {
            // What is wrong with it has been found out already.
            let outcome = restoring.outcome.await.map_err(|_| Error::stopping())?;
            return Err(outcome.err().unwrap_or_else(unknown));
        }
        turn.put_back(Flow::In(restoring));
        Ok(())
    }

    async fn commit(&self, id: Uuid) -> Result<()> {
        let (Flow::In(Restoring { pieces, outcome }), _turn) = self.take(id)? else {
            return Err(unknown());
        };
        // Fails only if the outcome is there already.
        let _ = pieces.send(None).await;
        outcome.await.map_err(|_| Error::stopping())?
    }

    fn take(&self, id: Uuid) -> Result<(Flow, Turn<'_>)> {
        let flow = self.table().get_mut(&id).and_then(|transfer| transfer.flow.take());
        flow.map(|flow| (flow, Turn { transfers: self, id, goes_on: false })).ok_or_else(unknown)
    }
}

/// Whatever does not succeed ends its transfer, as does a step that is dropped.
#[async_trait]
impl Place for Transfers {
    async fn step(&self, step: Step) -> Stepped {
        let stepped = match step {
            Step::Next(id) => self.next(id).await,
            Step::Append(id, piece) => self.append(id, piece).await.map(|()| Stepped::Done),
            Step::Commit(id) => self.commit(id).await.map(|()| Stepped::Done),
            Step::Abandon(id) => {
                self.abandon(id);
                Ok(Stepped::Done)
            }
        };
        stepped.unwrap_or_else(Stepped::Failed)
    }

    fn abandon(&self, id: Uuid) {
        self.table().remove(&id);
    }
}

/// A step that is being taken. The transfer is over unless it says otherwise: also when nobody
/// waits for the step any more, since nobody knows then what of it was carried out.
struct Turn<'a> {
    transfers: &'a Transfers,
    id: Uuid,
    goes_on: bool,
}

impl Turn<'_> {
    fn put_back(mut self, flow: Flow) {
        if let Some(transfer) = self.transfers.table().get_mut(&self.id) {
            transfer.last_used = Instant::now();
            transfer.flow = Some(flow);
        }
        self.goes_on = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.goes_on {
            self.transfers.table().remove(&self.id);
        }
    }
}

fn unknown() -> Error {
    Error::failed("the snapshot's transfer is over: it took too long, or the server was started anew")
}

/// Hands what is written to whoever takes it, and waits for them.
pub(crate) struct Outlet(pub(crate) mpsc::Sender<Result<Bytes>>);

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes the snapshot any more");
        let piece = bytes.get(..bytes.len().min(WRITTEN)).unwrap_or(bytes);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(piece))).map_err(gone)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what comes, and waits for it.
pub(crate) struct Inlet {
    pieces: mpsc::Receiver<Option<Bytes>>,
    current: Bytes,
    has_ended: bool,
}

impl Inlet {
    pub(crate) fn new(pieces: mpsc::Receiver<Option<Bytes>>) -> Self {
        Self { pieces, current: Bytes::new(), has_ended: false }
    }
}

impl Read for Inlet {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.has_ended {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.current = piece,
                Some(None) => self.has_ended = true,
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::BrokenPipe,
                        "the rest of the snapshot never came",
                    ));
                }
            }
        }
        let length = into.len().min(self.current.len());
        let (filled, _) = into.split_at_mut(length);
        self.current.copy_to_slice(filled);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saving(pieces: Vec<Result<Bytes>>) -> (Transfers, Uuid) {
        let (sender, saving) = mpsc::channel(pieces.len().max(1));
        for piece in pieces {
            sender.try_send(piece).unwrap();
        }
        let transfers = Transfers::default();
        let id = transfers.add_saving(saving).unwrap();
        (transfers, id)
    }

    fn failed(stepped: Stepped) -> String {
        match stepped {
            Stepped::Failed(error) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_state_goes_out_whole_and_its_transfer_ends_with_it() {
        let (transfers, id) = saving(vec![Ok(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"c"))]);
        assert_eq!(transfers.step(Step::Next(id)).await, Stepped::Piece(Bytes::from_static(b"abc")));
        assert_eq!(transfers.step(Step::Next(id)).await, Stepped::Piece(Bytes::new()));
        assert!(failed(transfers.step(Step::Next(id)).await).contains("is over"));
    }

    #[tokio::test]
    async fn a_state_that_breaks_off_is_never_taken_for_a_whole_one() {
        let (transfers, id) = saving(vec![Ok(Bytes::from_static(b"ab")), Err(Error::stopping())]);
        assert!(failed(transfers.step(Step::Next(id)).await).contains("shutting down"));
        assert!(failed(transfers.step(Step::Next(id)).await).contains("is over"));
    }

    #[tokio::test]
    async fn only_a_commit_ends_what_comes_in() {
        let (pieces, receiver) = mpsc::channel(WAITING);
        let reading = tokio::task::spawn_blocking(|| {
            let mut content = Vec::new();
            let read = Inlet::new(receiver).read_to_end(&mut content);
            read.map(|_| ()).map_err(|error| Error::failed(error.to_string()))
        });
        let transfers = Transfers::default();
        let outcome = AbortOnDropHandle::new(reading);
        let id = transfers.add_restoring(Restoring { pieces, outcome }).unwrap();
        assert_eq!(transfers.step(Step::Append(id, Bytes::from_static(b"ab"))).await, Stepped::Done);
        assert_eq!(transfers.step(Step::Commit(id)).await, Stepped::Done);
        assert!(failed(transfers.step(Step::Commit(id)).await).contains("is over"));

        let (pieces, receiver) = mpsc::channel(WAITING);
        drop(pieces);
        let reading = tokio::task::spawn_blocking(|| Inlet::new(receiver).read(&mut [0]));
        assert!(reading.await.unwrap().unwrap_err().to_string().contains("never came"));

        let (pieces, _receiver) = mpsc::channel(WAITING);
        let outcome = AbortOnDropHandle::new(tokio::spawn(std::future::pending()));
        let id = transfers.add_restoring(Restoring { pieces, outcome }).unwrap();
        assert_eq!(transfers.step(Step::Abandon(id)).await, Stepped::Done);
        assert!(failed(transfers.step(Step::Commit(id)).await).contains("is over"));
    }

    #[tokio::test]
    async fn there_are_only_so_many_and_none_for_ever() {
        let transfers = Transfers::default();
        for _ in 0..MOST {
            transfers.add_saving(mpsc::channel(1).1).unwrap();
        }
        let refused = transfers.add_saving(mpsc::channel(1).1).unwrap_err();
        assert_eq!(refused.code, Code::Overloaded);
        transfers.expire(Instant::now() + UNUSED / 2);
        assert!(transfers.add_saving(mpsc::channel(1).1).is_err());
        transfers.expire(Instant::now() + UNUSED);
        assert!(transfers.add_saving(mpsc::channel(1).1).is_ok());
    }
}
