//! `join`, `force-leave`, `rtt` and `info`: the agent and those around it.

use std::fmt::Write as _;

use lictor_client::Client;
use lictor_model::coordinate::{Coordinate, NodeCoordinate};
use serde_json::{Value, json};

use crate::commands::{Ran, client, failed, misused};
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

pub(super) const JOIN_FLAGS: &[Flag] =
    &[flags::switch("wan", "Join the pool between datacenters, which only servers are in.")];

pub(super) const FORCE_LEAVE_FLAGS: &[Flag] = &[
    flags::switch("prune", "Remove the member from the list as well."),
    flags::switch("wan", "In the pool between datacenters."),
];

pub(super) const RTT_FLAGS: &[Flag] =
    &[flags::switch("wan", "Between servers of any datacenter, written node.datacenter.")];

pub(super) async fn join(context: &Context, parsed: Parsed) -> Ran {
    if parsed.arguments.is_empty() {
        return Err(misused(context, &["join"], "At least one address to join must be specified."));
    }
    let client = client(context, &parsed)?;
    let (mut joined, mut problems) = (0, String::new());
    for address in &parsed.arguments {
        match client.join(address, parsed.is_set("wan")).await {
            Ok(()) => joined += 1,
            // Writing to a string cannot fail.
            Err(error) => drop(writeln!(problems, "Error joining address '{address}': {error}")),
        }
    }
    if joined == 0 {
        return Err(Output::error(format!("{problems}Failed to join any nodes."), 1));
    }
    let mut output = Output::text(format!("Successfully joined cluster by contacting {joined} nodes."));
    output.stderr = problems;
    Ok(output)
}

pub(super) async fn force_leave(context: &Context, parsed: Parsed) -> Ran {
    let [name] = parsed.arguments.as_slice() else {
        let why = "A single node name must be specified to force leave.";
        return Err(misused(context, &["force-leave"], why));
    };
    client(context, &parsed)?
        .force_leave(name, parsed.is_set("prune"), parsed.is_set("wan"))
        .await
        .map_err(|error| failed("Error force leaving", error))?;
    Ok(Output::default())
}

pub(super) async fn rtt(context: &Context, parsed: Parsed) -> Ran {
    let (first, second) = match parsed.arguments.as_slice() {
        [first] => (first, None),
        [first, second] => (first, Some(second)),
        _ => return Err(misused(context, &["rtt"], "One or two node names must be specified")),
    };
    let client = client(context, &parsed)?;
    let wan = parsed.is_set("wan");
    let second = match second {
        Some(second) => second.clone(),
        None => own_name(&client, wan).await?,
    };
    let not_found = |name: &str| Output::error(format!("Could not find a coordinate for node {name:?}"), 1);
    let (pool, points) = if wan {
        ("WAN", wan_points(&client, first, &second).await?)
    } else {
        ("LAN", lan_points(&client, first, &second).await?)
    };
    let (a, b) = match points {
        (Some(a), Some(b)) => (a, b),
        (None, _) => return Err(not_found(first)),
        (_, None) => return Err(not_found(&second)),
    };
    let millis = a.distance(&b) * 1000.0;
    let data = json!({"From": first, "To": second, "Milliseconds": millis, "Coordinates": pool});
    Ok(Output::formatted(&parsed, &data, || {
        Output::text(format!("Estimated {first} <-> {second} rtt: {millis:.3} ms (using {pool} coordinates)"))
    }))
}

/// The agent's own node, as the pool calls it.
async fn own_name(client: &Client, wan: bool) -> Result<String, Output> {
    let failed = |error| failed("Unable to look up agent info", error);
    let name = client.node_name().await.map_err(failed)?;
    if !wan {
        return Ok(name);
    }
    let document = client.describe().await.map_err(failed)?;
    let datacenter = document.pointer("/Config/Datacenter").and_then(Value::as_str).unwrap_or_default();
    Ok(format!("{name}.{datacenter}"))
}

type Points = (Option<Coordinate>, Option<Coordinate>);

fn point_of(nodes: &[NodeCoordinate], name: &str) -> Option<Coordinate> {
    nodes.iter().find(|node| node.node.as_str().eq_ignore_ascii_case(name)).map(|node| node.coord.clone())
}

async fn lan_points(client: &Client, first: &str, second: &str) -> Result<Points, Output> {
    let nodes =
        client.node_coordinates().await.map_err(|error| failed("Error getting coordinates", error))?;
    Ok((point_of(&nodes, first), point_of(&nodes, second)))
}

async fn wan_points(client: &Client, first: &str, second: &str) -> Result<Points, Output> {
    let split = |name: &str| match name.split('.').collect::<Vec<_>>().as_slice() {
        [node, datacenter] => Ok(((*node).to_owned(), (*datacenter).to_owned())),
        _ => Err(Output::error("Node names must be specified as <node name>.<datacenter> with -wan", 1)),
    };
    let (first, second) = (split(first)?, split(second)?);
    let datacenters =
        client.datacenter_coordinates().await.map_err(|error| failed("Error getting coordinates", error))?;
    let look = |(node, datacenter): &(String, String)| {
        datacenters
            .iter()
            .filter(|one| one.datacenter == *datacenter)
            .find_map(|one| Some((one.area_id.clone(), point_of(&one.coordinates, node)?)))
    };
    // Points of different areas have nothing to do with each other.
    Ok(match (look(&first), look(&second)) {
        (Some((area, a)), Some((other, b))) if area == other => (Some(a), Some(b)),
        (Some((_, a)), None) => (Some(a), None),
        _ => (None, None),
    })
}

pub(super) async fn info(context: &Context, parsed: Parsed) -> Ran {
    let document =
        client(context, &parsed)?.describe().await.map_err(|error| failed("Error querying agent", error))?;
    let stats = document.get("Stats").cloned().unwrap_or_default();
    Ok(Output::formatted(&parsed, &stats, || {
        let mut text = String::new();
        // Objects of this kind keep their keys in order; writing to a string cannot fail.
        for (section, fields) in stats.as_object().into_iter().flatten() {
            let _ = writeln!(text, "{section}:");
            for (name, value) in fields.as_object().into_iter().flatten() {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let _ = writeln!(text, "\t{name} = {value}");
            }
        }
        Output::text(text)
    }))
}
