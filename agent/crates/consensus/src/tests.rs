//! Consensus as a whole, on real files and in clusters within one process.

mod cluster;
mod failing;
mod formation;
mod hanging;
mod membership;
mod power;
mod recovery;
mod single;
mod suite;
mod timing;
mod wires;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lictor_model::command::{Command, KvChange, Outcome};
use lictor_rpc::Alone;
use lictor_store::Store;

use crate::{Consensus, OpenError, Options, PeerInfo, Storage};

/// How long a test waits for what should happen at once.
const DEADLINE: Duration = Duration::from_secs(20);

fn peer(number: u16) -> PeerInfo {
    PeerInfo {
        address: SocketAddr::from(([127, 0, 0, 1], 8300 + number)),
        name: format!("server-{number}"),
        node_id: format!("00000000-0000-0000-0000-00000000000{number}"),
    }
}

fn options(number: u16) -> Options {
    Options { raft_multiplier: 2, ..Options::new(peer(number)) }
}

/// Which of the servers made by [`options`] this is.
fn number_of(server: &Server) -> u16 {
    server.consensus.node().address.port() - 8300
}

fn set(key: &str, value: &str) -> Command {
    Command::Kv(KvChange::Set {
        key: key.into(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        flags: 0,
        cas: None,
    })
}

struct Server {
    consensus: Arc<Consensus>,
    store: Arc<Store>,
}

async fn open(storage: Storage, options: Options) -> Result<Server, OpenError> {
    let store = Arc::new(Store::new());
    let consensus = Consensus::open(options, storage, Arc::clone(&store), Arc::new(Alone)).await?;
    Ok(Server { consensus, store })
}

async fn open_disk(directory: &Path, options: Options) -> Server {
    let server = open(Storage::Disk(directory.to_owned()), options).await.unwrap();
    server.consensus.bootstrap().await.unwrap();
    server.led().await;
    server
}

impl Server {
    async fn led(&self) {
        let mut leadership = self.consensus.subscribe_leadership();
        let established = leadership.wait_for(|leadership| leadership.established);
        tokio::time::timeout(DEADLINE, established).await.expect("a leader in time").unwrap();
    }

    async fn put(&self, key: &str, value: &str) -> u64 {
        let (index, outcome) = self.consensus.propose(set(key, value)).await.unwrap();
        assert_eq!(outcome, Outcome::Applied(true));
        index.0
    }

    fn state(&self) -> Vec<u8> {
        self.store.snapshot().encode()
    }
}

/// Waits until something holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, poll).await.is_ok(), "not in time: {what}");
}
