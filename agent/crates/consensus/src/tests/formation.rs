//! Servers that belong to no cluster form one.

use super::wires::Wires;
use super::*;
use crate::Formation;

/// Tries until the server belongs to a cluster; says whether it formed it.
async fn form(server: &Server, numbers: &[u16], expected: usize) -> bool {
    let addresses: Vec<SocketAddr> = numbers.iter().map(|number| peer(*number).address).collect();
    loop {
        match server.consensus.form(&addresses, expected).await.unwrap() {
            Formation::Formed { servers } => {
                assert!(servers.len() >= expected);
                return true;
            }
            Formation::Member => return false,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_that_expect_each_other_form_one_cluster() {
    let wires = Arc::new(Wires::default());
    let mut servers = Vec::new();
    for number in 1..=3 {
        servers.push(wires.open(Storage::Memory, options(number)).await);
    }
    let all = [1, 2, 3];
    let forming = futures::future::join_all(servers.iter().map(|server| form(server, &all, 3)));
    let formed = tokio::time::timeout(DEADLINE, forming).await.unwrap();
    assert_eq!(formed.iter().filter(|formed| **formed).count(), 1, "{formed:?}");
    eventually("all to know all", || {
        servers.iter().all(|server| {
            let peers = server.consensus.peers();
            peers.len() == 3 && peers.iter().all(|peer| peer.is_voter && !peer.info.name.is_empty())
        })
    })
    .await;

    let late = wires.open(Storage::Memory, options(4)).await;
    let answer = late.consensus.form(&[peer(1).address, peer(4).address], 2).await.unwrap();
    assert!(matches!(answer, Formation::Exists { .. }), "{answer:?}");
    for server in servers.iter().chain([&late]) {
        server.consensus.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nomination_outlives_a_restart() {
    let wires = Arc::new(Wires::default());
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let open = |number: u16| {
        let directory = directories[usize::from(number) - 1].path().to_owned();
        wires.open(Storage::Disk(directory), options(number))
    };
    let mut servers = vec![open(1).await, open(2).await];
    servers.sort_by_key(|server| server.consensus.raft_id());
    // The lower one asks the other, but hears of too few.
    let (low, high) = (&servers[0], &servers[1]);
    let addresses = [peer(1).address, peer(2).address, peer(3).address];
    assert_eq!(low.consensus.form(&addresses, 3).await.unwrap(), Formation::TooFew { answered: 2 });
    assert!(low.consensus.greet(low.consensus.node().address).await.unwrap().stands);
    let left = high.consensus.form(&addresses, 2).await.unwrap();
    assert_eq!(left, Formation::LeftTo { nominee: low.consensus.node().clone() });
    wires.cut(number_of(high));
    assert_eq!(low.consensus.form(&addresses, 2).await.unwrap(), Formation::TooFew { answered: 1 });
    wires.heal();
    let nominee = low.consensus.raft_id();
    let question = crate::formation::Question::Nominate(crate::formation::Nomination {
        id: nominee,
        address: low.consensus.node().address,
    });
    high.consensus.reply(question).await.unwrap();
    let number = number_of(high);
    let high = servers.pop().unwrap();
    high.consensus.shutdown().await;
    drop(high);
    let high = open(number).await;
    let greeting = servers[0].consensus.greet(peer(number).address).await.unwrap();
    assert_eq!(greeting.nominated, Some(nominee));
    assert!(!greeting.in_cluster);
    assert!(form(&servers[0], &[1, 2], 2).await);
    eventually("the other to be in", || high.consensus.leader().is_some()).await;
    high.consensus.shutdown().await;
    servers[0].consensus.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_expect_nobody_nominate_one_that_does() {
    let wires = Arc::new(Wires::default());
    let mut servers = Vec::new();
    for number in 1..=3 {
        servers.push(wires.open(Storage::Memory, options(number)).await);
    }
    servers.sort_by_key(|server| server.consensus.raft_id());
    let forming = form(&servers[2], &[1, 2, 3], 3);
    assert!(tokio::time::timeout(DEADLINE, forming).await.unwrap());
    eventually("the others to be in", || {
        servers.iter().all(|server| server.consensus.leader() == Some(servers[2].consensus.node().clone()))
    })
    .await;
    for server in &servers {
        server.consensus.shutdown().await;
    }
}
