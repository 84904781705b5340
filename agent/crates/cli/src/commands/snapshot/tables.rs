//! What a state holds, without knowing more of it than that it is a map of tables.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The table of the key-value store.
const KV: &str = "kv";

/// How many rows there are of something, and how many bytes they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

impl Amount {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
    }
}

/// Amounts by what the reference calls such rows, and of keys by their beginnings.
#[derive(Debug, Default)]
pub(super) struct Amounts {
    pub(super) types: BTreeMap<String, Amount>,
    pub(super) keys: BTreeMap<String, Amount>,
}

/// Which keys are told apart, and how.
pub(super) struct Keys<'a> {
    /// After how many slashes the beginning of a key ends.
    pub(super) depth: usize,
    /// What keys start with that count.
    pub(super) prefix: &'a str,
}

/// Counts the rows of a state.
pub(super) fn count(state: &mut dyn Read, keys: &Keys<'_>) -> Result<Amounts, String> {
    let mut version = [0];
    state.read_exact(&mut version).map_err(|error| error.to_string())?;
    let position = Rc::new(Cell::new(0));
    let counted = Counted { from: state, position: Rc::clone(&position) };
    let mut amounts = Amounts::default();
    let visitor = Tables { amounts: &mut amounts, keys, position: &position };
    rmp_serde::Deserializer::new(counted)
        .deserialize_map(visitor)
        .map_err(|error| format!("the state cannot be read: {error}"))?;
    Ok(amounts)
}

/// What the reference calls the rows of a table; nothing for what it does not count.
fn kind(table: &str) -> String {
    let known = match table {
        "kv" => "KVS",
        "nodes" | "services" | "checks" => "Register",
        "sessions" => "Session",
        "coordinates" => "CoordinateBatchUpdate",
        "autopilot" => "Autopilot",
        "indexes" => "Index",
        "lock_delays" => "LockDelay",
        "prepared_queries" => "PreparedQuery",
        other => {
            let mut letters = other.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            return first.into_iter().chain(letters).collect();
        }
    };
    known.to_owned()
}

/// Knows how much has been read.
struct Counted<'a> {
    from: &'a mut dyn Read,
    position: Rc<Cell<u64>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.position.set(self.position.get() + read as u64);
        Ok(read)
    }
}

struct Tables<'a> {
    amounts: &'a mut Amounts,
    keys: &'a Keys<'a>,
    position: &'a Cell<u64>,
}

impl<'de> Visitor<'de> for Tables<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tables")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut tables: A) -> Result<(), A::Error> {
        while let Some(name) = tables.next_key::<String>()? {
            let before = self.position.get();
            let count = if name == KV {
                tables.next_value_seed(Entries {
                    amounts: self.amounts,
                    keys: self.keys,
                    position: self.position,
                })?
            } else {
                tables.next_value::<Rows>()?.0
            };
            if count > 0 {
                let amount = Amount { count, bytes: self.position.get() - before };
                self.amounts.types.entry(kind(&name)).or_default().add(amount);
            }
        }
        Ok(())
    }
}

/// How many rows a table has: one if it is none but a row itself.
struct Rows(u64);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Rows, A::Error> {
        let mut count = 0;
        while rows.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Rows(count))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<Rows, A::Error> {
        while row.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Rows(1))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Rows, E> {
        Ok(Rows(0))
    }

    fn visit_unit<E>(self) -> Result<Rows, E> {
        Ok(Rows(0))
    }

    fn visit_none<E>(self) -> Result<Rows, E> {
        Ok(Rows(0))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Rows, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The rows of the key-value store, also by their keys.
struct Entries<'a> {
    amounts: &'a mut Amounts,
    keys: &'a Keys<'a>,
    position: &'a Cell<u64>,
}

#[derive(Deserialize)]
struct Entry {
    key: String,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the table of keys")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<u64, A::Error> {
        let mut count = 0;
        let mut before = self.position.get();
        while let Some(Entry { key }) = entries.next_element()? {
            let after = self.position.get();
            if key.starts_with(self.keys.prefix) {
                let beginning: Vec<&str> = key.split('/').take(self.keys.depth).collect();
                let amount = Amount { count: 1, bytes: after - before };
                self.amounts.keys.entry(beginning.join("/")).or_default().add(amount);
            }
            before = after;
            count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[derive(Serialize)]
    struct Row {
        key: &'static str,
        value: Vec<u8>,
    }

    #[derive(Serialize)]
    struct State {
        index: u64,
        nodes: Vec<(u8, u8)>,
        checks: Vec<u8>,
        autopilot: Option<Row>,
        sessions: Vec<u8>,
        kv: Vec<Row>,
        widgets: Vec<u8>,
        absent: Option<Row>,
    }

    fn state() -> Vec<u8> {
        let row = |key| Row { key, value: vec![1; 10] };
        let state = State {
            index: 7,
            nodes: vec![(1, 2)],
            checks: vec![1, 2],
            autopilot: Some(row("")),
            sessions: vec![],
            kv: vec![row("a/b/c"), row("a/b/d"), row("a/x"), row("z")],
            widgets: vec![1, 2, 3],
            absent: None,
        };
        let mut bytes = vec![1];
        rmp_serde::encode::write_named(&mut bytes, &state).unwrap();
        bytes
    }

    #[test]
    fn rows_are_counted_by_what_the_reference_calls_them() {
        let amounts = count(&mut state().as_slice(), &Keys { depth: 2, prefix: "" }).unwrap();
        let counts: Vec<(&str, u64)> =
            amounts.types.iter().map(|(name, amount)| (name.as_str(), amount.count)).collect();
        assert_eq!(counts, [("Autopilot", 1), ("KVS", 4), ("Register", 3), ("Widgets", 3)]);
        assert!(amounts.types.values().all(|amount| amount.bytes > 0));
        let by_key: u64 = amounts.keys.values().map(|amount| amount.bytes).sum();
        let all = amounts.types.get("KVS").unwrap().bytes;
        assert!(by_key <= all && all - by_key < 10, "{by_key} of {all}");
    }

    #[test]
    fn keys_are_told_apart_by_depth_and_prefix() {
        let keys = |depth, prefix| {
            let amounts = count(&mut state().as_slice(), &Keys { depth, prefix }).unwrap();
            amounts
                .keys
                .into_iter()
                .map(|(key, amount)| format!("{key}={}", amount.count))
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(1, ""), ["a=3", "z=1"]);
        assert_eq!(keys(2, ""), ["a/b=2", "a/x=1", "z=1"]);
        assert_eq!(keys(9, "a/b"), ["a/b/c=1", "a/b/d=1"]);
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for bytes in [&[][..], &[1], &[1, 0xc1], &[1, 0x93, 1, 2, 3]] {
            assert!(count(&mut &*bytes, &Keys { depth: 2, prefix: "" }).is_err(), "{bytes:?}");
        }
        let whole = state();
        assert!(count(&mut &whole[..whole.len() - 1], &Keys { depth: 2, prefix: "" }).is_err());
    }
}
