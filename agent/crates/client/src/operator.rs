//! The servers as Raft sees them, and how they are looked after.

use lictor_model::cluster::{Keyring, KeyringRequest, RaftServers};
use lictor_model::operator::{AutopilotConfig, ServersHealth};
use serde_json::{Value, json};

use crate::{Client, Failure, Parameters};

impl Client {
    /// The Raft configuration.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn raft_configuration(&self) -> Result<RaftServers, Failure> {
        self.get("/v1/operator/raft/configuration", Parameters::default()).await?.json()
    }

    /// Takes a server out of the Raft configuration, by its id or by its address; the other is empty.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn remove_raft_peer(&self, id: &str, address: &str) -> Result<(), Failure> {
        let parameters = Parameters::default().unless_empty("id", id).unless_empty("address", address);
        self.delete("/v1/operator/raft/peer", parameters).await.map(drop)
    }

    /// Has another server lead: the one with this id, or any if it is empty.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn transfer_leader(&self, id: &str) -> Result<(), Failure> {
        let parameters = Parameters::default().unless_empty("id", id);
        self.post("/v1/operator/raft/transfer-leader", parameters, Vec::new()).await.map(drop)
    }

    /// Asks something of the keys of all gossip pools, or only of the datacenter's. What comes back
    /// of a change is empty.
    ///
    /// # Errors
    /// See [`Failure`]; what members say for whom it went wrong is the message.
    pub async fn keyring(
        &self,
        request: &KeyringRequest,
        local_only: bool,
        relay_factor: &str,
    ) -> Result<Vec<Keyring>, Failure> {
        let path = "/v1/operator/keyring";
        let mut parameters = Parameters::default().unless_empty("relay-factor", relay_factor);
        if local_only {
            parameters = parameters.value("local-only", true);
        }
        let body = |key: &str| json!({"Key": key}).to_string().into_bytes();
        let changed = match request {
            KeyringRequest::List => return self.get(path, parameters).await?.json(),
            KeyringRequest::Install(key) => self.post(path, parameters, body(key)).await,
            KeyringRequest::Use(key) => self.put(path, parameters, body(key)).await,
            KeyringRequest::Remove(key) => self.delete_with(path, parameters, body(key)).await,
        };
        changed.map(|_| Vec::new())
    }

    /// How servers are looked after.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn autopilot(&self) -> Result<AutopilotConfig, Failure> {
        self.get("/v1/operator/autopilot/configuration", Parameters::default()).await?.json()
    }

    /// Changes how servers are looked after, unless somebody else has since `config` was read.
    /// Returns whether it was changed.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn set_autopilot(&self, config: &AutopilotConfig) -> Result<bool, Failure> {
        let body = serde_json::to_vec(config).map_err(|error| Failure::Garbled(error.to_string()))?;
        let parameters = Parameters::default().value("cas", config.modify_index.0);
        self.put("/v1/operator/autopilot/configuration", parameters, body).await?.json()
    }

    /// How the servers are, in a few figures.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn servers_health(&self) -> Result<ServersHealth, Failure> {
        match self.get("/v1/operator/autopilot/health", Parameters::default()).await {
            // This is how the API says that not all are healthy.
            Err(Failure::Refused { status: 429, message }) => {
                serde_json::from_str(&message).map_err(|error| Failure::Garbled(error.to_string()))
            }
            answer => answer?.json(),
        }
    }

    /// How the servers are, as the API writes it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn autopilot_state(&self) -> Result<Value, Failure> {
        self.get("/v1/operator/autopilot/state", Parameters::default()).await?.json()
    }
}
