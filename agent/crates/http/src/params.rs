//! Query parameters that many endpoints share.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::HeaderMap;
use lictor_model::filter::Filter;
use lictor_model::query::{Consistency, NodeSelector, ReadOptions};
use lictor_model::{Datacenter, RaftIndex, Token, duration};
use percent_encoding::{percent_decode_str, utf8_percent_encode};

use crate::failure::Failure;

/// The parameters of one request, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(query: &str) -> Self {
        Self(
            query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// Whether the parameter is given at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// The first value of the parameter; empty if it is not given.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// All values of the parameter.
    pub(crate) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A flag: given without a value it is set, otherwise its value says.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        if !self.has(name) {
            return Ok(false);
        }
        match self.get(name) {
            "" => Ok(true),
            word => boolean(word).ok_or_else(|| Failure::bad_request(format!("Invalid value for ?{name}"))),
        }
    }

    /// All parameters as a query string, in the order of their names.
    pub(crate) fn encode(&self) -> String {
        let mut pairs: Vec<&(String, String)> = self.0.iter().collect();
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let encoded: Vec<String> =
            pairs.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        encoded.join("&")
    }

    pub(crate) fn datacenter(&self) -> Option<Datacenter> {
        Some(self.get("dc")).filter(|name| !name.is_empty()).map(Datacenter::from)
    }

    pub(crate) fn filter(&self) -> Filter {
        Filter::from(self.get("filter").to_owned())
    }

    pub(crate) fn node_selector(&self) -> NodeSelector {
        let node_meta: BTreeMap<String, String> = self
            .all("node-meta")
            .map(|pair| pair.split_once(':').unwrap_or((pair, "")))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        NodeSelector { node_meta, filter: self.filter() }
    }

    /// The token: from the parameter, our header, or a bearer authorization.
    pub(crate) fn token(&self, headers: &HeaderMap) -> Token {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let given = self.get("token");
        let secret = if given.is_empty() {
            header("x-consul-token")
                .or_else(|| header("authorization")?.strip_prefix("Bearer ").map(str::trim))
                .unwrap_or_default()
        } else {
            given
        };
        Token::from(secret.to_owned())
    }

    /// How long to wait; nothing and less than nothing leave it to the agent, as the reference does.
    pub(crate) fn wait(&self) -> Result<Option<Duration>, Failure> {
        let given = self.get("wait");
        if given.is_empty() {
            return Ok(None);
        }
        let (is_negative, text) = given.strip_prefix('-').map_or((false, given), |text| (true, text));
        let wait = duration::parse(text).map_err(|_| Failure::bad_request("Invalid wait time"))?;
        Ok(Some(wait).filter(|wait| !is_negative && !wait.is_zero()))
    }

    /// How old a stale answer may be before the leader is asked after all.
    pub(crate) fn max_stale(&self) -> Result<Option<Duration>, Failure> {
        let text = self.get("max_stale");
        if text.is_empty() {
            return Ok(None);
        }
        let invalid = |_| Failure::bad_request(format!("Invalid max_stale value {text:?}"));
        Ok(Some(duration::parse(text).map_err(invalid)?).filter(|most| !most.is_zero()))
    }

    pub(crate) fn read_options(&self, headers: &HeaderMap) -> Result<ReadOptions, Failure> {
        let stale = self.has("stale") || self.max_stale()?.is_some();
        let consistency = match (stale, self.has("consistent")) {
            (true, true) => {
                return Err(Failure::bad_request(
                    "Cannot specify ?stale with ?consistent, conflicting semantics.",
                ));
            }
            (true, false) => Consistency::Stale,
            (false, true) => Consistency::Consistent,
            (false, false) => Consistency::Default,
        };
        let min_index = match self.get("index") {
            "" => RaftIndex::default(),
            index => RaftIndex(index.parse().map_err(|_| Failure::bad_request("Invalid index"))?),
        };
        Ok(ReadOptions {
            consistency,
            min_index,
            max_wait: self.wait()?,
            token: self.token(headers),
            datacenter: self.datacenter(),
            near: self.get("near").to_owned(),
            cache: None,
        })
    }
}

/// Yes or no in one of Go's spellings.
pub(crate) fn boolean(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

fn encode(text: &str) -> String {
    const UNSAFE: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');
    utf8_percent_encode(text, UNSAFE).to_string().replace(' ', "+")
}
