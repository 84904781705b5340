//! Tells the servers now and then where this node is.

use std::sync::Arc;
use std::time::Duration;

use lictor_gossip::Gossip;
use lictor_model::NodeName;
use lictor_model::command::{Command, WriteOptions};
use lictor_model::coordinate::{Coordinate, NodeCoordinate};
use lictor_model::seam::Backend;
use lictor_sys::random;
use tokio_util::sync::CancellationToken;

/// How many nodes of a cluster together tell it in a second.
const RATE: f64 = 64.0;
/// How often a node tells it at the most.
const LEAST_INTERVAL: Duration = Duration::from_secs(15);

/// How often a node of a cluster of this size tells it.
fn interval(nodes: usize) -> Duration {
    Duration::from_secs_f64(nodes as f64 / RATE).max(LEAST_INTERVAL)
}

/// Tells it until `stop` is cancelled.
pub(crate) async fn run(
    pool: Arc<Gossip>,
    backend: Arc<dyn Backend>,
    node: NodeName,
    stop: CancellationToken,
) {
    let mut told: Option<Coordinate> = None;
    loop {
        let interval = interval(pool.members().len());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval + random::jitter(interval)) => {}
        }
        let coord = pool.coordinate();
        if told.as_ref() == Some(&coord) {
            continue;
        }
        let here = NodeCoordinate { node: node.clone(), segment: String::new(), coord: coord.clone() };
        let telling = backend.write(Command::UpdateCoordinates(vec![here]), WriteOptions::default());
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = telling => outcome,
        };
        match outcome {
            Ok(_) => told = Some(coord),
            // It is told again, and nothing depends on it meanwhile.
            Err(error) => tracing::debug!(%error, "the servers were not told where this node is"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_clusters_tell_it_less_often() {
        assert_eq!([1, 960, 6400].map(|nodes| interval(nodes).as_secs()), [15, 15, 100]);
    }
}
