//! `catalog`.

use std::collections::{BTreeMap, BTreeSet};

use lictor_client::CatalogNode;

use crate::commands::{Ran, client, failed, no_arguments};
use crate::flags::{self, Flag, Parsed};
use crate::output::table;
use crate::{Context, Output};

pub(super) const NODE_FLAGS: &[Flag] = &[
    flags::switch("detailed", "Show full identifiers, all addresses and metadata."),
    flags::value("filter", "expression", "Only nodes that meet the expression."),
    flags::value("near", "node", "Order by distance from this node."),
    flags::value("node-meta", "key=value", "Only nodes with this metadata; may be repeated."),
    flags::value("service", "name", "Only nodes with an instance of this service."),
];

pub(super) const SERVICE_FLAGS: &[Flag] = &[
    flags::value("node", "name", "Only services of this node."),
    flags::value("node-meta", "key=value", "Only services of nodes with this metadata."),
    flags::switch("tags", "Show the tags of each service."),
];

/// How much of an identifier is shown unless all of it is asked for.
const SHORT_ID: usize = 8;

fn node_meta(parsed: &Parsed) -> Vec<(String, String)> {
    parsed
        .all("node-meta")
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(super) async fn datacenters(context: &Context, parsed: Parsed) -> Ran {
    no_arguments(&parsed)?;
    let names = client(context, &parsed)?
        .datacenters()
        .await
        .map_err(|error| failed("Error listing datacenters", error))?;
    Ok(Output::formatted(&parsed, &names, || Output::text(names.join("\n"))))
}

pub(super) async fn nodes(context: &Context, parsed: Parsed) -> Ran {
    no_arguments(&parsed)?;
    let client = client(context, &parsed)?;
    let (meta, filter) = (node_meta(&parsed), parsed.get("filter"));
    let found = match parsed.get("service") {
        "" => client.nodes(&meta, filter, parsed.get("near")).await,
        service => client.nodes_of_service(service, &meta, filter).await,
    };
    let mut nodes = found.map_err(|error| failed("Error listing nodes", error))?;
    nodes.dedup_by(|a, b| a.node == b.node);
    Ok(Output::formatted(&parsed, &nodes, || {
        if nodes.is_empty() {
            return Output::default()
                .with_note("No nodes match the given query - try expanding your search.");
        }
        Output::text(table(&node_rows(&nodes, parsed.is_set("detailed"))))
    }))
}

fn node_rows(nodes: &[CatalogNode], detailed: bool) -> Vec<Vec<String>> {
    let mut header = vec!["Node", "ID", "Address", "DC"];
    if detailed {
        header.extend(["TaggedAddresses", "Meta"]);
    }
    let header = header.into_iter().map(str::to_owned).collect();
    let rows = nodes.iter().map(|node| {
        let id = if detailed { node.id.clone() } else { node.id.chars().take(SHORT_ID).collect() };
        let mut row = vec![node.node.clone(), id, node.address.clone(), node.datacenter.clone()];
        if detailed {
            row.extend([pairs(&node.tagged_addresses), pairs(&node.meta)]);
        }
        row
    });
    std::iter::once(header).chain(rows).collect()
}

fn pairs(map: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(", ")
}

pub(super) async fn services(context: &Context, parsed: Parsed) -> Ran {
    no_arguments(&parsed)?;
    let client = client(context, &parsed)?;
    let failed = |error| failed("Error listing services", error);
    let services: BTreeMap<String, BTreeSet<String>> = match parsed.get("node") {
        "" => {
            let all = client.services(&node_meta(&parsed)).await.map_err(failed)?;
            all.into_iter().map(|(name, tags)| (name, tags.into_iter().collect())).collect()
        }
        node => {
            let mut services: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            let found = client.services_of_node(node).await.map_err(failed)?.unwrap_or_default();
            for service in found.services.into_values() {
                services.entry(service.service).or_default().extend(service.tags);
            }
            services
        }
    };
    Ok(Output::formatted(&parsed, &services, || {
        if services.is_empty() {
            return Output::default()
                .with_note("No services match the given query - try expanding your search.");
        }
        let rows: Vec<Vec<String>> = services
            .iter()
            .map(|(name, tags)| {
                let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                if parsed.is_set("tags") { vec![name.clone(), tags.join(",")] } else { vec![name.clone()] }
            })
            .collect();
        Output::text(table(&rows))
    }))
}
