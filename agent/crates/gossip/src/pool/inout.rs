//! What goes into a pool, and what comes out of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::event::MemberEvent;
use crate::keyring::KeyRequest;
use crate::pool::events::Fired;
use crate::talk::KeyReport;

/// What a pool is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A packet came.
    Packet {
        /// Where from.
        from: SocketAddr,
        /// What it holds.
        data: Bytes,
    },
    /// The moment of [`Pool::next_wake`](crate::Pool::next_wake) has come.
    Wake,
    /// Somebody asks something by stream; [`Output::Answer`] with the same ticket answers it.
    Asked {
        /// Tells this question from others.
        ticket: u64,
        /// Where from.
        from: SocketAddr,
        /// The question.
        data: Bytes,
    },
    /// What became of an [`Output::Ask`].
    Answered {
        /// Of which one.
        ticket: u64,
        /// The answer, or why there is none.
        answer: Result<Bytes, String>,
    },
    /// Meet the members at these addresses, and through them everyone else.
    Join(Vec<SocketAddr>),
    /// The same, one after the other until somebody is met, and without a word if nobody is.
    Rejoin(Vec<SocketAddr>),
    /// Say something else of this node.
    SetTags(BTreeMap<String, String>),
    /// Ask something of the keys of all members; [`Output::Keys`] tells what became of it.
    Keys {
        /// Tells this request from others.
        round: u64,
        /// What.
        request: KeyRequest,
    },
    /// What became of writing an [`Output::KeysChanged`] down; older ones count as written with it.
    KeysKept {
        /// Of which one.
        revision: u64,
        /// Why it cannot be written. It may be tried again.
        outcome: Result<(), String>,
    },
    /// Have everybody see a failed member as left.
    ForceLeave {
        /// Its name.
        name: String,
        /// Whether it is to be forgotten at once.
        prune: bool,
    },
    /// Leave the pool; [`Output::Left`] tells when that is done.
    Leave,
}

/// What a pool wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a packet.
    Send {
        /// Where to.
        to: SocketAddr,
        /// What to send.
        data: Bytes,
    },
    /// Ask something by stream; [`Input::Answered`] with the same ticket tells what became of it.
    Ask {
        /// Tells this question from others.
        ticket: u64,
        /// Whom.
        to: SocketAddr,
        /// The question.
        data: Bytes,
    },
    /// Answer an [`Input::Asked`].
    Answer {
        /// Which one.
        ticket: u64,
        /// The answer; none to hang up.
        data: Option<Bytes>,
    },
    /// Tell whoever is interested.
    Event(MemberEvent),
    /// Tell the one who waits for what users fire.
    Fired(Fired),
    /// What became of joining an address.
    Joined {
        /// Which one.
        address: SocketAddr,
        /// Whether somebody was met there.
        outcome: Result<(), Unjoined>,
    },
    /// What became of [`Input::Keys`].
    Keys {
        /// Of which one.
        round: u64,
        /// What they say.
        report: KeyReport,
    },
    /// The keys have changed. Nobody is told so before [`Input::KeysKept`].
    KeysChanged {
        /// Tells this change from others; later ones have greater numbers.
        revision: u64,
        /// Those that are to be there after a restart, the one that seals first.
        keys: Vec<String>,
    },
    /// This node has left; the pool does nothing any more.
    Left,
}

/// Why an address was not joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unjoined {
    /// Nobody was met there.
    #[error("{0}")]
    Failed(String),
    /// Somebody was met, but another living member has this node's name.
    #[error("{0}")]
    NameTaken(String),
}

/// Figures of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Packets that came.
    pub received: u64,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets and questions that came and made no sense.
    pub garbage: u64,
    /// Questions that were asked by stream.
    pub asked: u64,
    /// How much this node doubts itself, from 0 to 8.
    pub doubt: u32,
}
