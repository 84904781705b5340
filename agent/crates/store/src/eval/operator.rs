//! Questions of operators, and where nodes are.

use std::sync::Arc;

use lictor_acl::{Access, Resource};
use lictor_model::NodeName;
use lictor_model::coordinate::NodeCoordinate;
use lictor_model::ids::fold;
use lictor_model::operator::Usage;
use lictor_model::query::Answer;

use super::{Evaluation, View};
use crate::watch::Watch;

impl View<'_> {
    pub(super) fn autopilot(&self) -> Evaluation {
        let config = self.snapshot.autopilot.clone().unwrap_or_default();
        self.answer(Answer::Autopilot(config), [Watch::Autopilot])
    }

    pub(super) fn usage(&self) -> Evaluation {
        let sizes = self.snapshot.sizes();
        let usage =
            Usage { nodes: sizes.nodes, services: sizes.services, service_instances: sizes.instances };
        self.answer(Answer::Usage(usage), [Watch::Nodes, Watch::Services])
    }

    pub(super) fn coordinates(&self) -> Evaluation {
        self.coordinates_answer(self.snapshot.coordinates.values(), Watch::Coordinates)
    }

    pub(super) fn node_coordinates(&self, node: &NodeName) -> Evaluation {
        let node = fold(node.as_str());
        let found = self.snapshot.coordinates.get(&node);
        self.coordinates_answer(found.into_iter(), Watch::NodeCoordinates(Arc::clone(&node)))
    }

    fn coordinates_answer<'s>(
        &self,
        coordinates: impl Iterator<Item = &'s Arc<NodeCoordinate>>,
        watch: Watch,
    ) -> Evaluation {
        let visible = coordinates
            .filter(|found| self.authorizer.allows(Access::Read, Resource::Node(found.node.as_str())))
            .cloned()
            .collect();
        self.answer(Answer::Coordinates(visible), [watch])
    }
}
