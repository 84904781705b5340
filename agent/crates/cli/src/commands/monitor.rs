//! `monitor`.

use crate::commands::{Ran, client, failed, no_arguments};
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

/// What is said when the agent ends the stream.
const ENDED: &str = "Remote side ended the monitor! This usually means that the\n\
    remote side has exited or crashed.";

pub(super) const FLAGS: &[Flag] = &[
    flags::value("log-level", "level", "The least severe level to show. Default INFO."),
    flags::switch("log-json", "A JSON object a line."),
];

pub(super) async fn monitor(context: &Context, parsed: Parsed) -> Ran {
    no_arguments(&parsed)?;
    let level = if parsed.has("log-level") { parsed.get("log-level") } else { "INFO" };
    let mut lines = client(context, &parsed)?
        .monitor(level, parsed.is_set("log-json"))
        .await
        .map_err(|error| failed("Error starting monitor", error))?;
    // An agent that is killed ends its stream in the midst of a line.
    while let Ok(Some(piece)) = lines.next().await {
        if (context.stdout)(&piece).is_err() {
            // Whoever read the lines has gone.
            return Ok(Output::default());
        }
    }
    Ok(Output::text(ENDED))
}
