//! The agent itself.

use std::collections::BTreeMap;

use lictor_model::check::Check;
use lictor_model::local::Member;
use serde_json::Value;

use crate::{Client, Failure, Parameters, Stream};

impl Client {
    /// The members of the agent's gossip pool that meet the expression.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn members(&self, wan: bool, filter: &str) -> Result<Vec<Member>, Failure> {
        let parameters = Parameters::default().unless_empty("filter", filter);
        let parameters = if wan { parameters.value("wan", 1) } else { parameters };
        let members: Option<_> = self.get("/v1/agent/members", parameters).await?.json()?;
        Ok(members.unwrap_or_default())
    }

    /// Lines of the agent's log from now on.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn monitor(&self, level: &str, json: bool) -> Result<Stream, Failure> {
        let parameters = Parameters::default().value("loglevel", level);
        let parameters = if json { parameters.value("logjson", true) } else { parameters };
        self.stream("/v1/agent/monitor", parameters).await
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

    /// The checks registered with the agent, by identifier.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn agent_checks(&self) -> Result<BTreeMap<String, Check>, Failure> {
        self.get("/v1/agent/checks", Parameters::default()).await?.json()
    }

    /// What the agent says of itself.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn describe(&self) -> Result<Value, Failure> {
        self.get("/v1/agent/self", Parameters::default()).await?.json()
    }

    /// The name of the agent's node.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn node_name(&self) -> Result<String, Failure> {
        let document = self.describe().await?;
        let name = document.pointer("/Config/NodeName").and_then(Value::as_str);
        name.map(str::to_owned).ok_or_else(|| Failure::Garbled("it does not name its node".to_owned()))
    }

    /// Has the agent join the pool that another one is in, at `host` or `host:port`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn join(&self, address: &str, wan: bool) -> Result<(), Failure> {
        let parameters = if wan { Parameters::default().value("wan", 1) } else { Parameters::default() };
        self.put(&format!("/v1/agent/join/{address}"), parameters, Vec::new()).await.map(drop)
    }

    /// Has a member that failed count as one that left; `prune` removes it from the list as well.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn force_leave(&self, name: &str, prune: bool, wan: bool) -> Result<(), Failure> {
        let mut parameters = Parameters::default().flag("prune", prune);
        if wan {
            parameters = parameters.value("wan", 1);
        }
        self.put(&format!("/v1/agent/force-leave/{name}"), parameters, Vec::new()).await.map(drop)
    }

    /// Takes a service, or the node, out of service for a reason, or back into it without one.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn maintain(&self, service: Option<&str>, reason: Option<&str>) -> Result<(), Failure> {
        let path = match service {
            Some(id) => format!("/v1/agent/service/maintenance/{id}"),
            None => "/v1/agent/maintenance".to_owned(),
        };
        let parameters = Parameters::default()
            .value("enable", reason.is_some())
            .unless_empty("reason", reason.unwrap_or_default());
        self.put(&path, parameters, Vec::new()).await.map(drop)
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
