//! Requests about the keys of all members: the one that is asked asks everybody who is there.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use crate::keyring::KeyRequest;
use crate::pool::syncing::Purpose;
use crate::pool::{Output, Pool};
use crate::talk::{Answer, KeyReport, KeysOf, Question};

/// How many members are asked at once.
const AT_ONCE: usize = 16;
/// How many requests there may be at once.
const MOST_ROUNDS: usize = 16;

struct Round {
    request: KeyRequest,
    waiting: VecDeque<(String, SocketAddr)>,
    in_flight: usize,
    report: KeyReport,
}

/// Requests that are under way.
#[derive(Default)]
pub(crate) struct KeyRounds(BTreeMap<u64, Round>);

/// Who is told what became of a request about keys on this node.
pub(crate) enum Whom {
    /// Who asked by stream.
    Asker(u64),
    /// Who asks everybody, with what the others said.
    Round(u64, KeyReport),
}

/// Changes of the keys on their way to their file: nobody is told of one before it is there.
#[derive(Default)]
pub(crate) struct Keeping {
    /// Grows with every change.
    revision: u64,
    /// The one that is on disk.
    kept: u64,
    /// Who is told once a revision is.
    waiting: Vec<(u64, Whom, KeysOf)>,
}

impl Pool {
    pub(super) fn ask_keys(&mut self, round: u64, request: KeyRequest) {
        let mut report = KeyReport::default();
        if self.rounds.0.len() + self.keeping.waiting.len() >= MOST_ROUNDS {
            report.add(&self.me.name, Err("too many requests about keys at once".to_owned()));
            self.outputs.push(Output::Keys { round, report });
            return;
        }
        // Where nothing is encrypted, all say so, and no key goes over the network.
        let request = if self.is_encrypted() { request } else { KeyRequest::List };
        // Last of all this node itself: what it seals differently from then on, the others open by then.
        let waiting = self
            .table
            .others()
            .filter_map(|id| Some((self.table.record_of(id.key)?.name.clone(), id.address)))
            .collect();
        self.rounds.0.insert(round, Round { request, waiting, in_flight: 0, report });
        self.ask_next_for_keys(round);
    }

    fn ask_next_for_keys(&mut self, round: u64) {
        while let Some(of) = self.rounds.0.get_mut(&round) {
            if of.in_flight >= AT_ONCE {
                return;
            }
            match of.waiting.pop_front() {
                Some((name, address)) => {
                    of.in_flight += 1;
                    let question = Question::Keys(of.request.clone());
                    self.ask(address, question, Purpose::Keys(round, name));
                }
                None if of.in_flight > 0 => return,
                None => {
                    if let Some(Round { request, report, .. }) = self.rounds.0.remove(&round) {
                        self.apply_keys(&request, Whom::Round(round, report));
                    }
                }
            }
        }
    }

    pub(super) fn keys_told(&mut self, round: u64, name: &str, answer: Result<KeysOf, String>) {
        if let Some(of) = self.rounds.0.get_mut(&round) {
            of.in_flight -= 1;
            of.report.add(name, answer);
            self.ask_next_for_keys(round);
        }
    }

    /// Carries a request about keys out on this node, and says so once that is on disk.
    pub(super) fn apply_keys(&mut self, request: &KeyRequest, whom: Whom) {
        let before = self.seal.keys.texts();
        let error = self.seal.keys.apply(request).err().map(|error| error.to_string()).unwrap_or_default();
        let keys = self.seal.keys.texts();
        // Who repeats a change that could not be written is not told that it is done.
        let repeats = *request != KeyRequest::List && self.keeping.kept < self.keeping.revision;
        if keys != before || (repeats && error.is_empty()) {
            self.keeping.revision += 1;
            let revision = self.keeping.revision;
            self.outputs.push(Output::KeysChanged { revision, keys: keys.clone() });
            self.keeping.waiting.push((revision, whom, KeysOf { keys, error }));
        } else {
            self.tell_keys(whom, KeysOf { keys, error });
        }
    }

    /// The keys of a revision are on disk, or cannot be written.
    pub(super) fn keys_kept(&mut self, revision: u64, outcome: &Result<(), String>) {
        if outcome.is_ok() {
            self.keeping.kept = self.keeping.kept.max(revision);
        }
        let waiting = &mut self.keeping.waiting;
        let over: Vec<_> = waiting.extract_if(.., |(awaited, ..)| *awaited <= revision).collect();
        for (_, whom, mut of) in over {
            if let Err(why) = outcome {
                of.error = format!("the keys have changed, but their file cannot be written: {why}");
            }
            self.tell_keys(whom, of);
        }
    }

    fn tell_keys(&mut self, whom: Whom, of: KeysOf) {
        match whom {
            Whom::Asker(ticket) => self.answer(ticket, Some(&Answer::Keys(of))),
            Whom::Round(round, mut report) => {
                report.add(&self.me.name, Ok(of));
                self.outputs.push(Output::Keys { round, report });
            }
        }
    }
}
