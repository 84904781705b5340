//! `acl`: what there is of it asks the agent and shows the answer.

use serde_json::Value;

use crate::commands::{Ran, client, failed};
use crate::flags::Parsed;
use crate::{Context, Output};

pub(super) async fn token_list(context: &Context, parsed: Parsed) -> Ran {
    let tokens = client(context, &parsed)?
        .tokens()
        .await
        .map_err(|error| failed("Failed to retrieve the token list", error))?;
    Ok(shown(&tokens))
}

pub(super) async fn bootstrap(context: &Context, parsed: Parsed) -> Ran {
    let token = client(context, &parsed)?
        .bootstrap_acl()
        .await
        .map_err(|error| failed("Failed ACL bootstrapping", error))?;
    Ok(shown(&token))
}

fn shown(answer: &Value) -> Output {
    Output::text(format!("{answer:#}"))
}
