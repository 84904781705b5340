//! `version`.

use lictor_model::version;
use serde_json::json;

use crate::commands::Ran;
use crate::flags::Parsed;
use crate::{Context, Output};

/// The version as text. The first line has the form that tools look for.
#[must_use]
pub fn text() -> Output {
    Output::text(format!(
        "Consul v{}\nLictor v{}, compatible with Consul {}\n",
        version::FULL,
        version::OWN,
        version::COMPATIBILITY
    ))
}

pub(super) async fn version(_context: &Context, parsed: Parsed) -> Ran {
    let data = json!({
        "Version": version::COMPATIBILITY,
        "Revision": "",
        "Prerelease": "",
        "BuildDate": "1970-01-01T00:00:00Z",
        "Metadata": format!("lictor{}", version::OWN),
        "RPC": {"Default": 2, "Min": 2, "Max": 3},
        "FIPS": "",
    });
    Ok(Output::formatted(&parsed, &data, text))
}
