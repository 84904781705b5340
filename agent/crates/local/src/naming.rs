//! What checks are called and how they are shown where their definition leaves it open, and what
//! is said of names that nothing has.

use std::time::Duration;

use lictor_model::definition::{CheckDefinition, ServiceDefinition};
use lictor_model::{CheckId, Error, ServiceId, duration};

pub(crate) fn unless_zero(length: Duration) -> String {
    if length.is_zero() { String::new() } else { duration::format(length) }
}

/// The checks of a service's definition with their identifiers and names: one alone is
/// `service:<id>`, several are numbered.
pub(crate) fn named_checks(
    definition: &ServiceDefinition,
    id: &ServiceId,
) -> Vec<(CheckId, String, CheckDefinition)> {
    let count = definition.all_checks().count();
    definition
        .all_checks()
        .enumerate()
        .map(|(position, check)| {
            let check_id = match check.given_id() {
                "" if count == 1 => CheckId::from(format!("service:{id}")),
                "" => CheckId::from(format!("service:{id}:{}", position + 1)),
                given => CheckId::from(given),
            };
            let name = if check.name.is_empty() {
                format!("Service '{}' check", definition.name)
            } else {
                check.name.clone()
            };
            (check_id, name, check.clone())
        })
        .collect()
}

/// The same definition with every check under `checks` and called by its identifier and name, so
/// that leaving some out does not rename others.
pub(crate) fn with_named_checks(definition: &ServiceDefinition) -> ServiceDefinition {
    let checks = named_checks(definition, &definition.effective_id())
        .into_iter()
        .map(|(id, name, check)| as_named(&id, &name, &check))
        .collect();
    ServiceDefinition { check: None, checks, ..definition.clone() }
}

/// The same definition, called by its identifier and name.
pub(crate) fn as_named(id: &CheckId, name: &str, definition: &CheckDefinition) -> CheckDefinition {
    CheckDefinition {
        id: id.to_string(),
        check_id: String::new(),
        name: name.to_owned(),
        ..definition.clone()
    }
}

/// The word that the HTTP API shows for a check's kind.
pub(crate) fn kind_of(definition: &CheckDefinition) -> &'static str {
    definition.kinds().first().copied().unwrap_or_default()
}

pub(crate) fn unknown_service(id: &ServiceId) -> Error {
    Error::not_found(format!(
        "Unknown service ID {:?}. Ensure that the service ID is passed, not the service name.",
        id.as_str()
    ))
}

pub(crate) fn unknown_check(id: &CheckId) -> Error {
    Error::not_found(format!(
        "Unknown check ID {:?}. Ensure that the check ID is passed, not the check name.",
        id.as_str()
    ))
}
