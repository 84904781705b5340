//! Snapshots as bytes.
//!
//! A version byte, then MessagePack with named fields: a later build may add fields, this one
//! ignores those it does not know.

use std::sync::Arc;

use lictor_model::check::Check;
use lictor_model::coordinate::NodeCoordinate;
use lictor_model::ids::fold;
use lictor_model::kv::KvEntry;
use lictor_model::node::Node;
use lictor_model::operator::AutopilotConfig;
use lictor_model::prepared::PreparedQuery;
use lictor_model::service::Service;
use lictor_model::session::Session;
use lictor_model::{Key, RaftIndex};
use serde::{Deserialize, Serialize};

use crate::indexes::Indexes;
use crate::prepared::Prepared;
use crate::snapshot::{Folded, PendingDelay, Snapshot};

/// The version of the encoding that this build writes and reads.
const VERSION: u8 = 1;

/// Why bytes are not a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There are no bytes.
    #[error("the snapshot is empty")]
    Empty,
    /// Another build wrote it.
    #[error("the snapshot has version {found}; this build reads version {VERSION}")]
    Version {
        /// The version it has.
        found: u8,
    },
    /// The bytes are damaged.
    #[error("the snapshot cannot be read: {0}")]
    Damaged(#[from] rmp_serde::decode::Error),
}

/// What is written: the tables. What follows from them is computed again.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Tables {
    index: RaftIndex,
    nodes: Vec<Arc<Node>>,
    services: Vec<(Folded, Arc<Service>)>,
    checks: Vec<Arc<Check>>,
    kv: Vec<Arc<KvEntry>>,
    sessions: Vec<Arc<Session>>,
    lock_delays: Vec<(Key, PendingDelay)>,
    autopilot: Option<Arc<AutopilotConfig>>,
    coordinates: Vec<Arc<NodeCoordinate>>,
    prepared: Vec<Arc<PreparedQuery>>,
    indexes: Indexes,
}

impl Snapshot {
    /// The whole state as bytes. Equal states give equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let tables = Tables {
            index: self.index,
            nodes: self.nodes.values().cloned().collect(),
            services: self
                .services
                .iter()
                .map(|((node, _), service)| (Arc::clone(node), Arc::clone(service)))
                .collect(),
            checks: self.checks.values().cloned().collect(),
            kv: self.kv.values().cloned().collect(),
            sessions: self.sessions.values().cloned().collect(),
            lock_delays: self.lock_delays.iter().map(|(key, delay)| (key.clone(), *delay)).collect(),
            autopilot: self.autopilot.clone(),
            coordinates: self.coordinates.values().cloned().collect(),
            prepared: self.prepared.values().map(|prepared| Arc::clone(&prepared.query)).collect(),
            indexes: self.indexes.clone(),
        };
        let mut bytes = vec![VERSION];
        let encoded = rmp_serde::encode::write_named(&mut bytes, &tables);
        debug_assert!(encoded.is_ok(), "plain data into memory always encodes: {encoded:?}");
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RestoreError> {
        let (version, body) = bytes.split_first().ok_or(RestoreError::Empty)?;
        if *version != VERSION {
            return Err(RestoreError::Version { found: *version });
        }
        let tables: Tables = rmp_serde::from_slice(body)?;
        let mut snapshot = Self { index: tables.index, indexes: tables.indexes, ..Self::default() };
        for node in tables.nodes {
            snapshot.put_node(node);
        }
        for (node, service) in tables.services {
            snapshot.put_service(&node, service);
        }
        for check in tables.checks {
            snapshot.put_check(check);
        }
        for entry in tables.kv {
            snapshot.put_entry(entry);
        }
        for session in tables.sessions {
            snapshot.put_session(session);
        }
        for query in tables.prepared {
            snapshot.put_prepared(Prepared::new(query));
        }
        snapshot.autopilot = tables.autopilot;
        snapshot.coordinates = tables
            .coordinates
            .into_iter()
            .map(|coordinate| (fold(coordinate.node.as_str()), coordinate))
            .collect();
        snapshot.lock_delays = tables.lock_delays.into_iter().collect();
        Ok(snapshot)
    }
}
