//! Keys that are said in another way today.

use serde_json::{Map, Value, json};

/// What was said before, and what says it now. An old key counts where the new one is absent; of
/// lists, both count.
pub(crate) const RENAMED: &[(&str, &str)] = &[
    ("acl.tokens.agent_master", "acl.tokens.agent_recovery"),
    ("acl_agent_master_token", "acl.tokens.agent_recovery"),
    ("acl_agent_token", "acl.tokens.agent"),
    ("acl_token", "acl.tokens.default"),
    ("acl.tokens.master", "acl.tokens.initial_management"),
    ("acl_master_token", "acl.tokens.initial_management"),
    ("acl_replication_token", "acl.tokens.replication"),
    ("enable_acl_replication", "acl.enable_token_replication"),
    ("acl_datacenter", "primary_datacenter"),
    ("acl_default_policy", "acl.default_policy"),
    ("acl_down_policy", "acl.down_policy"),
    ("acl_ttl", "acl.token_ttl"),
    ("acl_enable_key_list_policy", "acl.enable_key_list_policy"),
    ("start_join", "retry_join"),
    ("start_join_wan", "retry_join_wan"),
    ("raft_boltdb", "raft_logstore.boltdb"),
    ("ca_file", "tls.defaults.ca_file"),
    ("ca_path", "tls.defaults.ca_path"),
    ("cert_file", "tls.defaults.cert_file"),
    ("key_file", "tls.defaults.key_file"),
    ("tls_cipher_suites", "tls.defaults.tls_cipher_suites"),
    ("tls_min_version", "tls.defaults.tls_min_version"),
    ("verify_incoming", "tls.defaults.verify_incoming"),
    ("verify_incoming_https", "tls.https.verify_incoming"),
    ("verify_incoming_rpc", "tls.internal_rpc.verify_incoming"),
    ("verify_outgoing", "tls.defaults.verify_outgoing"),
    ("verify_server_hostname", "tls.internal_rpc.verify_server_hostname"),
];

/// The same for keys that are looked at once all sources are merged.
const RENAMED_LATE: &[(&str, &str)] = &[
    ("ui", "ui_config.enabled"),
    ("ui_dir", "ui_config.dir"),
    ("ui_content_path", "ui_config.content_path"),
];

/// The versions of TLS as older files name them.
const TLS_VERSIONS: &[(&str, &str)] =
    &[("tls10", "TLSv1_0"), ("tls11", "TLSv1_1"), ("tls12", "TLSv1_2"), ("tls13", "TLSv1_3")];

/// Says in today's words what one source says in older ones; returns a line for each.
pub(crate) fn translate(fields: &mut Map<String, Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (old, new) in RENAMED {
        let Some(value) = take(fields, old) else { continue };
        match *old {
            // Whoever names a datacenter for access control wants it.
            "acl_datacenter" => put(fields, "acl.enabled", json!(true)),
            "acl_replication_token" => put(fields, "acl.enable_token_replication", json!(true)),
            "tls_min_version" => warnings.extend(old_version(&value)),
            _ => {}
        }
        let value = match (*old, value) {
            ("raft_boltdb", value) => json!({"no_freelist_sync": value.get("NoFreelistSync")}),
            ("tls_min_version", value) => named_today(&value).map_or(value, |version| json!(version)),
            (_, value) => value,
        };
        put(fields, new, value);
        warnings.push(renamed(old, new));
    }
    if take(fields, "tls_prefer_server_cipher_suites").is_some() {
        let line = "The 'tls_prefer_server_cipher_suites' field is deprecated and will be ignored.";
        warnings.push(line.to_owned());
    }
    if take(fields, "acl_enforce_version_8").is_some() {
        warnings.push("config key \"acl_enforce_version_8\" is deprecated and should be removed".to_owned());
    }
    warnings
}

/// The same for a whole configuration.
pub(crate) fn translate_merged(tree: &mut Value) -> Vec<String> {
    let Some(fields) = tree.as_object_mut() else { return Vec::new() };
    let mut warnings = Vec::new();
    for (old, new) in RENAMED_LATE {
        if let Some(value) = take(fields, old) {
            put(fields, new, value);
            warnings.push(renamed(old, new));
        }
    }
    warnings
}

fn renamed(old: &str, new: &str) -> String {
    format!("The '{old}' field is deprecated. Use the '{new}' field instead.")
}

fn named_today(version: &Value) -> Option<&'static str> {
    let version = version.as_str()?;
    TLS_VERSIONS.iter().find(|(old, _)| *old == version).map(|(_, new)| *new)
}

fn old_version(version: &Value) -> Option<String> {
    let new = named_today(version)?;
    let old = version.as_str()?;
    Some(format!("'tls_min_version' value '{old}' is deprecated, please specify '{new}' instead"))
}

/// Takes the value at a dotted key; nothing if it is absent, null or an empty list.
fn take(fields: &mut Map<String, Value>, key: &str) -> Option<Value> {
    match key.split_once('.') {
        None => fields.remove(key).filter(|value| {
            let is_empty = value.as_array().is_some_and(Vec::is_empty);
            !value.is_null() && !is_empty
        }),
        Some((first, rest)) => take(fields.get_mut(first)?.as_object_mut()?, rest),
    }
}

/// Puts a value at a dotted key unless there is one; to a list it is added.
fn put(fields: &mut Map<String, Value>, key: &str, value: Value) {
    let (first, rest) = match key.split_once('.') {
        None => (key, None),
        Some((first, rest)) => (first, Some(rest)),
    };
    let found = fields.entry(first).or_insert(Value::Null);
    match (rest, found) {
        (Some(rest), found) => {
            if found.is_null() {
                *found = json!({});
            }
            if let Some(inner) = found.as_object_mut() {
                put(inner, rest, value);
            }
        }
        (None, Value::Array(items)) => match value {
            Value::Array(more) => items.extend(more),
            one => items.push(one),
        },
        (None, found) if found.is_null() => *found = value,
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(tree: Value) -> (Value, Vec<String>) {
        let Value::Object(mut fields) = tree else { panic!("an object") };
        let warnings = translate(&mut fields);
        (Value::Object(fields), warnings)
    }

    #[test]
    fn old_words_become_new_ones_and_say_so() {
        let (tree, warnings) = translated(json!({"acl_token": "x", "verify_incoming": true}));
        let expected =
            json!({"acl": {"tokens": {"default": "x"}}, "tls": {"defaults": {"verify_incoming": true}}});
        assert_eq!(tree, expected);
        assert_eq!(
            warnings[0],
            "The 'acl_token' field is deprecated. Use the 'acl.tokens.default' field instead."
        );
        assert_eq!(warnings.len(), 2);
    }

    #[test]
    fn new_words_win_and_lists_hold_both() {
        let given =
            json!({"acl_ttl": "1s", "acl": {"token_ttl": "2s"}, "start_join": ["a"], "retry_join": ["b"]});
        let (tree, _) = translated(given);
        assert_eq!(tree, json!({"acl": {"token_ttl": "2s"}, "retry_join": ["b", "a"]}));
    }

    #[test]
    fn what_implies_something_still_does() {
        let (tree, _) = translated(json!({"acl_datacenter": "dc1"}));
        assert_eq!(tree["acl"]["enabled"], json!(true));
        let (tree, warnings) = translated(json!({"tls_min_version": "tls12"}));
        assert_eq!(tree["tls"]["defaults"]["tls_min_version"], json!("TLSv1_2"));
        assert_eq!(warnings.len(), 2);
    }

    #[test]
    fn every_old_and_new_key_is_known() {
        let known: Vec<String> = crate::keys::listed().into_iter().map(|(name, _)| name).collect();
        let is_known =
            |key: &str| known.iter().any(|known| known == key || known.starts_with(&format!("{key}.")));
        for (old, new) in RENAMED.iter().chain(RENAMED_LATE) {
            assert!(is_known(old) && is_known(new), "{old} {new}");
        }
    }
}
