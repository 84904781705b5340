//! `/v1/operator/keyring`: the keys that gossip is encrypted with.

use axum::body::Body;
use axum::http::{Method, Response};
use lictor_model::cluster::{Keyring, KeyringRequest, ServerAnswer, ServerRequest};
use serde::Deserialize;

use crate::call::Call;
use crate::failure::Failure;
use crate::{decode, params, respond};

/// How many others may be asked to pass an answer on.
const MOST_RELAYS: u64 = 5;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    #[serde(rename = "Key")]
    key: String,
}

pub(crate) async fn keyring(call: Call) -> Result<Response<Body>, Failure> {
    check_relay_factor(call.params.get("relay-factor"))?;
    let local_only = local_only(&call)?;
    let request = match call.method {
        Method::POST => KeyringRequest::Install(key(&call)?),
        Method::PUT => KeyringRequest::Use(key(&call)?),
        Method::DELETE => KeyringRequest::Remove(key(&call)?),
        _ => KeyringRequest::List,
    };
    let lists = request == KeyringRequest::List;
    let answer = call.about_servers(ServerRequest::Keyring { request, local_only }).await?;
    let ServerAnswer::Keyrings(keyrings) = answer else { return Err(Failure::mismatch()) };
    match problems(&keyrings) {
        Some(problems) => Err(Failure::internal(problems)),
        None if lists => respond::json(&call, &keyrings),
        None => Ok(respond::done()),
    }
}

/// Answers come directly here, but what makes no sense is refused as ever.
fn check_relay_factor(given: &str) -> Result<(), Failure> {
    if given.is_empty() {
        return Ok(());
    }
    let factor: u64 = given.parse().map_err(|_| {
        Failure::bad_request(format!(
            "Error parsing relay factor: strconv.Atoi: parsing {given:?}: invalid syntax"
        ))
    })?;
    if factor > MOST_RELAYS {
        let range = format!("Invalid relay-factor: Relay factor must be in range: [0, {MOST_RELAYS}]");
        return Err(Failure::bad_request(range));
    }
    Ok(())
}

fn local_only(call: &Call) -> Result<bool, Failure> {
    let given = call.params.get("local-only");
    if given.is_empty() {
        return Ok(false);
    }
    let wanted = params::boolean(given).ok_or_else(|| {
        Failure::bad_request(format!(
            "Error parsing local-only: strconv.ParseBool: parsing {given:?}: invalid syntax"
        ))
    })?;
    if wanted && call.method != Method::GET {
        return Err(Failure::bad_request(
            "Invalid use of local-only: local-only can only be set for list requests",
        ));
    }
    Ok(wanted)
}

fn key(call: &Call) -> Result<String, Failure> {
    let refused =
        |failure: &Failure| Failure::bad_request(format!("Request decode failed: {}", failure.message()));
    let fields = decode::json(call.whole_body()?)
        .and_then(|value| decode::recased(value, &["Key"]))
        .map_err(|failure| refused(&failure))?;
    let given: Given = decode::typed(fields).map_err(|failure| refused(&failure))?;
    Ok(given.key)
}

/// What went wrong, as operators know it; nothing if all went well.
fn problems(keyrings: &[Keyring]) -> Option<String> {
    let mut lines = Vec::new();
    for keyring in keyrings.iter().filter(|keyring| !keyring.error.is_empty()) {
        let pool = if keyring.wan { "WAN".to_owned() } else { format!("{} (LAN)", keyring.datacenter) };
        lines.push(format!("{pool} error: {}", keyring.error));
        lines.extend(keyring.messages.iter().map(|(name, message)| format!("{name}: {message}")));
    }
    let noun = if lines.len() == 1 { "error" } else { "errors" };
    let list: String = lines.iter().map(|line| format!("\t* {line}\n")).collect();
    (!lines.is_empty()).then(|| format!("{} {noun} occurred:\n{list}\n", lines.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_listed_pool_by_pool() {
        let failing = |wan: bool, name: &str| Keyring {
            wan,
            datacenter: "dc1".to_owned(),
            messages: [(name.to_owned(), "no".to_owned())].into(),
            error: "1/1 nodes reported failure".to_owned(),
            ..Keyring::default()
        };
        assert_eq!(problems(&[Keyring::default()]), None);
        assert_eq!(
            problems(&[failing(true, "n1.dc1"), failing(false, "n1")]).unwrap(),
            "4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* n1.dc1: no\n\t* dc1 (LAN) error: 1/1 nodes reported failure\n\t* n1: no\n\n"
        );
    }

    #[test]
    fn relay_factors_are_small_numbers() {
        assert!(check_relay_factor("").is_ok() && check_relay_factor("5").is_ok());
        let refused = |given| check_relay_factor(given).unwrap_err().message().to_owned();
        assert_eq!(refused("9"), "Invalid relay-factor: Relay factor must be in range: [0, 5]");
        assert!(refused("x").starts_with("Error parsing relay factor"));
    }
}
