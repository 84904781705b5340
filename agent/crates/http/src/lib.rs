//! The HTTP API: endpoint families over the seam.
//!
//! A request goes from [`routes`] (which path, which methods) to the module of its family, which
//! turns it into a query, a command or a request to the agent and asks the
//! [`Backend`]; [`respond`] turns the answer into bytes and
//! [`failure`] every error into a status. Nothing here knows the store, Raft or a check, and
//! nothing here may block.

mod absent;
mod acl;
mod agent;
mod agent_health;
mod call;
mod catalog;
mod connect;
mod decode;
mod failure;
mod health;
mod kv;
mod params;
mod respond;
mod routes;
mod session;
mod status;
mod txn;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use lictor_model::seam::Backend;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long requests in flight may take to end once the server stops.
const DRAIN: Duration = Duration::from_millis(500);

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
        }
    }
}

/// All endpoints as one service.
pub fn router(backend: Arc<dyn Backend>, settings: Settings) -> Router {
    let api = Arc::new(call::Api { backend, settings });
    Router::new().fallback(move |request| routes::dispatch(Arc::clone(&api), request))
}

/// Serves connections until `stop` is cancelled, then lets requests in flight end for a moment.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let stopping = stop.clone();
    let server =
        axum::serve(listener, router).with_graceful_shutdown(async move { stopping.cancelled().await });
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        result = &mut server => report(result),
        () = stop.cancelled() => {
            if let Ok(result) = tokio::time::timeout(DRAIN, server).await {
                report(result);
            }
        }
    }
}

fn report(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "http server stopped");
    }
}

#[cfg(test)]
mod tests;
