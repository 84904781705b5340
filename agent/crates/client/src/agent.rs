//! The agent itself.

use lictor_model::local::Member;
use serde_json::Value;

use crate::{Client, Failure, Parameters};

impl Client {
    /// The members of the agent's gossip pool.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn members(&self, wan: bool) -> Result<Vec<Member>, Failure> {
        let parameters = if wan { Parameters::default().value("wan", 1) } else { Parameters::default() };
        self.get("/v1/agent/members", parameters).await?.json()
    }

    /// Registers a service.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn register_service(&self, definition: &Value) -> Result<(), Failure> {
        let body = serde_json::to_vec(definition).map_err(|error| Failure::Garbled(error.to_string()))?;
        self.put("/v1/agent/service/register", Parameters::default(), body).await.map(drop)
    }

    /// Removes a service.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn deregister_service(&self, id: &str) -> Result<(), Failure> {
        let path = format!("/v1/agent/service/deregister/{id}");
        self.put(&path, Parameters::default(), Vec::new()).await.map(drop)
    }

    /// Has the agent read its configuration again.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn reload(&self) -> Result<(), Failure> {
        self.put("/v1/agent/reload", Parameters::default(), Vec::new()).await.map(drop)
    }

    /// Has the agent leave the cluster and stop.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn leave(&self) -> Result<(), Failure> {
        self.put("/v1/agent/leave", Parameters::default(), Vec::new()).await.map(drop)
    }
}
