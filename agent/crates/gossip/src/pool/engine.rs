//! What foca wants done, in the order in which it wants it.

use std::time::Duration;

use bytes::Bytes;
use foca::{Message, Notification, Runtime, Timer};

use crate::record::Id;

/// A packet of foca's.
pub(crate) struct Sending {
    pub(crate) to: Id,
    pub(crate) data: Bytes,
    pub(crate) kind: Kind,
}

/// What a packet of foca's is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A ping with this number.
    Ping(u8),
    /// An answer to one.
    Answer,
    /// A request to ping another.
    PingRequest,
    Other,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Up(Id),
    Down(Id),
    /// The first has become the second.
    Renamed(Id, Id),
    /// Others took this node for dead; it is someone new to them now.
    Reborn(Id),
    /// Nobody got an answer from the one that was probed.
    ProbeFailed,
    /// The ping of this number was answered by this one.
    Answered(Id, u8),
    /// Another has got an answer to the ping of this number.
    AnsweredElsewhere(u8),
    /// The first asks for a ping of the second, for its ping of this number.
    Asked(Id, Id, u8),
    /// The second has answered a ping that was for the first's of this number.
    AnsweredFor(Id, Id, u8),
    /// This node refutes that it is suspect.
    Refutes(u16),
}

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Wishes {
    pub(crate) sends: Vec<Sending>,
    pub(crate) timers: Vec<(Duration, Timer<Id>)>,
    pub(crate) notes: Vec<Note>,
    incarnation: u16,
}

impl Runtime<Id> for Wishes {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        let note = match notification {
            Notification::MemberUp(id) => Note::Up(*id),
            Notification::MemberDown(id) => Note::Down(*id),
            Notification::Rename(old, new) => Note::Renamed(*old, *new),
            Notification::Rejoin(id) => Note::Reborn(*id),
            Notification::ProbeFailed(..) => Note::ProbeFailed,
            Notification::DataReceived(header) => match &header.message {
                Message::Ack(number) => Note::Answered(header.src, *number),
                Message::ForwardedAck { probe_number, .. } => Note::AnsweredElsewhere(*probe_number),
                Message::PingReq { target, probe_number } => Note::Asked(header.src, *target, *probe_number),
                Message::IndirectAck { target, probe_number } => {
                    Note::AnsweredFor(*target, header.src, *probe_number)
                }
                _ => return,
            },
            Notification::DataSent(header) => {
                if let Some(last) = self.sends.last_mut() {
                    last.kind = match &header.message {
                        Message::Ping(number) => Kind::Ping(*number),
                        Message::Ack(_) => Kind::Answer,
                        Message::PingReq { .. } => Kind::PingRequest,
                        _ => Kind::Other,
                    };
                }
                let before = std::mem::replace(&mut self.incarnation, header.src_incarnation);
                if header.src_incarnation <= before {
                    return;
                }
                Note::Refutes(header.src_incarnation)
            }
            Notification::Active | Notification::Idle | Notification::Defunct => return,
        };
        self.notes.push(note);
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.sends.push(Sending { to, data: Bytes::copy_from_slice(data), kind: Kind::Other });
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        self.timers.push((after, event));
    }
}
