//! What operators set, and where nodes are.

use std::sync::Arc;

use lictor_model::RaftIndex;
use lictor_model::command::Outcome;
use lictor_model::coordinate::NodeCoordinate;
use lictor_model::ids::fold;
use lictor_model::operator::AutopilotConfig;

use super::Change;
use crate::watch::Watch;

impl Change<'_> {
    pub(super) fn set_autopilot(&mut self, config: AutopilotConfig, cas: Option<RaftIndex>) -> Outcome {
        let existing = self.state.autopilot.as_ref();
        let found = existing.map(|config| config.modify_index).unwrap_or_default();
        if cas.is_some_and(|wanted| wanted != found) {
            return Outcome::Applied(false);
        }
        let create_index = existing.map_or(self.index, |config| config.create_index);
        let config = AutopilotConfig { create_index, modify_index: self.index, ..config };
        self.state.autopilot = Some(Arc::new(config));
        self.touch(Watch::Autopilot);
        Outcome::Applied(true)
    }

    pub(super) fn update_coordinates(&mut self, coordinates: Vec<NodeCoordinate>) -> Outcome {
        for mut coordinate in coordinates {
            let key = fold(coordinate.node.as_str());
            let Some(node) = self.state.nodes.get(&key) else { continue };
            coordinate.node = node.name.clone();
            if self.state.coordinates.get(&key).is_some_and(|known| **known == coordinate) {
                continue;
            }
            self.state.coordinates.insert(Arc::clone(&key), Arc::new(coordinate));
            self.touch(Watch::Coordinates);
            self.touch(Watch::NodeCoordinates(key));
        }
        Outcome::Done
    }

    pub(super) fn forget_coordinate(&mut self, node: &Arc<str>) {
        if self.state.coordinates.remove(node).is_some() {
            self.touch(Watch::Coordinates);
            self.bury(Watch::NodeCoordinates(Arc::clone(node)));
        }
    }
}
