//! What servers do about the gossip pools: keys for all of their members, what these are to hear
//! of, and where servers of other datacenters are.

use std::collections::BTreeMap;

use bytes::Bytes;
use lictor_gossip::{Gossip, KeyRequest};
use lictor_model::cluster::{Keyring, KeyringRequest};
use lictor_model::coordinate::{DatacenterCoordinates, NodeCoordinate};
use lictor_model::{Error, Result};

use crate::Server;

/// What the reference calls the area that servers of all datacenters are in.
const AREA: &str = "wan";

impl Server {
    /// Has the members of the pools do something about their keys; the pool between datacenters first.
    pub(crate) async fn keyrings(&self, request: &KeyringRequest, local_only: bool) -> Result<Vec<Keyring>> {
        let mut keyrings = Vec::new();
        if let Some(wan) = self.wan.as_ref().filter(|_| !local_only) {
            keyrings.push(self.keyring(wan, true, request).await?);
        }
        keyrings.push(self.keyring(&self.gossip, false, request).await?);
        Ok(keyrings)
    }

    async fn keyring(&self, pool: &Gossip, wan: bool, request: &KeyringRequest) -> Result<Keyring> {
        let request = match request.clone() {
            KeyringRequest::List => KeyRequest::List,
            KeyringRequest::Install(key) => KeyRequest::Install(key),
            KeyringRequest::Use(key) => KeyRequest::Use(key),
            KeyringRequest::Remove(key) => KeyRequest::Remove(key),
        };
        let report = pool.keys(request).await.map_err(|_| Error::stopping())?;
        let error = match report.errors.len() {
            0 => String::new(),
            failed => format!("{failed}/{} nodes reported failure", report.nodes),
        };
        Ok(Keyring {
            wan,
            datacenter: self.settings.datacenter.to_string(),
            segment: String::new(),
            messages: report.errors,
            keys: report.keys,
            primary_keys: report.primary,
            num_nodes: report.nodes,
            error,
        })
    }

    /// Has the members of the datacenter's pool hear of something.
    pub(crate) async fn fire(&self, name: String, payload: Bytes) -> Result<()> {
        let fired = self.gossip.fire(name, payload).await;
        fired.map_err(|error| Error::failed(format!("error broadcasting event: {error}")))
    }

    /// Where the servers of all datacenters are.
    pub(crate) async fn datacenter_coordinates(&self) -> Vec<DatacenterCoordinates> {
        let Some(wan) = &self.wan else { return Vec::new() };
        let mut datacenters: BTreeMap<String, Vec<NodeCoordinate>> = BTreeMap::new();
        for (name, coord) in wan.coordinates().await {
            // Servers are called NODE.DATACENTER there.
            let Some((node, datacenter)) = name.rsplit_once('.') else { continue };
            let coordinate = NodeCoordinate { node: node.into(), segment: String::new(), coord };
            datacenters.entry(datacenter.to_owned()).or_default().push(coordinate);
        }
        let listed = datacenters.into_iter().map(|(datacenter, coordinates)| DatacenterCoordinates {
            datacenter,
            area_id: AREA.to_owned(),
            coordinates,
        });
        listed.collect()
    }
}
