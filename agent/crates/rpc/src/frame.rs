//! What stands on a connection.
//!
//! Who connects says [`hello`] and hears [`welcome`]; both name the protocol's version. Then come
//! frames in both directions: a length of four bytes, which counts what follows it; a kind of one
//! byte; the number of the call in eight; and the content. All numbers are big-endian.

use std::io;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::transport::{Lane, MAX_MESSAGE, PROTOCOL_VERSION};

const MAGIC: &[u8; 6] = b"lictor";
/// Kind and number.
const HEAD: usize = 1 + 8;
/// How much is read at once before it is known that so much comes.
const STEP: usize = 256 * 1024;

/// How long writing may make no progress before the peer counts as gone.
const STUCK: Duration = Duration::from_secs(20);

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request.
    Request,
    /// Its answer.
    Answer,
    /// The request was not taken; the content says why.
    Refused,
    /// The request was answered, but the answer is too large to be sent; the content is its size.
    Oversized,
    /// The answer is not wanted any more.
    Cancel,
    /// Is anybody there?
    Ping,
    /// Yes.
    Pong,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Request, Self::Answer, Self::Refused, Self::Oversized, Self::Cancel, Self::Ping, Self::Pong]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) call: u64,
    pub(crate) content: Bytes,
}

impl Frame {
    pub(crate) fn new(kind: Kind, call: u64, content: Bytes) -> Self {
        Self { kind, call, content }
    }

    /// A frame that says all by its kind.
    pub(crate) fn bare(kind: Kind, call: u64) -> Self {
        Self::new(kind, call, Bytes::new())
    }
}

fn garbage(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// The beginning of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) call: u64,
    /// How long the content is, in bytes.
    pub(crate) length: usize,
}

/// Reads the beginning of a frame. Not to be dropped half way if the connection is to be used
/// again, and neither is [`read_content`], which comes next.
pub(crate) async fn read_head(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Head> {
    let length = from.read_u32().await? as usize;
    if !(HEAD..=MAX_MESSAGE + HEAD).contains(&length) {
        return Err(garbage(format!("a frame of {length} bytes")));
    }
    let kind = from.read_u8().await?;
    let kind = Kind::from_byte(kind).ok_or_else(|| garbage(format!("a frame of the unknown kind {kind}")))?;
    Ok(Head { kind, call: from.read_u64().await?, length: length - HEAD })
}

/// Reads the rest of a frame, and tells whenever something of it has come.
pub(crate) async fn read_content(
    from: &mut (impl AsyncRead + Unpin),
    head: Head,
    mut has_come: impl FnMut(),
) -> io::Result<Frame> {
    let mut missing = head.length;
    // Room is made as the content comes: a length alone must not take memory.
    let mut content = BytesMut::new();
    while missing > 0 {
        content.reserve(missing.min(STEP));
        let read = from.take(missing as u64).read_buf(&mut content).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        missing -= read;
        has_come();
    }
    Ok(Frame { kind: head.kind, call: head.call, content: content.freeze() })
}

/// Writes one frame, whose content is at most [`MAX_MESSAGE`] bytes long.
pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    let length = u32::try_from(frame.content.len() + HEAD).map_err(|_| garbage("too large a frame"))?;
    let mut head = BytesMut::with_capacity(4 + HEAD);
    head.put_u32(length);
    head.put_u8(frame.kind as u8);
    head.put_u64(frame.call);
    patiently(to.write_all(&head)).await?;
    // Large contents in pieces: patience is for progress, not for the whole.
    for piece in frame.content.chunks(STEP) {
        patiently(to.write_all(piece)).await?;
    }
    Ok(())
}

/// Waits for a step of writing, but not for ever.
pub(crate) async fn patiently(step: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let stuck = || io::Error::new(io::ErrorKind::TimedOut, "the peer does not read");
    tokio::time::timeout(STUCK, step).await.map_err(|_| stuck())?
}

/// Says hello for a lane and hears whether one is welcome.
pub(crate) async fn hello(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), lane: Lane) -> io::Result<()> {
    let mut hello = BytesMut::from(&MAGIC[..]);
    hello.put_u8(PROTOCOL_VERSION);
    hello.put_u8(lane_byte(lane));
    stream.write_all(&hello).await?;
    let mut answer = [0; MAGIC.len() + 1];
    stream.read_exact(&mut answer).await?;
    match answer.split_last() {
        Some((&PROTOCOL_VERSION, magic)) if magic == MAGIC => Ok(()),
        Some((version, magic)) if magic == MAGIC => Err(garbage(format!(
            "it speaks version {version} of the protocol between agents, this build version {PROTOCOL_VERSION}"
        ))),
        _ => Err(garbage("something else than an agent answers there")),
    }
}

/// Hears a hello, answers it with this build's version, and returns the lane.
pub(crate) async fn welcome(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Lane> {
    let mut hello = [0; MAGIC.len() + 2];
    stream.read_exact(&mut hello).await?;
    let [magic @ .., version, lane] = hello;
    if magic != *MAGIC {
        return Err(garbage("not the protocol between agents"));
    }
    let mut answer = BytesMut::from(&MAGIC[..]);
    answer.put_u8(PROTOCOL_VERSION);
    stream.write_all(&answer).await?;
    if version != PROTOCOL_VERSION {
        return Err(garbage(format!("version {version} of the protocol between agents")));
    }
    [Lane::Consensus, Lane::Queries, Lane::Bulk]
        .into_iter()
        .find(|known| lane_byte(*known) == lane)
        .ok_or_else(|| garbage(format!("the unknown lane {lane}")))
}

fn lane_byte(lane: Lane) -> u8 {
    match lane {
        Lane::Consensus => 0,
        Lane::Queries => 1,
        Lane::Bulk => 2,
    }
}
