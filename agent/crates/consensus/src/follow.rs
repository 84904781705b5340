//! What follows Raft's metrics for as long as a server runs.

use std::collections::BTreeMap;

use openraft::metrics::RaftServerMetrics;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use tokio::sync::watch;

use crate::network::book::AddressBook;
use crate::status::{self, Leadership};
use crate::types::{Metrics, PeerInfo, Raft, TypeConfig};

/// Publishes who leads, and keeps what the cluster knows of this server, and this one of the
/// others, up to date.
pub(crate) async fn follow(
    raft: Raft,
    node: PeerInfo,
    book: AddressBook,
    publish: watch::Sender<Leadership>,
) {
    // These change with roles and members only, all others with every tick.
    let mut turns = raft.server_metrics();
    let mut metrics = raft.metrics();
    let mut membership = None;
    loop {
        {
            let current = &metrics.borrow_watched().membership_config;
            if membership != *current.log_id() {
                membership = *current.log_id();
                let servers = current.membership().nodes();
                book.replace(servers.map(|(id, info)| (*id, info.clone())).collect());
            }
        }
        let (leadership, moved, up_to_date) = {
            let current = metrics.borrow_watched();
            let id = current.id;
            let known = current.membership_config.membership().get_node(&id).cloned();
            let moved = current.state.is_leader() && known.is_some_and(|known| known != node);
            let up_to_date = agree(&turns.borrow_watched(), &current);
            (status::leadership(&current), moved.then_some(id), up_to_date)
        };
        let settled = up_to_date && moved.is_none() && leadership.is_leader == leadership.established;
        publish.send_if_modified(|published| {
            let changed = *published != leadership;
            *published = leadership;
            changed
        });
        if let Some(id) = moved {
            let nodes = BTreeMap::from([(id, node.clone())]);
            if let Err(error) = raft.change_membership(openraft::ChangeMembers::SetNodes(nodes), true).await {
                tracing::warn!(%error, "the cluster was not told this server's new address or name yet");
            }
        }
        let changed = if settled { turns.changed().await } else { metrics.changed().await };
        if changed.is_err() {
            return;
        }
    }
}

/// Whether both speak of the same turn of events: Raft sends the one right after the other.
fn agree(turn: &RaftServerMetrics<TypeConfig>, metrics: &Metrics) -> bool {
    turn.state == metrics.state
        && turn.vote == metrics.vote
        && turn.current_leader == metrics.current_leader
        && turn.membership_config.log_id() == metrics.membership_config.log_id()
}
