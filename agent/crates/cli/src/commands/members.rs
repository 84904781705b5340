//! `members`.

use lictor_model::local::Member;
use lictor_model::pattern;

use crate::commands::{Ran, client, failed};
use crate::flags::{self, Flag, Parsed};
use crate::output::table;
use crate::{Context, Output};

/// Exit status if no member is left to show.
const NONE_MATCH: u8 = 2;

pub(super) const FLAGS: &[Flag] = &[
    flags::switch("detailed", "Show all tags."),
    flags::value("filter", "expression", "Only members that meet the expression."),
    flags::value("status", "regexp", "Only members whose status matches. Default .*"),
    flags::value("segment", "name", "Only members of this network segment; there are none."),
    flags::switch("wan", "The pool between datacenters instead of the local one."),
];

pub(super) async fn list(context: &Context, parsed: Parsed) -> Ran {
    let given = if parsed.has("status") { parsed.get("status") } else { ".*" };
    let refused = |why| failed("Failed to compile status regexp", why);
    pattern::compile(given).map_err(refused)?;
    let status = pattern::compile(&format!("^(?:{given})$")).map_err(refused)?;
    let mut members = client(context, &parsed)?
        .members(parsed.is_set("wan"), parsed.get("filter"))
        .await
        .map_err(|error| failed("Error retrieving members", error))?;
    members.retain(|member| status.is_match(member.status.as_str()));
    if members.is_empty() {
        return Err(Output::error("", NONE_MATCH));
    }
    members.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    Ok(Output::formatted(&parsed, &members, || {
        let rows = if parsed.is_set("detailed") { detailed(&members) } else { plain(&members) };
        Output::text(table(&rows))
    }))
}

/// Servers come first.
fn rank(member: &Member) -> u8 {
    u8::from(tag(member, "role") != "consul")
}

fn tag<'m>(member: &'m Member, name: &str) -> &'m str {
    member.tags.get(name).map_or("", String::as_str)
}

fn address(member: &Member) -> String {
    if member.addr.contains(':') {
        format!("[{}]:{}", member.addr, member.port)
    } else {
        format!("{}:{}", member.addr, member.port)
    }
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn plain(members: &[Member]) -> Vec<Vec<String>> {
    let header = ["Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Partition", "Segment"];
    let rows = members.iter().map(|member| {
        let (kind, segment) = match tag(member, "role") {
            "consul" => ("server", "<all>"),
            "node" => ("client", "<default>"),
            _ => ("unknown", ""),
        };
        let build = tag(member, "build").split(':').next().unwrap_or_default();
        row(&[
            &member.name,
            &address(member),
            member.status.as_str(),
            kind,
            build,
            tag(member, "vsn"),
            tag(member, "dc"),
            "default",
            segment,
        ])
    });
    std::iter::once(row(&header)).chain(rows).collect()
}

fn detailed(members: &[Member]) -> Vec<Vec<String>> {
    let rows = members.iter().map(|member| {
        let tags: Vec<String> = member.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        row(&[&member.name, &address(member), member.status.as_str(), &tags.join(",")])
    });
    std::iter::once(row(&["Node", "Address", "Status", "Tags"])).chain(rows).collect()
}
