//! Where nodes are.

use lictor_model::coordinate::{DatacenterCoordinates, NodeCoordinate};

use crate::{Client, Failure, Parameters};

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
