//! Probes beside what foca does with them: how long answers take, who helped, and what that says
//! of this node itself.

use std::time::Duration;

use bytes::Bytes;
use foca::Timer;
use lictor_model::coordinate::Coordinate;
use lictor_sys::clock::Moment;

use crate::pool::engine::Note;
use crate::pool::syncing::Purpose;
use crate::pool::timers::Due;
use crate::pool::{Pool, Timing};
use crate::record::Id;
use crate::talk::Question;

/// How many pings this node makes for others at once.
const MOST_FAVOURS: usize = 256;

/// A ping that is on its way.
struct Ping {
    number: u8,
    target: Id,
    sent: Moment,
    packet: Bytes,
    answered: bool,
    /// How many others were asked to ping it too, and how many of them said that they got no answer.
    helpers: u32,
    nacks: u32,
}

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Probing {
    ping: Option<Ping>,
    /// Who asked for a ping of whom, for which of its own, where no answer has come yet.
    favours: Vec<(Id, Id, u8)>,
}

impl Probing {
    pub(crate) fn begin(&mut self, number: u8, target: Id, packet: Bytes, now: Moment) {
        self.ping = Some(Ping { number, target, sent: now, packet, answered: false, helpers: 0, nacks: 0 });
    }

    pub(crate) fn helper(&mut self) {
        if let Some(ping) = &mut self.ping {
            ping.helpers += 1;
        }
    }

    pub(crate) fn nack(&mut self, number: u8) {
        if let Some(ping) = self.ping.as_mut().filter(|ping| ping.number == number) {
            ping.nacks = (ping.nacks + 1).min(ping.helpers);
        }
    }
}

impl Timing {
    /// After which time somebody who was asked to ping another says that there is no answer: early
    /// enough for the one who asked to hear of it.
    fn nack_after(&self) -> Duration {
        self.probe_interval.saturating_sub(self.probe_timeout).mul_f64(0.7).min(self.probe_timeout)
    }
}

impl Pool {
    pub(super) fn heed_probe(&mut self, note: Note, point: Option<&Coordinate>, now: Moment) {
        match note {
            Note::Answered(from, number) => {
                let ping = self.probing.ping.as_mut();
                let Some(ping) = ping.filter(|ping| ping.number == number && ping.target == from) else {
                    return;
                };
                if std::mem::replace(&mut ping.answered, true) {
                    return;
                }
                self.awareness.better();
                if let Some(point) = point {
                    let took = now.since(ping.sent);
                    self.vivaldi.measured(from.key, point, took, &mut self.chance);
                }
            }
            Note::AnsweredElsewhere(number) => {
                let ping = self.probing.ping.as_mut();
                if let Some(ping) = ping.filter(|ping| ping.number == number)
                    && !std::mem::replace(&mut ping.answered, true)
                {
                    self.awareness.better();
                }
            }
            Note::ProbeFailed => {
                // Without anybody to help there is no telling whose fault it is.
                if let Some(ping) = self.probing.ping.take() {
                    self.awareness.worse(ping.helpers.saturating_sub(ping.nacks));
                }
            }
            Note::Refutes(_) => self.awareness.worse(1),
            Note::Asked(origin, target, number) if self.probing.favours.len() < MOST_FAVOURS => {
                self.probing.favours.push((origin, target, number));
                self.timers.set(now + self.timing.nack_after(), Due::Nack(origin, target, number));
            }
            Note::AnsweredFor(origin, target, number) => {
                self.probing.favours.retain(|favour| *favour != (origin, target, number));
            }
            _ => {}
        }
    }

    /// The one that was to be pinged for another has not answered in time.
    pub(super) fn nack(&mut self, origin: Id, target: Id, number: u8) {
        let before = self.probing.favours.len();
        self.probing.favours.retain(|favour| *favour != (origin, target, number));
        if self.probing.favours.len() < before {
            self.send(origin.address, &crate::wire::Packet::Nack(number));
        }
    }

    /// When others are asked to help, the ping is also tried by stream: networks that lose packets
    /// often let streams through.
    pub(super) fn before_ringing(&mut self, timer: &Timer<Id>) {
        if !matches!(timer, Timer::SendIndirectProbe { .. }) {
            return;
        }
        let Some(ping) = self.probing.ping.as_ref().filter(|ping| !ping.answered) else { return };
        let (to, packet) = (ping.target.address, ping.packet.clone());
        self.ask(to, Question::Ping(packet), Purpose::Ping);
    }

    /// A suspect's time is over, unless this node has come to doubt itself since it began.
    pub(super) fn fail(&mut self, timer: Timer<Id>, since: Moment, now: Moment) {
        let needed = since + self.awareness.stretch(self.timing.suspicion(self.sized_for));
        if needed > now {
            self.timers.set(needed, Due::Failed(timer, since));
        } else {
            self.ring(timer, now);
        }
    }

    /// A timer that rings late tells of a node that was stopped or starved: it has heard nothing
    /// meanwhile and must not blame others for that. Time did not pass for it.
    pub(super) fn consider_lateness(&mut self, now: Moment) {
        let Some(due) = self.timers.next() else { return };
        let late = now.since(due);
        if !self.options.health_awareness || late < self.timing.probe_timeout {
            return;
        }
        let intervals = late.as_millis() / self.timing.probe_interval.as_millis().max(1);
        self.awareness.worse(1 + u32::try_from(intervals).unwrap_or(u32::MAX - 1));
        self.timers.postpone(late + self.timing.probe_timeout);
    }
}
