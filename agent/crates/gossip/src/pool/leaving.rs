//! Leaving, and having others leave.

use std::net::SocketAddr;
use std::time::Duration;

use lictor_sys::clock::Moment;

use crate::pool::Pool;
use crate::pool::timers::Due;
use crate::record::Record;
use crate::wire::{MAX_FOCA_PACKET, Packet};

/// How long a member that leaves stays so that others hear of it.
const LEAVE_LINGER: Duration = Duration::from_secs(1);
/// How many members are told directly that one leaves; the others hear it from them.
const LEAVE_FANOUT: usize = 64;

impl Pool {
    pub(super) fn leave(&mut self, now: Moment) {
        if self.leaving {
            return;
        }
        self.leaving = true;
        self.joining.clear();
        self.past.clear();
        self.say(Record { leaving: true, version: self.next_version(), ..self.me.clone() });
        let others: Vec<SocketAddr> = self.table.others().map(|id| id.address).take(LEAVE_FANOUT).collect();
        let linger = if others.is_empty() { Duration::ZERO } else { LEAVE_LINGER };
        // One that is too long for a packet is asked for by stream.
        if self.encoded.len() <= MAX_FOCA_PACKET.get() {
            let record = Packet::Tell(self.encoded.clone());
            for address in others {
                self.send(address, &record);
            }
        }
        self.timers.set(now + linger, Due::Gone);
        if linger.is_zero() {
            self.wake(now);
        }
    }

    pub(super) fn gone(&mut self) {
        if let Err(error) = self.foca.leave_cluster(&mut self.wishes) {
            tracing::debug!(%error, "leaving the gossip pool");
        }
        self.table.down(self.me.id);
        self.left = true;
    }

    /// Says in the name of a member that it leaves. One that lives will say that it does not.
    pub(super) fn force_leave(&mut self, name: &str, prune: bool) {
        let Some(record) = self.table.named(name).filter(|record| record.id.key != self.me.id.key) else {
            return;
        };
        let version = record.version.saturating_add(1);
        let pruned = prune || record.pruned;
        let record = Record { leaving: true, pruned, version, ..Record::clone(record) };
        match record.encode() {
            Ok(encoded) => {
                self.inbox().offer(record.clone());
                self.spread(&record, &encoded);
            }
            Err(error) => tracing::warn!(%error, "a member cannot be made to leave"),
        }
    }
}
