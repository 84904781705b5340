//! Events that users fire.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pattern;

/// The version of events that this build fires and understands.
pub const VERSION: u32 = 1;

/// What the names of users' events begin with in the pool, which may carry others.
pub const POOL_PREFIX: &str = "consul:event:";

/// An event, as agents tell each other of it: the short names leave room for what users say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserEvent {
    /// What tells it from all others.
    #[serde(rename = "ID")]
    pub id: String,
    /// What it is called.
    #[serde(rename = "n")]
    pub name: String,
    /// What it carries.
    #[serde(rename = "p", skip_serializing_if = "Bytes::is_empty")]
    pub payload: Bytes,
    /// An expression that a node's name has to match for the event to be meant for it; empty: any.
    #[serde(rename = "nf", skip_serializing_if = "String::is_empty")]
    pub node_filter: String,
    /// The same of one of its services.
    #[serde(rename = "sf", skip_serializing_if = "String::is_empty")]
    pub service_filter: String,
    /// The same of a tag of that service.
    #[serde(rename = "tf", skip_serializing_if = "String::is_empty")]
    pub tag_filter: String,
    /// The version of the event: nobody acts on one that is newer than what they know.
    #[serde(rename = "v")]
    pub version: u32,
    /// When it was fired, in the pool's Lamport time; 0 for whoever fires it.
    #[serde(skip)]
    pub time: u64,
}

impl UserEvent {
    /// Checks what a user has asked to be fired.
    ///
    /// # Errors
    /// If a filter is no regular expression, or one is missing.
    pub fn check(&self) -> Result<()> {
        let filters =
            [("node", &self.node_filter), ("service", &self.service_filter), ("tag", &self.tag_filter)];
        for (what, filter) in filters {
            pattern::compile(filter).map_err(|why| Error::failed(format!("Invalid {what} filter: {why}")))?;
        }
        if !self.tag_filter.is_empty() && self.service_filter.is_empty() {
            return Err(Error::failed("Cannot provide tag filter without service filter"));
        }
        Ok(())
    }

    /// The index of a list that ends with this event: a hash of its id.
    #[must_use]
    pub fn index(&self) -> u64 {
        let digits: String = self.id.chars().filter(|letter| *letter != '-').collect();
        let half = |range: std::ops::Range<usize>| {
            digits.get(range).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
        };
        // None at all stands for not waiting.
        (half(0..16) ^ half(16..32)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(node: &str, service: &str, tag: &str) -> std::result::Result<(), String> {
        let event = UserEvent {
            node_filter: node.to_owned(),
            service_filter: service.to_owned(),
            tag_filter: tag.to_owned(),
            ..UserEvent::default()
        };
        event.check().map_err(|error| error.message)
    }

    #[test]
    fn filters_are_expressions_and_tags_are_those_of_services() {
        assert_eq!(checked("^c", "web|db", "x$"), Ok(()));
        let unclosed = "error parsing regexp: missing closing ]: `[`";
        assert_eq!(checked("[", "", ""), Err(format!("Invalid node filter: {unclosed}")));
        assert_eq!(checked("", "[", ""), Err(format!("Invalid service filter: {unclosed}")));
        assert_eq!(checked("", "a", "["), Err(format!("Invalid tag filter: {unclosed}")));
        assert_eq!(checked("", "", "x"), Err("Cannot provide tag filter without service filter".to_owned()));
    }

    #[test]
    fn the_index_is_both_halves_of_the_id() {
        let event = |id: &str| UserEvent { id: id.to_owned(), ..UserEvent::default() };
        let id = "cb9a81ad-fff6-52ac-92a7-5f70687805ec";
        assert_eq!(event(id).index(), 0xcb9a_81ad_fff6_52ac ^ 0x92a7_5f70_6878_05ec);
        assert_eq!(event("nonsense").index(), 1);
    }
}
