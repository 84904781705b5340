//! How a check is that is as healthy as something else.

use lictor_model::check::{Check, Status};
use lictor_model::{CheckId, NodeName, ServiceId};

/// What an alias check follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alias {
    /// The node, as the catalog knows it; empty for this agent's own, as the agent knows it.
    pub node: NodeName,
    /// The service instance there; empty for the node alone.
    pub service: ServiceId,
}

impl Alias {
    /// The status and output that follow from the checks of its node. The check called `own` on
    /// `own_node`, which is the alias itself, is passed over.
    pub fn judge<'a>(
        &self,
        own: &CheckId,
        own_node: &NodeName,
        checks: impl IntoIterator<Item = &'a Check>,
        service_exists: impl FnOnce() -> bool,
    ) -> (Status, String) {
        let mut worst: Option<&Check> = None;
        let mut found_service = false;
        for check in checks {
            let is_other_node = !self.node.is_empty() && check.node != self.node;
            let is_own = check.id == *own && check.node == *own_node;
            let is_of_service = check.service_id == self.service;
            if is_other_node || is_own || !(check.service_id.is_empty() || is_of_service) {
                continue;
            }
            found_service |= is_of_service;
            if worst.is_none_or(|worst| check.status > worst.status) {
                worst = Some(check);
            }
        }
        if !found_service && !service_exists() {
            let missing = format!("Service {} could not be found on node {}", self.service, self.node);
            return (Status::Critical, missing);
        }
        match worst {
            None => (Status::Passing, "No checks found.".to_owned()),
            Some(check) if check.status == Status::Passing => {
                (Status::Passing, "All checks passing.".to_owned())
            }
            Some(check) => {
                (check.status, format!("Aliased check {:?} failing: {}", check.name, check.output))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, service: &str, status: Status) -> Check {
        Check {
            node: "n".into(),
            id: id.into(),
            name: format!("check {id}"),
            service_id: service.into(),
            status,
            output: "said so".to_owned(),
            ..Check::default()
        }
    }

    fn judge(checks: &[Check], exists: bool) -> (Status, String) {
        let alias = Alias { node: NodeName::default(), service: "web".into() };
        alias.judge(&"own".into(), &"n".into(), checks, || exists)
    }

    #[test]
    fn the_worst_of_the_service_and_its_node_counts() {
        let (web, node) = (check("w", "web", Status::Warning), check("n", "", Status::Passing));
        let (other, own) = (check("o", "db", Status::Critical), check("own", "", Status::Critical));
        let checks = [node.clone(), web, other, own];
        assert_eq!(
            judge(&checks, true),
            (Status::Warning, "Aliased check \"check w\" failing: said so".to_owned())
        );
        let checks = [node, check("w", "web", Status::Passing)];
        assert_eq!(judge(&checks, true), (Status::Passing, "All checks passing.".to_owned()));
    }

    #[test]
    fn a_service_without_checks_passes_and_one_that_is_not_there_does_not() {
        assert_eq!(judge(&[], true), (Status::Passing, "No checks found.".to_owned()));
        let (status, output) = judge(&[check("n", "", Status::Passing)], false);
        assert_eq!(status, Status::Critical);
        assert_eq!(output, "Service web could not be found on node ");
    }

    #[test]
    fn checks_of_other_nodes_do_not_count() {
        let alias = Alias { node: "m".into(), service: ServiceId::default() };
        let mine = check("a", "", Status::Critical);
        let theirs = Check { node: "m".into(), ..check("own", "", Status::Passing) };
        let judged = alias.judge(&"own".into(), &"n".into(), [&mine, &theirs], || true);
        assert_eq!(judged, (Status::Passing, "All checks passing.".to_owned()));
    }
}
