//! Where nodes are.

use lictor_model::coordinate::NodeCoordinate;
use serde::Deserialize;

use crate::{Client, Failure, Parameters};

/// The servers of a datacenter in the space between datacenters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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

impl Client {
    /// The nodes of the datacenter.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn node_coordinates(&self) -> Result<Vec<NodeCoordinate>, Failure> {
        let nodes: Option<_> = self.get("/v1/coordinate/nodes", Parameters::default()).await?.json()?;
        Ok(nodes.unwrap_or_default())
    }

    /// The servers of all datacenters.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn datacenter_coordinates(&self) -> Result<Vec<DatacenterCoordinates>, Failure> {
        self.get("/v1/coordinate/datacenters", Parameters::default()).await?.json()
    }
}
