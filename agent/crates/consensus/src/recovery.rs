//! The way back from a lost majority: an operator says which servers there are from now on.
//!
//! `peers.json` beside the log lists them, by node id and address, as the reference does. When a
//! server starts and finds it, the list becomes the configuration of its cluster, as one more entry
//! of its log, and the file goes. All servers that are to go on get the same file while all of them
//! are stopped; whatever the log of the one that is elected holds counts as agreed on.
//!
//! `peers.info` explains this to whoever looks. Where it is missing, the directory is new, and a
//! `peers.json` in it was not meant for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use lictor_model::RaftIndex;
use lictor_sys::file;
use openraft::{EntryPayload, Membership};
use serde::Deserialize;

use crate::error::OpenError;
use crate::log::disk::Disk;
use crate::snapshot::SnapshotHome;
use crate::types::{CommittedLeader, Entry, LogId, PeerInfo, Vote, public_index};

const LIST: &str = "peers.json";
const EXPLANATION: &str = "peers.info";
/// The largest list that is read, in bytes.
const MAX_LIST: u64 = 1024 * 1024;

const EXPLANATION_TEXT: &str = r#"The file peers.json in this directory is only used to recover a cluster that has
lost the majority of its servers for good. Under normal operation there is none.

It is a JSON array of the servers that there are to be from now on:

[
  {
    "id": "adf4238a-882b-9ddc-4a9d-5b6758e4159e",
    "address": "10.1.0.1:8300",
    "non_voter": false
  }
]

"id" is the node id of a server. It stands in the file "node-id" in the server's
data directory and in the first lines of its log. "address" is the address and
port where the server listens for other servers. "non_voter" says that a server
has no vote; it may be left out.

Stop all servers, those included that are not to go on. Put the same peers.json
into the raft directory of every server that is to go on, and look at what it
would do with

    lictor operator raft recover -dry-run -data-dir=<data directory>

Then start these servers. Each takes the list up when it starts, and removes the
file. Servers that have lost their data are not in the list; they are started
afterwards, join, and are added by the leader.

When a server starts for the first time, it writes this file and removes any
peers.json that is there already, so that it does not recover from what it was
not meant to.
"#;

/// A server as the list has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    id: String,
    address: String,
    #[serde(default)]
    non_voter: bool,
}

/// What a recovery does, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The servers up to now, and whether they have a vote.
    pub before: Vec<(PeerInfo, bool)>,
    /// The servers from then on.
    pub after: Vec<(PeerInfo, bool)>,
    /// The newest entry of this server's log.
    pub last_index: RaftIndex,
    /// The term of that entry.
    pub last_term: u64,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The log of this server ends with entry {} of term {}.",
            self.last_index, self.last_term
        )?;
        for (title, servers) in
            [("Servers up to now:", &self.before), ("Servers after the recovery:", &self.after)]
        {
            writeln!(f, "{title}")?;
            for (info, is_voter) in servers {
                let kind = if *is_voter { "voter" } else { "non-voter" };
                writeln!(f, "  {}  {}  {}  {kind}", info.node_id, info.address, info.name)?;
            }
        }
        Ok(())
    }
}

/// What is needed of this server's own past.
struct Past {
    last: LogId,
    /// The newest term it has taken part in, in which it need not have got any entry.
    term: u64,
    membership: Membership<u64, PeerInfo>,
}

/// Whose the entry of a recovery is, which follows on `last` in the log of the server `own`.
///
/// Servers vote for whoever has the greater last entry, by term, then by leader, then by index, and
/// what the entry of a recovery says there must not change who that is: the survivors' entries keep
/// the order of what they follow on. So it has the next term, and in place of a leader what the
/// order goes by within a term. Survivors with the same log differ in the last bits, so that their
/// entries are not taken for one and the same.
fn leader_after(last: LogId, own: u64) -> CommittedLeader {
    const INDEX_BITS: u32 = 38;
    const OWN_BITS: u32 = 16;
    let leader = last.leader_id.node_id >> (INDEX_BITS + OWN_BITS) << (INDEX_BITS + OWN_BITS);
    let index = last.index.min((1 << INDEX_BITS) - 1) << OWN_BITS;
    let own = own & ((1 << OWN_BITS) - 1);
    CommittedLeader { term: last.leader_id.term + 1, node_id: leader | index | own }
}

/// Recovers from `peers.json` in the directory of the log if there is one, and writes `peers.info`
/// where it is missing. `own` is this server. Not while a server has the log open.
///
/// # Errors
/// If the list cannot be taken up; the message says what is wrong with it. Nothing has changed then.
pub fn recover(directory: &Path, own: &PeerInfo) -> Result<Option<Recovery>, OpenError> {
    let (list, explanation) = (directory.join(LIST), directory.join(EXPLANATION));
    file::create_private_dir(directory)?;
    if !explanation.try_exists()? {
        file::write_atomic(&explanation, EXPLANATION_TEXT.as_bytes())?;
        if list.try_exists()? {
            file::remove_durable(&list)?;
            tracing::warn!("deleted peers.json file (see peers.info for details)");
        }
        return Ok(None);
    }
    if !list.try_exists()? {
        return Ok(None);
    }
    tracing::info!("found peers.json file, recovering Raft configuration...");
    let (disk, past, recovery, membership) = prepare(directory, Some(own))?;
    let leader_id = leader_after(past.last, disk.raft_id());
    let log_id = LogId { leader_id, index: past.last.index + 1 };
    let entry = Entry { log_id, payload: EntryPayload::Membership(membership) };
    let record = crate::codec::encode_entry(&entry).map_err(io::Error::from)?;
    let change = disk.begin()?;
    change.append(&[(log_id.index, record)])?;
    // Above all that it has voted for and all that is in its log, so that no vote is taken back.
    change.vote(&Vote::new(past.term.max(leader_id.term) + 1, disk.raft_id()))?;
    change.commit()?;
    file::remove_durable(&list)?;
    tracing::info!("deleted peers.json file after successful recovery");
    Ok(Some(recovery))
}

/// What [`recover`] would do, without doing it.
///
/// # Errors
/// As for [`recover`]; also if there is no `peers.json`.
pub fn rehearse(directory: &Path) -> Result<Recovery, OpenError> {
    for name in [LIST, "log.redb"] {
        let path = directory.join(name);
        if !path.try_exists()? {
            return Err(failed(format!("there is no {}", path.display())));
        }
    }
    if !directory.join(EXPLANATION).try_exists()? {
        return Err(failed(format!(
            "there is no {EXPLANATION} in {}, so that the list would be removed and not taken up; start the \
             server once without a list",
            directory.display()
        )));
    }
    prepare(directory, None).map(|(_, _, recovery, _)| recovery)
}

type Prepared = (Disk, Past, Recovery, Membership<u64, PeerInfo>);

fn prepare(directory: &Path, own: Option<&PeerInfo>) -> Result<Prepared, OpenError> {
    let listed = read_list(&directory.join(LIST))?;
    let (disk, past) = read_past(directory)?;
    let raft_id = disk.raft_id();
    let membership = resolve(&listed, &past.membership, raft_id, own)?;
    let recovery = Recovery {
        before: described(&past.membership),
        after: described(&membership),
        last_index: public_index(past.last),
        last_term: past.last.leader_id.term,
    };
    Ok((disk, past, recovery, membership))
}

fn failed(why: impl fmt::Display) -> OpenError {
    OpenError::Recovery(format!("recovery failed: {why}"))
}

fn read_list(path: &Path) -> Result<Vec<Listed>, OpenError> {
    let content = file::read_bounded(path, MAX_LIST)?;
    let listed: Vec<Listed> = serde_json::from_slice(&content)
        .map_err(|error| OpenError::Recovery(format!("recovery failed to parse peers.json: {error}")))?;
    Ok(listed)
}

fn read_past(directory: &Path) -> Result<(Disk, Past), OpenError> {
    let (disk, found) = Disk::open(Some(directory))?;
    let snapshots = directory.join("snapshots");
    let in_snapshot = match fs::exists(&snapshots)? {
        true => SnapshotHome::open(&snapshots)?.newest()?.map(|(meta, _)| meta),
        false => None,
    };
    let in_snapshot = in_snapshot.as_ref();
    let last = found.last.max(found.purged).max(in_snapshot.and_then(|meta| meta.last_log_id));
    let Some(last) = last else {
        return Err(failed("this server has no state yet, there is nothing to recover"));
    };
    let start = found.purged.map_or(0, |purged| purged.index + 1);
    let entries = disk.read(start, last.index + 1, usize::MAX)?;
    let in_log = entries.into_iter().rev().find_map(|entry| match entry.payload {
        EntryPayload::Membership(membership) => Some(membership),
        _ => None,
    });
    let membership = in_log.or_else(|| in_snapshot.map(|meta| meta.last_membership.membership().clone()));
    let term = last.leader_id.term.max(found.vote.map_or(0, |vote| vote.leader_id.term));
    Ok((disk, Past { last, term, membership: membership.unwrap_or_default() }))
}

/// The configuration that the list stands for. Raft's own ids are not known to operators: they
/// come from the configuration up to now.
fn resolve(
    listed: &[Listed],
    past: &Membership<u64, PeerInfo>,
    own_raft_id: u64,
    own: Option<&PeerInfo>,
) -> Result<Membership<u64, PeerInfo>, OpenError> {
    let own_id =
        own.map(|own| &own.node_id).or_else(|| past.get_node(&own_raft_id).map(|info| &info.node_id));
    let mut nodes = BTreeMap::new();
    let mut voters = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for server in listed {
        let id = server.id.to_lowercase();
        let address: SocketAddr = server
            .address
            .parse()
            .map_err(|_| failed(format!("{:?} is no IP address with a port", server.address)))?;
        let known = past.nodes().find(|(_, info)| info.node_id == id);
        let (raft_id, name) = match known {
            _ if own_id == Some(&id) => {
                let name = own.or_else(|| past.get_node(&own_raft_id)).map(|info| info.name.clone());
                (own_raft_id, name.unwrap_or_default())
            }
            Some((raft_id, info)) => (*raft_id, info.name.clone()),
            None => {
                return Err(failed(format!(
                    "this server knows no server with the id {id}; leave it out, and start it once the others \
                     have a leader"
                )));
            }
        };
        if nodes.insert(raft_id, PeerInfo { address, name, node_id: id.clone() }).is_some() {
            return Err(failed(format!("found duplicate ID in configuration: {id}")));
        }
        if !addresses.insert(address) {
            return Err(failed(format!("found duplicate address in configuration: {address}")));
        }
        if !server.non_voter {
            voters.insert(raft_id);
        }
    }
    if voters.is_empty() {
        return Err(failed("need at least one voter in configuration"));
    }
    if !nodes.contains_key(&own_raft_id) {
        return Err(failed(
            "this server is not in the list, so it would be out of the cluster; do not start it",
        ));
    }
    Membership::new(vec![voters], nodes).map_err(failed)
}

fn described(membership: &Membership<u64, PeerInfo>) -> Vec<(PeerInfo, bool)> {
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    membership.nodes().map(|(id, info)| (info.clone(), voters.contains(id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_recovery_keep_the_order_of_what_they_follow_on() {
        let last = |term, node_id, index| LogId { leader_id: CommittedLeader { term, node_id }, index };
        let (low, high) = (3 << 60, 9 << 60);
        // In the order in which they would win an election.
        let logs = [
            last(4, high, 900),
            last(5, low, 90),
            last(5, low, 91),
            last(5, low, 70_000),
            last(5, high, 80),
            last(6, low, 1),
        ];
        for pair in logs.windows(2) {
            for (own, other) in [(1, u64::MAX), (u64::MAX, 1)] {
                let (older, newer) = (leader_after(pair[0], own), leader_after(pair[1], other));
                assert!(pair[0] < pair[1] && older < newer, "{older:?} {newer:?}");
            }
        }
        for log in logs {
            assert!(leader_after(log, 1) > log.leader_id);
            assert_ne!(leader_after(log, 1), leader_after(log, 2));
        }
    }
}
