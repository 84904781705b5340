//! `event`.

use lictor_client::EventFilters;
use lictor_model::pattern;

use crate::commands::{Ran, client, failed, misused};
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

pub(super) const FLAGS: &[Flag] = &[
    flags::value("name", "name", "The event's name."),
    flags::value("node", "regexp", "Only for nodes whose name matches."),
    flags::value("service", "regexp", "Only for nodes with an instance of such a service."),
    flags::value("tag", "regexp", "Only for instances with such a tag; needs -service."),
];

pub(super) async fn event(context: &Context, parsed: Parsed) -> Ran {
    let name = parsed.get("name");
    if name.is_empty() {
        return Err(misused(context, &["event"], "Event name must be specified"));
    }
    for filter in ["node", "service", "tag"] {
        pattern::compile(parsed.get(filter))
            .map_err(|why| failed(&format!("Failed to compile {filter} filter regexp"), why))?;
    }
    let filter = |name: &str| parsed.get(name).to_owned();
    let filters = EventFilters { node: filter("node"), service: filter("service"), tag: filter("tag") };
    if !filters.tag.is_empty() && filters.service.is_empty() {
        return Err(Output::error("Cannot provide tag filter without service filter.", 1));
    }
    let payload = match parsed.arguments.as_slice() {
        [] => Vec::new(),
        [payload] => payload.clone().into_bytes(),
        _ => return Err(misused(context, &["event"], "Too many command line arguments.")),
    };
    let fired = client(context, &parsed)?.fire_event(name, payload, &filters).await;
    let id = fired.map_err(|error| failed("Error firing event", error))?;
    Ok(Output::text(format!("Event ID: {id}")))
}
