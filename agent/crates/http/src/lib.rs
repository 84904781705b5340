//! The HTTP API: endpoint families over the seam.
//!
//! A request goes from [`routes`] (which path, which methods) to the module of its family, which
//! turns it into a query, a command or a request to the agent and asks the
//! [`Backend`]; [`respond`] turns the answer into bytes and
//! [`failure`] every error into a status. [`server`] keeps connections within bounds. Nothing here knows the store, Raft or a check, and
//! nothing here may block.

mod absent;
mod acl;
mod agent;
mod agent_health;
mod call;
mod catalog;
mod compress;
mod connect;
mod coordinate;
mod decode;
mod event;
mod failure;
mod health;
mod keyring;
mod kv;
mod operator;
mod params;
mod prepared;
mod respond;
mod routes;
mod server;
mod session;
mod snapshot;
mod status;
mod timing;
mod txn;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use lictor_model::seam::Backend;
use lictor_telemetry::metrics::Registry;

pub use server::{Listener, serve};

/// What the endpoints need to know beside the backend.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The agent's own datacenter.
    pub datacenter: String,
    /// The agent's own node name.
    pub node: String,
    /// Indent every JSON answer, not just those asked for with `?pretty`.
    pub pretty: bool,
    /// The largest value the key-value store accepts, in bytes.
    pub kv_max_value: usize,
    /// The largest transaction accepted, in bytes of its request.
    pub txn_max_request: usize,
    /// The largest body other endpoints accept, in bytes.
    pub max_body: usize,
    /// Headers that every answer carries.
    pub response_headers: Vec<(HeaderName, HeaderValue)>,
    /// What the paths of blocked endpoints start with.
    pub block_endpoints: Vec<String>,
    /// Networks that may change something; all if there are none.
    pub allow_write_from: Vec<IpNet>,
    /// Whether `?cached` is heeded.
    pub use_cache: bool,
    /// Whether there are figures for Prometheus.
    pub prometheus: bool,
    /// Where it is recorded how long requests take.
    pub metrics: Arc<Registry>,
}

impl Settings {
    /// The largest transaction accepted: at least one with the largest value must fit.
    fn txn_limit(&self) -> usize {
        self.txn_max_request.max(self.kv_max_value)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            datacenter: "dc1".to_owned(),
            node: String::new(),
            pretty: false,
            kv_max_value: 512 * 1024,
            txn_max_request: 512 * 1024,
            max_body: 2 * 1024 * 1024,
            response_headers: Vec::new(),
            block_endpoints: Vec::new(),
            allow_write_from: Vec::new(),
            use_cache: true,
            prometheus: false,
            metrics: Arc::default(),
        }
    }
}

/// Headers from their configured names and values.
///
/// # Errors
/// If one cannot stand in an answer.
pub fn headers(given: &BTreeMap<String, String>) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    given
        .iter()
        .map(|(name, value)| {
            HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok()).ok_or_else(|| {
                format!("http_config.response_headers: {name:?} or its value cannot stand in a header")
            })
        })
        .collect()
}

/// All endpoints as one service.
pub fn router(backend: Arc<dyn Backend>, settings: Settings) -> Router {
    let timings = routes::timings(&settings.metrics);
    let api = Arc::new(call::Api { backend, settings, timings });
    Router::new().fallback(move |request| routes::dispatch(Arc::clone(&api), request))
}

#[cfg(test)]
mod tests;
