//! `kv get`, `kv put` and `kv delete`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lictor_client::{Entry, PutOptions};
use serde_json::{Value, json};

use crate::commands::{Ran, client, failed};
use crate::flags::{self, Flag, Parsed};
use crate::output::table;
use crate::{Context, Output};

pub(super) const GET_FLAGS: &[Flag] = &[
    flags::switch("base64", "Print values in base 64."),
    flags::switch("detailed", "Print indexes, flags and session too."),
    flags::switch("keys", "Print the paths below the prefix."),
    flags::switch("recurse", "Print all entries below the prefix."),
    flags::value("separator", "text", "Where to cut paths with -keys. Default /"),
];

pub(super) const PUT_FLAGS: &[Flag] = &[
    flags::switch("acquire", "Lock the entry; needs -session."),
    flags::switch("release", "Unlock the entry; needs -session."),
    flags::switch("base64", "The data is in base 64."),
    flags::switch("cas", "Only write if the entry has the index given, or does not exist."),
    flags::value("flags", "number", "A number to keep with the entry. Default 0."),
    flags::value("modify-index", "number", "The index that -cas expects. Default 0."),
    flags::value("session", "id", "The session for -acquire and -release."),
];

pub(super) const DELETE_FLAGS: &[Flag] = &[
    flags::switch("cas", "Only delete if the entry has the index given."),
    flags::value("modify-index", "number", "The index that -cas expects."),
    flags::switch("recurse", "Delete all entries below the prefix."),
];

/// The key, or prefix, without the slash that nothing starts with.
pub(super) fn path<'p>(parsed: &'p Parsed, missing: Result<&'p str, Output>) -> Result<&'p str, Output> {
    match parsed.arguments.as_slice() {
        [] => missing,
        [path] => Ok(path.strip_prefix('/').unwrap_or(path)),
        more => Err(Output::error(format!("Too many arguments (expected 1, got {})", more.len()), 1)),
    }
}

fn missing_key() -> Output {
    Output::error("Error! Missing KEY argument", 1)
}

fn index(parsed: &Parsed) -> Result<u64, Output> {
    match parsed.get("modify-index") {
        "" => Ok(0),
        text => text.parse().map_err(|_| {
            Output::error(format!("invalid value {text:?} for flag -modify-index: parse error"), 1)
        }),
    }
}

pub(super) async fn get(context: &Context, parsed: Parsed) -> Ran {
    let many = parsed.is_set("keys") || parsed.is_set("recurse");
    let path = path(&parsed, if many { Ok("") } else { Err(missing_key()) })?;
    let client = client(context, &parsed)?;
    let failed = |error| failed("Error querying Consul agent", error);
    if parsed.is_set("keys") {
        let separator = if parsed.has("separator") { parsed.get("separator") } else { "/" };
        let keys = client.kv_keys(path, separator).await.map_err(failed)?;
        return Ok(Output::formatted(&parsed, &keys, || Output::text(keys.join("\n"))));
    }
    let base64 = parsed.is_set("base64");
    if parsed.is_set("recurse") {
        let entries = client.kv_list(path).await.map_err(failed)?;
        let data: Vec<Value> = entries.iter().map(as_json).collect();
        return Ok(Output::formatted(&parsed, &data, || {
            let mut out = Vec::new();
            for (position, entry) in entries.iter().enumerate() {
                if parsed.is_set("detailed") {
                    if position > 0 {
                        out.push(b'\n');
                    }
                    out.extend(detailed(entry, base64));
                } else {
                    out.extend(entry.key.as_bytes());
                    out.push(b':');
                    out.extend(shown(&entry.value, base64));
                    out.push(b'\n');
                }
            }
            Output::bytes(out)
        }));
    }
    let Some(entry) = client.kv_get(path).await.map_err(failed)? else {
        return Err(Output::error(format!("Error! No key exists at: {path}"), 1));
    };
    Ok(Output::formatted(&parsed, &as_json(&entry), || {
        if parsed.is_set("detailed") {
            return Output::bytes(detailed(&entry, base64));
        }
        let mut out = shown(&entry.value, base64);
        out.push(b'\n');
        Output::bytes(out)
    }))
}

fn shown(value: &[u8], base64: bool) -> Vec<u8> {
    if base64 { STANDARD.encode(value).into_bytes() } else { value.to_vec() }
}

fn as_json(entry: &Entry) -> Value {
    json!({
        "Key": entry.key,
        "Value": STANDARD.encode(&entry.value),
        "Flags": entry.flags,
        "LockIndex": entry.lock_index,
        "Session": entry.session,
        "CreateIndex": entry.create_index,
        "ModifyIndex": entry.modify_index,
    })
}

fn detailed(entry: &Entry, base64: bool) -> Vec<u8> {
    let session = if entry.session.is_empty() { "-" } else { &entry.session };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = [
        row("CreateIndex", entry.create_index.to_string()),
        row("Flags", entry.flags.to_string()),
        row("Key", entry.key.clone()),
        row("LockIndex", entry.lock_index.to_string()),
        row("ModifyIndex", entry.modify_index.to_string()),
        row("Session", session.to_owned()),
        row("Value", String::new()),
    ];
    let widest = "ModifyIndex".len();
    let mut out = table(&rows).into_bytes();
    // Values may hold any bytes, so this one is not laid out as text.
    out.resize(out.len() + widest - "Value".len() + 2, b' ');
    out.extend(shown(&entry.value, base64));
    out.push(b'\n');
    out
}

pub(super) async fn put(context: &Context, parsed: Parsed) -> Ran {
    let (key, data) = match parsed.arguments.as_slice() {
        [] => return Err(missing_key()),
        [key] => (key, None),
        [key, data] => (key, Some(data.as_str())),
        more => {
            let count = more.len();
            return Err(Output::error(
                format!("Error! Too many arguments (expected 1 or 2, got {count})"),
                1,
            ));
        }
    };
    if key.starts_with('/') {
        return Err(failed(
            "Error! Failed writing data",
            format!("Invalid key. Key must not begin with a '/': {key}"),
        ));
    }
    let mut note = None;
    let mut value = read_data(context, data)?;
    if parsed.is_set("base64") {
        let written = String::from_utf8_lossy(&value).trim().to_owned();
        value = STANDARD.decode(&written).unwrap_or_else(|error| {
            let position = match error {
                base64::DecodeError::InvalidByte(position, _) => position,
                _ => written.len(),
            };
            note = Some(format!(
                "Error! Cannot base 64 decode data: illegal base64 data at input byte {position}"
            ));
            Vec::new()
        });
    }
    let (acquire, release) = (parsed.is_set("acquire"), parsed.is_set("release"));
    let session = parsed.get("session");
    if (acquire || release) && session.is_empty() {
        return Err(Output::error("Error! Missing -session (required with -acquire and -release)", 1));
    }
    let modify_index = index(&parsed)?;
    let flags = match parsed.get("flags") {
        "" => 0,
        text => text
            .parse()
            .map_err(|_| Output::error(format!("invalid value {text:?} for flag -flags: parse error"), 1))?,
    };
    let options = PutOptions {
        flags,
        cas: parsed.is_set("cas").then_some(modify_index),
        acquire: if acquire { session.to_owned() } else { String::new() },
        release: if release { session.to_owned() } else { String::new() },
    };
    let applied = client(context, &parsed)?
        .kv_put(key, value, &options)
        .await
        .map_err(|error| failed("Error! Failed writing data", error))?;
    let output = match (applied, acquire, release, options.cas) {
        (true, true, ..) => Output::text(format!("Success! Lock acquired on: {key}")),
        (true, _, true, _) => Output::text(format!("Success! Lock released on: {key}")),
        (true, ..) => Output::text(format!("Success! Data written to: {key}")),
        (false, true, ..) => Output::error("Error! Did not acquire lock", 1),
        (false, _, true, _) => Output::error("Error! Did not release lock", 1),
        (false, _, _, Some(0)) => Output::error(
            format!("Error! Did not write to {key}: CAS performed with index=0 and key already exists."),
            1,
        ),
        (false, ..) => Output::error(format!("Error! Did not write to {key}: CAS failed"), 1),
    };
    Ok(match note {
        Some(note) => output.with_note(note),
        None => output,
    })
}

/// `-` is standard input, `@path` a file, and everything else itself.
pub(super) fn read_data(context: &Context, data: Option<&str>) -> Result<Vec<u8>, Output> {
    match data {
        None => Ok(Vec::new()),
        Some("-") => (context.stdin)().map_err(|error| failed("Error! Failed to read stdin", error)),
        Some(data) => match data.strip_prefix('@') {
            None => Ok(data.as_bytes().to_vec()),
            Some(path) => std::fs::read(path).map_err(|error| {
                let why = match error.kind() {
                    std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                    _ => error.to_string(),
                };
                failed("Error! Failed to read file", format!("open {path}: {why}"))
            }),
        },
    }
}

pub(super) async fn delete(context: &Context, parsed: Parsed) -> Ran {
    let (recurse, cas) = (parsed.is_set("recurse"), parsed.is_set("cas"));
    let path = path(&parsed, if recurse { Ok("") } else { Err(missing_key()) })?;
    let modify_index = index(&parsed)?;
    if !cas && modify_index != 0 {
        return Err(Output::error("Cannot specify -modify-index without -cas!", 1));
    }
    if cas && modify_index == 0 {
        return Err(Output::error(
            "Cannot delete a key that does not exist. Provide a -modify-index greater than than 0.",
            1,
        ));
    }
    if cas && recurse {
        return Err(Output::error("Cannot specify both -cas and -recurse!", 1));
    }
    let client = client(context, &parsed)?;
    if recurse {
        client
            .kv_delete_tree(path)
            .await
            .map_err(|error| failed(&format!("Error! Did not delete prefix {path}"), error))?;
        return Ok(Output::text(format!("Success! Deleted keys with prefix: {path}")));
    }
    let deleted = client
        .kv_delete(path, cas.then_some(modify_index))
        .await
        .map_err(|error| failed(&format!("Error! Did not delete key {path}"), error))?;
    if deleted {
        Ok(Output::text(format!("Success! Deleted key: {path}")))
    } else {
        Err(Output::error(format!("Error! Did not delete key {path}: CAS failed"), 1))
    }
}
