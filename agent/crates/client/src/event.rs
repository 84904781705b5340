//! Events that users fire.

use serde::Deserialize;

use crate::{Client, Failure, Parameters};

/// For whom an event is meant: expressions, each empty for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilters {
    /// Of the names of nodes.
    pub node: String,
    /// Of the names of services on them.
    pub service: String,
    /// Of tags of these services.
    pub tag: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fired {
    #[serde(rename = "ID")]
    id: String,
}

impl Client {
    /// Fires an event, and returns its id.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn fire_event(
        &self,
        name: &str,
        payload: Vec<u8>,
        filters: &EventFilters,
    ) -> Result<String, Failure> {
        let parameters = Parameters::default()
            .unless_empty("node", &filters.node)
            .unless_empty("service", &filters.service)
            .unless_empty("tag", &filters.tag);
        let fired: Fired = self.put(&format!("/v1/event/fire/{name}"), parameters, payload).await?.json()?;
        Ok(fired.id)
    }
}
