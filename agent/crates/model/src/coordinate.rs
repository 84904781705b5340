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
