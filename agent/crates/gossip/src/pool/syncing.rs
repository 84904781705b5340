//! What members tell each other by stream: everything on joining and now and then, and records
//! that are missing.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use bytes::Bytes;
use foca::{Member, State};
use lictor_sys::clock::Moment;
use rand_for_foca::RngExt;
use rand_for_foca::seq::IteratorRandom;

use crate::pool::inbox::Inbox;
use crate::pool::keys::Whom;
use crate::pool::table::MAX_MEMBERS;
use crate::pool::timers::Due;
use crate::pool::{Output, Pool, Unjoined};
use crate::record::{Id, Notice, Record};
use crate::talk::{self, Answer, Asked, Knowledge, MAX_TALK, Question};
use crate::wire::Seal;

/// How many records are asked for at once.
const RECORDS_AT_ONCE: usize = 4096;
/// How much news is told to others one by one.
const LITTLE: usize = 16;
/// How long it takes until everything is compared again while there is much news.
const SOON: std::time::Duration = std::time::Duration::from_secs(1);
/// How many questions may be open at once; beyond that those wait that can.
const MOST_ASKED: usize = 64;

/// Why something was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To join this address.
    Join(SocketAddr),
    /// To find a member of an earlier life.
    Rejoin,
    /// To compare everything.
    Sync,
    /// For records of members.
    Records,
    /// To hand over records or events.
    Take,
    /// To see whether it is there.
    Ping,
    /// For a request about keys, from the member of this name.
    Keys(u64, String),
}

fn code(state: State) -> u8 {
    match state {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    }
}

fn state(code: u8) -> State {
    match code {
        0 => State::Alive,
        1 => State::Suspect,
        _ => State::Down,
    }
}

impl Pool {
    /// Asks somebody something by stream.
    pub(super) fn ask(&mut self, to: SocketAddr, question: Question, purpose: Purpose) {
        self.tickets += 1;
        self.figures.asked += 1;
        let ticket = self.tickets;
        self.asked.insert(ticket, purpose);
        let is_secret = question.is_secret();
        let asked = Asked { pool: self.pool.clone(), record: self.encoded.clone(), question };
        let data = self.seal.close_stream(&talk::encode(&asked), is_secret, &mut self.chance);
        self.outputs.push(Output::Ask { ticket, to, data });
    }

    pub(super) fn join(&mut self, addresses: Vec<SocketAddr>) {
        for address in addresses {
            if address == self.me.id.address {
                self.outputs.push(Output::Joined { address, outcome: Ok(()) });
            } else if self.joining.insert(address) {
                let knowledge = self.knowledge(None);
                self.ask(address, Question::Sync(knowledge), Purpose::Join(address));
            }
        }
    }

    /// Looks for members of an earlier life while there is nobody else.
    pub(super) fn rejoin(&mut self) {
        if self.past.is_empty() || self.asked.values().any(|purpose| *purpose == Purpose::Rejoin) {
            return;
        }
        if self.table.others().next().is_some() {
            self.past.clear();
            return;
        }
        let at = self.chance.random_range(0..self.past.len());
        let address = self.past.swap_remove(at);
        if address != self.me.id.address {
            let knowledge = self.knowledge(None);
            self.ask(address, Question::Sync(knowledge), Purpose::Rejoin);
        }
    }

    /// Compares everything with another member before long: there is much news.
    pub(super) fn sync_soon(&mut self, now: Moment) {
        self.sync_pause = SOON;
        let soon = self.after_pause(now);
        // What is planned is never put off, however often there is news.
        if soon < self.next_sync {
            self.plan_sync(soon);
        }
    }

    fn after_pause(&mut self, now: Moment) -> Moment {
        now + self.sync_pause.mul_f64(self.chance.random_range(0.8..1.2))
    }

    fn plan_sync(&mut self, at: Moment) {
        self.next_sync = at;
        self.timers.set(at, Due::Sync);
    }

    pub(super) fn sync_with_anyone(&mut self, now: Moment) {
        if now < self.next_sync {
            // Another time has been planned since.
            return;
        }
        self.sync_pause = (self.sync_pause * 2).min(self.timing.sync(self.sized_for));
        let next = self.after_pause(now);
        self.plan_sync(next);
        if let Some(id) = self.table.others().choose(&mut self.chance)
            && self.asked.len() < MOST_ASKED
        {
            let knowledge = self.knowledge(None);
            self.ask(id.address, Question::Sync(knowledge), Purpose::Sync);
        }
    }

    /// Tries a failed member again: perhaps only the network between was down.
    pub(super) fn reconnect(&mut self, now: Moment) {
        let interval = self.timing.reconnect_interval;
        self.timers.set(now + interval.mul_f64(self.chance.random_range(0.8..1.2)), Due::Reconnect);
        let failed: Vec<SocketAddr> = self.table.failed().collect();
        let Some(address) = failed.iter().choose(&mut self.chance) else { return };
        // All members do this: together they try each failed one about once an interval.
        let share = failed.len() as f64 / self.sized_for.max(1) as f64;
        if self.chance.random_bool(share.clamp(0.01, 1.0)) && self.asked.len() < MOST_ASKED {
            let knowledge = self.knowledge(None);
            self.ask(*address, Question::Sync(knowledge), Purpose::Sync);
        }
    }

    /// Everything that this node knows, and in answer to somebody what they lack of it.
    fn knowledge(&self, theirs: Option<&Knowledge>) -> Knowledge {
        let me = (self.me.id, 0, code(State::Alive));
        let members = self
            .foca
            .iter_membership_state()
            .map(|member| (*member.id(), member.incarnation(), code(member.state())));
        let records = theirs.map(|theirs| encoded(self.table.newer_than(&versions(theirs))));
        let inbox = self.inbox();
        Knowledge {
            members: std::iter::once(me).chain(members).collect(),
            versions: self.table.versions(),
            records: records.unwrap_or_default(),
            clock: inbox.events.clock(),
            heard: inbox.events.keys(),
            hears_from: inbox.events.hears_from(),
            events: theirs.map(|theirs| unheard(&inbox, theirs)).unwrap_or_default(),
        }
    }

    /// Takes in what another one knows, with these records. A little news is told to others at
    /// once; much of it spreads faster by comparing everything.
    fn learn(&mut self, knowledge: &Knowledge, records: &[Bytes], now: Moment) {
        if self.foca.iter_membership_state().len() >= MAX_MEMBERS {
            tracing::warn!("the pool has as many members as it can have");
            return;
        }
        let members: Vec<Member<Id>> = knowledge
            .members
            .iter()
            .filter(|(id, ..)| self.door.is_open_to(id.address.ip()))
            // foca would look through all that it knows for each of them.
            .filter(|(id, _, code)| !self.table.knows(*id, state(*code) != State::Down))
            .map(|(id, incarnation, code)| Member::new(*id, *incarnation, state(*code)))
            .take(MAX_MEMBERS)
            .collect();
        self.inbox().events.meet(knowledge.clock);
        self.hear(&knowledge.events);
        let news = self.take(records);
        let tell_others = news <= LITTLE;
        if !tell_others {
            self.sync_soon(now);
        }
        if let Err(error) = self.foca.apply_many(members.into_iter(), tell_others, &mut self.wishes) {
            tracing::debug!(%error, "gossip knowledge of another member");
        }
    }

    /// Takes in records; spreads them if few are news. Returns how many are.
    pub(super) fn take(&mut self, records: &[Bytes]) -> usize {
        let mut news = Vec::new();
        for bytes in records {
            let Some(record) = Record::decode(bytes) else { continue };
            if self.inbox().offer(record.clone()) {
                news.push((record, bytes));
            }
        }
        if news.len() <= LITTLE {
            for (record, bytes) in &news {
                self.spread(record, bytes);
            }
        }
        news.len()
    }

    /// Asks for records that have been missing for a while; most come by themselves.
    pub(super) fn ask_for_records(&mut self) {
        let missing = self.table.missing();
        let late: Vec<u64> =
            missing.intersection(&self.missing_before).take(RECORDS_AT_ONCE).copied().collect();
        self.missing_before = missing.iter().take(RECORDS_AT_ONCE).copied().collect::<BTreeSet<u64>>();
        let is_asking = self.asked.values().any(|purpose| *purpose == Purpose::Records);
        let whom = late.iter().choose(&mut self.chance).and_then(|key| self.table.address_of(*key));
        // Any of them has its own, and most likely all others.
        if let Some(to) = whom.filter(|_| !is_asking) {
            self.ask(to, Question::Records(late), Purpose::Records);
        }
    }

    /// There is a record that is too large to be spread.
    pub(super) fn ask_for_record(&mut self, notice: &Notice) {
        // Nobody is sent anywhere by a notice alone. Who is not known yet is asked when it is.
        let Some(to) = self.table.address_of(notice.id.key) else { return };
        if self.asked.len() < MOST_ASKED {
            self.ask(to, Question::Records(vec![notice.id.key]), Purpose::Records);
        } else {
            // It comes when everything is compared.
            self.inbox().forget(notice.id.key);
        }
    }

    pub(super) fn asked(&mut self, ticket: u64, from: SocketAddr, data: &Bytes, now: Moment) {
        let answer = if self.door.is_open_to(from.ip()) {
            match self.seal.open_stream(data).map(|plain| talk::decode::<Asked>(&plain)) {
                // Whoever cannot seal has no say in keys, even while other things may come plainly.
                Ok(Some(asked))
                    if asked.question.is_secret() && self.is_encrypted() && !Seal::is_sealed(data) =>
                {
                    Some(Answer::Refused("keys are not talked about in the open".to_owned()))
                }
                Ok(Some(asked)) => match self.reply(ticket, asked, now) {
                    // It comes later.
                    None => return,
                    answer => answer,
                },
                Ok(None) => {
                    self.figures.garbage += 1;
                    None
                }
                Err(why) => {
                    self.figures.garbage += 1;
                    Some(Answer::Refused(why.to_string()))
                }
            }
        } else {
            self.figures.garbage += 1;
            None
        };
        self.answer(ticket, answer.as_ref());
    }

    /// Answers a question, or hangs up.
    pub(super) fn answer(&mut self, ticket: u64, answer: Option<&Answer>) {
        let data = answer.map(|answer| {
            let is_secret = matches!(answer, Answer::Keys(_));
            self.seal.close_stream(&talk::encode(answer), is_secret, &mut self.chance)
        });
        self.outputs.push(Output::Answer { ticket, data });
    }

    /// What there is to answer; `None` if that shows later.
    fn reply(&mut self, ticket: u64, asked: Asked, now: Moment) -> Option<Answer> {
        let Some(asker) = Record::decode(&asked.record) else {
            return Some(Answer::Refused("it does not say who it is".to_owned()));
        };
        if let Err(why) = self.admit(&asked.pool, &asker) {
            return Some(why);
        }
        if self.leaving && matches!(asked.question, Question::Sync(_)) {
            return Some(Answer::Refused(format!("Member '{}' is leaving", self.me.name)));
        }
        Some(match asked.question {
            Question::Sync(knowledge) => {
                let records: Vec<Bytes> =
                    std::iter::once(asked.record).chain(knowledge.records.clone()).collect();
                self.learn(&knowledge, &records, now);
                Answer::Knowledge(Box::new(self.knowledge(Some(&knowledge))))
            }
            Question::Records(keys) => {
                let known = keys.iter().take(RECORDS_AT_ONCE).filter_map(|key| self.table.record_of(*key));
                Answer::Records(encoded(known))
            }
            Question::Take(records) => {
                if self.take(&records) > LITTLE {
                    self.sync_soon(now);
                }
                Answer::Done
            }
            Question::Hear(events) => {
                self.hear(&events);
                Answer::Done
            }
            Question::Ping(packet) => {
                let before = self.wishes.sends.len();
                self.feed(&packet, None, now);
                let answers = self.wishes.sends.extract_if(before.., |sending| sending.to == asker.id);
                Answer::Packets(answers.map(|sending| sending.data).collect())
            }
            Question::Keys(request) => {
                self.apply_keys(&request, Whom::Asker(ticket));
                return None;
            }
        })
    }

    /// Whether somebody may ask.
    fn admit(&self, pool: &str, asker: &Record) -> Result<(), Answer> {
        let refused = |why: String| Err(Answer::Refused(why));
        if pool != self.pool {
            return refused(match self.me.tags.get("dc").filter(|_| pool.starts_with("lan.")) {
                Some(datacenter) if self.pool.starts_with("lan.") => {
                    format!("Member '{}' part of wrong datacenter '{datacenter}'", self.me.name)
                }
                _ => format!("Member '{}' is not in the pool '{pool}'", self.me.name),
            });
        }
        if !self.door.is_open_to(asker.id.address.ip()) {
            return refused(format!("Member '{}' is not at an address that may join", asker.name));
        }
        if let Err(why) = self.options.admission.check(&asker.name, &asker.tags) {
            return refused(why);
        }
        if let Some(holder) = self.table.rival(asker) {
            return Err(Answer::NameTaken(format!(
                "the node name '{}' is taken by the member at {}",
                asker.name, holder.id.address
            )));
        }
        let same_id = self.table.record_of(asker.id.key).filter(|known| {
            let elsewhere = self.table.address_of(known.id.key).is_some_and(|at| at != asker.id.address);
            elsewhere && known.name != asker.name
        });
        if let Some(other) = same_id {
            return refused(format!(
                "Member '{}' has conflicting node ID with member '{}'",
                asker.name, other.name
            ));
        }
        Ok(())
    }

    pub(super) fn answered(&mut self, ticket: u64, answer: Result<Bytes, String>, now: Moment) {
        let Some(purpose) = self.asked.remove(&ticket) else { return };
        let answer = answer.and_then(|data| {
            let plain = self.seal.open_stream(&data).map_err(|why| why.to_string())?;
            talk::decode::<Answer>(&plain).ok_or_else(|| "the answer makes no sense".to_owned())
        });
        match purpose {
            Purpose::Keys(round, name) => {
                let keys = answer.and_then(|answer| match answer {
                    Answer::Keys(keys) => Ok(keys),
                    Answer::Refused(why) => Err(why),
                    _ => Err("the answer makes no sense".to_owned()),
                });
                self.keys_told(round, &name, keys);
            }
            Purpose::Join(address) => {
                self.joining.remove(&address);
                let outcome = self.met(address, answer, now);
                self.outputs.push(Output::Joined { address, outcome });
            }
            Purpose::Rejoin | Purpose::Sync | Purpose::Records | Purpose::Take | Purpose::Ping => {
                self.told(answer, now);
            }
        }
    }

    fn told(&mut self, answer: Result<Answer, String>, now: Moment) {
        match answer {
            Ok(Answer::Knowledge(knowledge)) => self.compare(&knowledge, None, now),
            Ok(Answer::Records(records)) => drop(self.take(&records)),
            Ok(Answer::Packets(packets)) => {
                for packet in packets {
                    self.feed(&packet, None, now);
                }
            }
            Ok(Answer::NameTaken(why)) => tracing::error!("{why}: give this agent another name"),
            Ok(Answer::Refused(why)) => tracing::warn!(%why, "a member refuses to talk"),
            Ok(Answer::Done | Answer::Keys(_)) => {}
            Err(error) => tracing::debug!(%error, "talking to a member"),
        }
    }

    fn met(
        &mut self,
        address: SocketAddr,
        answer: Result<Answer, String>,
        now: Moment,
    ) -> Result<(), Unjoined> {
        match answer {
            Ok(Answer::Knowledge(knowledge)) => {
                self.compare(&knowledge, Some(address), now);
                // Others may be joining at the same time.
                self.sync_soon(now);
                Ok(())
            }
            Ok(Answer::NameTaken(why)) => Err(Unjoined::NameTaken(why)),
            Ok(Answer::Refused(why)) => Err(Unjoined::Failed(why)),
            Ok(_) => Err(Unjoined::Failed("the answer makes no sense".to_owned())),
            Err(error) => Err(Unjoined::Failed(error)),
        }
    }

    /// Takes in what another one knows, and hands over what it lacks.
    fn compare(&mut self, knowledge: &Knowledge, to: Option<SocketAddr>, now: Moment) {
        self.learn(knowledge, &knowledge.records, now);
        let theirs = versions(knowledge);
        let newer = self.table.newer_than(&theirs);
        let lacking = encoded(newer.filter(|record| record.id.key != self.me.id.key));
        let unheard = unheard(&self.inbox(), knowledge);
        let Some(to) = to.or_else(|| knowledge.members.first().map(|(id, ..)| id.address)) else { return };
        if !lacking.is_empty() {
            self.ask(to, Question::Take(lacking), Purpose::Take);
        }
        if !unheard.is_empty() {
            self.ask(to, Question::Hear(unheard), Purpose::Take);
        }
    }
}

/// Events that are news to somebody.
fn unheard(inbox: &Inbox, theirs: &Knowledge) -> Vec<Bytes> {
    inbox.events.lacking(&theirs.heard, theirs.hears_from)
}

/// How new the records are that somebody has.
fn versions(knowledge: &Knowledge) -> HashMap<u64, u64> {
    knowledge.versions.iter().copied().collect()
}

/// Records as they are sent, as many as there is room for.
fn encoded<'r>(records: impl Iterator<Item = &'r std::sync::Arc<Record>>) -> Vec<Bytes> {
    let mut room = MAX_TALK / 2;
    let encoded = records.filter_map(|record| record.encode().ok());
    encoded
        .take_while(|bytes| {
            let fits = bytes.len() <= room;
            room = room.saturating_sub(bytes.len());
            fits
        })
        .map(Bytes::from)
        .collect()
}
