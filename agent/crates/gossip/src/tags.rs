//! A member's tags in little room: every member keeps those of all others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names with values, in the order of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub(crate) struct Tags(Box<[(Box<str>, Box<str>)]>);

impl Tags {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }
}

impl From<BTreeMap<String, String>> for Tags {
    fn from(tags: BTreeMap<String, String>) -> Self {
        Self(tags.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl From<Tags> for BTreeMap<String, String> {
    fn from(tags: Tags) -> Self {
        tags.0.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_a_map() {
        let map =
            BTreeMap::from([("a", "1"), ("b", "2"), ("dc", "x")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        let tags = Tags::from(map.clone());
        assert_eq!((tags.get("dc"), tags.get("b"), tags.get("c")), (Some("x"), Some("2"), None));
        let encoded = rmp_serde::to_vec_named(&tags).unwrap();
        assert_eq!(encoded, rmp_serde::to_vec_named(&map).unwrap(), "the same on the wire");
        assert_eq!(rmp_serde::from_slice::<Tags>(&encoded).unwrap(), tags);
        assert_eq!(BTreeMap::from(tags), map);
    }
}
