//! Network coordinates: how far nodes are from each other, as points of a space in which distance
//! is round-trip time (Vivaldi).

use serde::{Deserialize, Serialize};

use crate::ids::NodeName;

/// Where a node is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeCoordinate {
    /// The node.
    pub node: NodeName,
    /// Kept for clients of the HTTP API: the network segment, of which there is one.
    pub segment: String,
    /// Its point.
    pub coord: Coordinate,
}

/// The servers of a datacenter in the space between datacenters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DatacenterCoordinates {
    /// Its name.
    pub datacenter: String,
    /// Points are only comparable within an area.
    #[serde(rename = "AreaID")]
    pub area_id: String,
    /// Its servers.
    pub coordinates: Vec<NodeCoordinate>,
}

/// A point with what is known of its quality; all in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Coordinate {
    /// The point's Euclidean part.
    pub vec: Vec<f64>,
    /// How sure it is; smaller is surer. Without unit.
    pub error: f64,
    /// What is added to make up for constant errors.
    pub adjustment: f64,
    /// What every way from and to the node takes beside the distance.
    pub height: f64,
}

impl Coordinate {
    /// The round-trip time to another point that is to be expected, in seconds.
    ///
    /// Points of spaces with different dimensions are compared in those they share.
    #[must_use]
    pub fn distance(&self, other: &Self) -> f64 {
        let squares: f64 = self.vec.iter().zip(&other.vec).map(|(a, b)| (a - b).powi(2)).sum();
        let distance = squares.sqrt() + self.height + other.height;
        let adjusted = distance + self.adjustment + other.adjustment;
        if adjusted > 0.0 { adjusted } else { distance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_and_adjustments_add_to_the_distance_unless_it_would_vanish() {
        let at = |x: f64, adjustment: f64| Coordinate {
            vec: vec![x, 0.0],
            height: 0.01,
            adjustment,
            ..Coordinate::default()
        };
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(at(0.0, 0.0).distance(&at(0.03, 0.0)), 0.05));
        assert!(close(at(0.0, 0.005).distance(&at(0.03, -0.01)), 0.045));
        assert!(close(at(0.0, -0.5).distance(&at(0.03, 0.0)), 0.05));
    }
}
