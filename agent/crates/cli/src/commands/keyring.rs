//! `keyring`.

use lictor_model::cluster::{Keyring, KeyringRequest};

use crate::commands::{Ran, client};
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

pub(super) const FLAGS: &[Flag] = &[
    flags::value("install", "key", "Add a key."),
    flags::switch("list", "List the keys in use."),
    flags::switch("list-primary", "List the primary keys."),
    flags::switch("local-only", "Do not ask other datacenters."),
    flags::value("relay-factor", "number", "Accepted; members answer directly."),
    flags::value("remove", "key", "Remove a key."),
    flags::value("use", "key", "Make a key the primary one."),
];

/// What is asked for, and what is said of it first.
struct Action {
    request: KeyringRequest,
    doing: &'static str,
    /// Which keys are shown.
    shown: fn(&Keyring) -> &std::collections::BTreeMap<String, usize>,
}

fn actions(parsed: &Parsed) -> Vec<Action> {
    let action = |request, doing| Action { request, doing, shown: |keyring| &keyring.keys };
    let key = |flag: &str| parsed.get(flag).to_owned();
    let mut actions = Vec::new();
    if parsed.is_set("list") {
        actions.push(action(KeyringRequest::List, "Gathering installed encryption keys..."));
    }
    if parsed.is_set("list-primary") {
        let doing = "Gathering installed primary encryption keys...";
        actions
            .push(Action { shown: |keyring| &keyring.primary_keys, ..action(KeyringRequest::List, doing) });
    }
    if parsed.has("install") {
        actions
            .push(action(KeyringRequest::Install(key("install")), "Installing new gossip encryption key..."));
    }
    if parsed.has("use") {
        actions.push(action(KeyringRequest::Use(key("use")), "Changing primary gossip encryption key..."));
    }
    if parsed.has("remove") {
        actions.push(action(KeyringRequest::Remove(key("remove")), "Removing gossip encryption key..."));
    }
    actions
}

pub(super) async fn keyring(context: &Context, parsed: Parsed) -> Ran {
    let mut actions = actions(&parsed);
    let Some(action) = actions.pop() else {
        let help = crate::commands::find(&["keyring"]).map(|command| command.help(&context.program));
        return Err(Output::usage(help.unwrap_or_default(), 1));
    };
    if !actions.is_empty() {
        return Err(Output::error("Only a single action is allowed", 1));
    }
    let local_only = parsed.is_set("local-only");
    if local_only && action.request != KeyringRequest::List {
        return Err(Output::error(
            "Error validating local-only: local-only can only be set for list requests",
            1,
        ));
    }
    let client = client(context, &parsed)?;
    let doing = format!("==> {}\n", action.doing);
    match client.keyring(&action.request, local_only, parsed.get("relay-factor")).await {
        Ok(keyrings) => Ok(Output::formatted(&parsed, &keyrings, || {
            let pools: String =
                keyrings.iter().map(|keyring| listed(keyring, (action.shown)(keyring))).collect();
            Output::text(doing + &pools)
        })),
        Err(error) => {
            let stdout = doing.into_bytes();
            Err(Output { stdout, ..Output::error(format!("error: {error}"), 1) })
        }
    }
}

/// The keys of a pool, with how many members have each.
fn listed(keyring: &Keyring, keys: &std::collections::BTreeMap<String, usize>) -> String {
    let pool = if keyring.wan { "WAN".to_owned() } else { format!("{} (LAN)", keyring.datacenter) };
    let keys = keys.iter().map(|(key, count)| format!("  {key} [{count}/{}]\n", keyring.num_nodes));
    format!("\n{pool}:\n{}", keys.collect::<String>())
}
