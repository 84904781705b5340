//! Requests about the keys of all members: the one that is asked asks everybody who is there.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use crate::keyring::KeyRequest;
use crate::pool::syncing::Purpose;
use crate::pool::{Output, Pool};
use crate::talk::{KeyReport, KeysOf, Question};

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

impl Pool {
    pub(super) fn ask_keys(&mut self, round: u64, request: KeyRequest) {
        let mut report = KeyReport::default();
        if self.rounds.0.len() >= MOST_ROUNDS {
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
                    if let Some(Round { request, mut report, .. }) = self.rounds.0.remove(&round) {
                        let own = self.apply_keys(&request);
                        report.add(&self.me.name, Ok(own));
                        self.outputs.push(Output::Keys { round, report });
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

    /// Carries a request about keys out on this node.
    pub(super) fn apply_keys(&mut self, request: &KeyRequest) -> KeysOf {
        let before = self.seal.keys.texts();
        let error = self.seal.keys.apply(request).err().map(|error| error.to_string()).unwrap_or_default();
        let keys = self.seal.keys.texts();
        if keys != before {
            self.outputs.push(Output::KeysChanged(keys.clone()));
        }
        KeysOf { keys, error }
    }
}
