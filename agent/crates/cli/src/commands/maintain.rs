//! `maint`, `reload` and `leave`.

use std::fmt::Write as _;

use lictor_client::Client;

use crate::commands::{Ran, client, failed};
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

pub(super) const FLAGS: &[Flag] = &[
    flags::switch("disable", "End the maintenance."),
    flags::switch("enable", "Begin the maintenance."),
    flags::value("reason", "text", "Why it is out of service."),
    flags::value("service", "id", "The service that is meant, instead of the node."),
];

pub(super) async fn maint(context: &Context, parsed: Parsed) -> Ran {
    let (enable, disable) = (parsed.is_set("enable"), parsed.is_set("disable"));
    let (service, reason) = (parsed.get("service"), parsed.get("reason"));
    let wrong = match (enable, disable) {
        (true, true) => Some("Only one of -enable or -disable may be provided"),
        (false, _) if !reason.is_empty() => Some("Reason may only be provided with -enable"),
        (false, false) if !service.is_empty() => Some("Service requires either -enable or -disable"),
        _ => None,
    };
    if let Some(why) = wrong {
        return Err(Output::error(why, 1));
    }
    let client = client(context, &parsed)?;
    let node = client.node_name().await.map_err(|error| failed("Error querying Consul agent", error))?;
    if !enable && !disable {
        return list(&client, &node).await;
    }
    let (what, whose) = match service {
        "" => ("node", String::new()),
        id => ("service", format!(" for {id:?}")),
    };
    let word = if enable { "enabl" } else { "disabl" };
    client
        .maintain(Some(service).filter(|id| !id.is_empty()), enable.then_some(reason))
        .await
        .map_err(|error| failed(&format!("Error {word}ing {what} maintenance"), error))?;
    let subject = if whose.is_empty() { "Node" } else { "Service" };
    Ok(Output::text(format!("{subject} maintenance is now {word}ed{whose}")))
}

/// What is out of service.
async fn list(client: &Client, node: &str) -> Ran {
    let checks = client.agent_checks().await.map_err(|error| failed("Error getting checks", error))?;
    let mut text = String::new();
    for (id, check) in checks {
        // Writing to a string cannot fail.
        let _ = if id == "_node_maintenance" {
            write!(text, "Node:\n  Name:   {node}\n  Reason: {}\n\n", check.notes)
        } else if id.starts_with("_service_maintenance:") {
            write!(text, "Service:\n  ID:     {}\n  Reason: {}\n\n", check.service_id, check.notes)
        } else {
            Ok(())
        };
    }
    Ok(Output::text(text))
}

pub(super) async fn reload(context: &Context, parsed: Parsed) -> Ran {
    client(context, &parsed)?.reload().await.map_err(|error| failed("Error reloading", error))?;
    Ok(Output::text("Configuration reload triggered"))
}

pub(super) async fn leave(context: &Context, parsed: Parsed) -> Ran {
    if !parsed.arguments.is_empty() {
        let count = parsed.arguments.len();
        return Err(Output::error(format!("Error: Too many arguments (expected 0, got {count})"), 1));
    }
    client(context, &parsed)?.leave().await.map_err(|error| failed("Error leaving", error))?;
    Ok(Output::text("Graceful leave complete"))
}
