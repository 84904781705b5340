//! `kv export` and `kv import`: trees as JSON, in the form of the reference.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lictor_client::{Client, Entry};
use serde::{Deserialize, Serialize};

use crate::commands::{Ran, client, failed, kv};
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

pub(super) const IMPORT_FLAGS: &[Flag] = &[flags::value("prefix", "path", "Put everything below this path.")];

/// How many entries are written together; the API takes 128.
const BATCH_ENTRIES: usize = 64;
/// How many bytes of keys and values are written together. In base 64 and JSON they stay well
/// below the 512 KiB that a transaction may have; what is larger by itself is written alone.
const BATCH_BYTES: usize = 192 * 1024;

/// An entry in a file. Its namespace and partition, which other programs write, mean nothing here.
#[derive(Debug, Serialize, Deserialize)]
struct Exported {
    key: String,
    #[serde(default)]
    flags: u64,
    #[serde(default)]
    value: String,
}

pub(super) async fn export(context: &Context, parsed: Parsed) -> Ran {
    let prefix = kv::path(&parsed, Ok(""))?;
    let entries = client(context, &parsed)?
        .kv_list(prefix)
        .await
        .map_err(|error| failed("Error querying Consul agent", error))?;
    let exported: Vec<Exported> = entries
        .into_iter()
        .map(|entry| Exported { key: entry.key, flags: entry.flags, value: STANDARD.encode(entry.value) })
        .collect();
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    exported
        .serialize(&mut serde_json::Serializer::with_formatter(&mut text, indent))
        .map_err(|error| failed("Error exporting KV data", error))?;
    text.push(b'\n');
    Ok(Output::bytes(text))
}

pub(super) async fn import(context: &Context, parsed: Parsed) -> Ran {
    let data = match parsed.arguments.as_slice() {
        [] => return Err(Output::error("Error! Missing DATA argument", 1)),
        [data] if data.is_empty() => return Err(Output::error("Error! Empty DATA argument", 1)),
        [data] => kv::read_data(context, Some(data))?,
        more => {
            let count = more.len();
            return Err(Output::error(format!("Error! Too many arguments (expected 1, got {count})"), 1));
        }
    };
    let entries = read(&data, parsed.get("prefix"))?;
    let client = client(context, &parsed)?;
    let mut written = String::new();
    for batch in batches(&entries) {
        if let Err(why) = write(&client, batch).await {
            // What was written before is said all the same, so that nobody has to guess.
            return Err(Output { stdout: written.into_bytes(), ..why });
        }
        for entry in batch {
            written.push_str("Imported: ");
            written.push_str(&entry.key);
            written.push('\n');
        }
    }
    Ok(Output::text(written))
}

fn read(data: &[u8], prefix: &str) -> Result<Vec<Entry>, Output> {
    let exported: Vec<Exported> =
        serde_json::from_slice(data).map_err(|error| failed("Cannot unmarshal data", error))?;
    exported
        .into_iter()
        .map(|entry| {
            let value = STANDARD.decode(&entry.value).map_err(|error| {
                failed(&format!("Error base 64 decoding value for key {}", entry.key), error)
            })?;
            Ok(Entry { key: below(prefix, &entry.key), flags: entry.flags, value, ..Entry::default() })
        })
        .collect()
}

/// The key below a path, with one slash between them.
fn below(prefix: &str, key: &str) -> String {
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}/{}", key.trim_start_matches('/')) }
}

/// Runs of entries that are small enough to be written together; each has at least one.
fn batches(entries: &[Entry]) -> Vec<&[Entry]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (position, entry) in entries.iter().enumerate() {
        let size = entry.key.len() + entry.value.len();
        if position > start && (position - start >= BATCH_ENTRIES || bytes + size > BATCH_BYTES) {
            batches.extend(entries.get(start..position));
            (start, bytes) = (position, 0);
        }
        bytes += size;
    }
    batches.extend(entries.get(start..).filter(|rest| !rest.is_empty()));
    batches
}

async fn write(client: &Client, batch: &[Entry]) -> Result<(), Output> {
    match batch {
        [entry] => {
            let options = lictor_client::PutOptions { flags: entry.flags, ..Default::default() };
            let what = format!("Error! Failed writing data for key {}", entry.key);
            let done = client.kv_put(&entry.key, entry.value.clone(), &options).await;
            done.map(drop).map_err(|error| failed(&what, error))
        }
        [first, .., last] => {
            let what = format!("Error! Failed writing data for keys {} to {}", first.key, last.key);
            client.kv_put_all(batch).await.map_err(|error| failed(&what, error))
        }
        [] => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, size: usize) -> Entry {
        Entry { key: key.to_owned(), value: vec![0; size], ..Entry::default() }
    }

    #[test]
    fn batches_are_bounded_by_count_and_size_and_lose_nothing() {
        let mut entries: Vec<Entry> = (0..150).map(|number| entry(&format!("k{number}"), 10)).collect();
        entries.push(entry("large", 500 * 1024));
        entries.extend((0..3).map(|number| entry(&format!("m{number}"), 100 * 1024)));
        let batches = batches(&entries);
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [64, 64, 22, 1, 1, 1, 1]);
        let all: Vec<&Entry> = batches.into_iter().flatten().collect();
        assert_eq!(all, entries.iter().collect::<Vec<_>>());
        assert!(super::batches(&[]).is_empty());
    }

    #[test]
    fn files_of_the_reference_are_read_whatever_else_they_say() {
        let file = br#"[{"key": "a/b", "flags": 7, "value": "aGk=", "namespace": "x", "partition": "y"},
            {"key": "a/", "flags": 0, "value": ""}]"#;
        let entries = read(file, "/moved/").unwrap();
        let keys: Vec<(&str, &[u8], u64)> =
            entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_slice(), entry.flags)).collect();
        assert_eq!(keys, [("moved/a/b", &b"hi"[..], 7), ("moved/a/", &b""[..], 0)]);
        let refused = read(br#"[{"key": "a", "value": "?"}]"#, "").unwrap_err();
        assert!(refused.stderr.starts_with("Error base 64 decoding value for key a: "), "{refused:?}");
        assert!(read(b"{}", "").unwrap_err().stderr.starts_with("Cannot unmarshal data: "));
    }
}
