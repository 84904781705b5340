//! `reload` and `leave`.

use crate::commands::{Ran, client, failed};
use crate::flags::Parsed;
use crate::{Context, Output};

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
