//! Node metadata as TXT records.

use hickory_server::proto::rr::rdata::TXT;
use hickory_server::proto::rr::{Name, RData, Record};
use lictor_model::node::Node;

/// The longest text that fits into one string of a TXT record, in bytes.
const MAX_STRING: usize = 255;
/// Metadata under keys with this prefix is published without its key.
const BARE_PREFIX: &str = "rfc1035-";

/// What agents say of themselves; it comes last, where answers are cut first.
const OWN_PREFIX: &str = "consul-";

/// A node's metadata, a record for each pair.
pub(crate) fn of_node(name: &Name, node: &Node, ttl: u32) -> impl Iterator<Item = Record> {
    let is_own = |key: &String| key.starts_with(OWN_PREFIX);
    let given = node.meta.iter().filter(move |(key, _)| !is_own(key));
    given.chain(node.meta.iter().filter(move |(key, _)| is_own(key))).map(move |(key, value)| {
        let text = text(key, value);
        let strings: Vec<&[u8]> =
            if text.is_empty() { vec![b""] } else { text.as_bytes().chunks(MAX_STRING).collect() };
        Record::from_rdata(name.clone(), ttl, RData::TXT(TXT::from_bytes(strings)))
    })
}

/// A pair as RFC 1464 writes it: what would end or blur the key is quoted.
fn text(key: &str, value: &str) -> String {
    if key.to_ascii_lowercase().starts_with(BARE_PREFIX) {
        return value.to_owned();
    }
    let inner = key.trim_matches(' ');
    let leading = if inner.is_empty() { key.len() } else { key.len() - key.trim_start_matches(' ').len() };
    let trailing = key.len() - leading - inner.len();
    let quoted = inner.replace('`', "``").replace('=', "`=");
    format!("{}{quoted}{}={}", "` ".repeat(leading), "` ".repeat(trailing), value.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_quoted_where_they_could_be_misread() {
        for (key, value, expected) in [
            ("color", "blue", "color=blue"),
            ("equation", "a=4", "equation=a=4"),
            ("a=a", "true", "a`=a=true"),
            ("a\\=a", "false", "a\\`=a=false"),
            ("=", "\\=", "`==\\="),
            (" a ", "b", "` a` =b"),
            ("  ", "b", "` ` =b"),
            ("`", "`", "``=``"),
            ("RFC1035-spf", "v=spf1", "v=spf1"),
        ] {
            assert_eq!(text(key, value), expected, "{key:?}");
        }
    }

    #[test]
    fn what_users_gave_comes_first() {
        let meta = ["consul-version", "a", "zone"].map(|key| (key.to_owned(), "v".to_owned())).into();
        let node = Node { meta, ..Node::default() };
        let texts: Vec<String> =
            of_node(&Name::root(), &node, 0).map(|record| record.data.to_string()).collect();
        assert_eq!(texts, ["a=v", "zone=v", "consul-version=v"]);
    }

    #[test]
    fn a_long_value_becomes_several_strings() {
        let meta = [("k".to_owned(), "v".repeat(600))].into();
        let node = Node { meta, ..Node::default() };
        let record = of_node(&Name::root(), &node, 0).next().unwrap();
        let RData::TXT(txt) = record.data else { panic!("{record:?}") };
        let lengths: Vec<usize> = txt.txt_data.iter().map(|string| string.len()).collect();
        assert_eq!(lengths, [255, 255, 92]);
    }
}
