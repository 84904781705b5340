use proptest::prelude::*;

use super::*;

/// A cluster as gossip and Raft see it. Servers are numbers; the Raft id is born with the data.
struct World {
    members: Vec<ServerMember>,
    peers: Vec<Peer>,
    greetings: BTreeMap<SocketAddr, Greeting>,
    config: AutopilotConfig,
    autopilot: Autopilot,
    now: Moment,
}

fn member(number: u8) -> ServerMember {
    ServerMember {
        name: format!("s{number}"),
        id: format!("id-{number}"),
        address: SocketAddr::from(([10, 0, 0, number], 8300)),
        status: MemberStatus::Alive,
        expect: 0,
        forms_alone: false,
        version: "1.20.0".to_owned(),
        is_read_replica: false,
    }
}

fn peer(number: u8) -> Peer {
    Peer {
        raft_id: u64::from(number),
        info: member(number).info(),
        is_voter: true,
        is_self: number == 1,
        is_leader: number == 1,
        last_contact: Some(Duration::from_millis(10)),
        last_index: 1000,
        last_term: 3,
    }
}

impl World {
    /// A healthy cluster of these, which the first has led for a minute.
    fn of(numbers: std::ops::RangeInclusive<u8>) -> Self {
        let mut world = Self {
            members: numbers.clone().map(member).collect(),
            peers: numbers.map(peer).collect(),
            greetings: BTreeMap::new(),
            config: AutopilotConfig::default(),
            autopilot: Autopilot::default(),
            now: Moment::default(),
        };
        world.pass(60);
        world
    }

    fn with_view<T>(&mut self, act: impl FnOnce(&mut Autopilot, &View<'_>, Moment) -> T) -> T {
        let view = View {
            members: &self.members,
            peers: &self.peers,
            greetings: &self.greetings,
            config: &self.config,
            usual_silence: Duration::from_millis(500),
        };
        act(&mut self.autopilot, &view, self.now)
    }

    /// Time passes, under the eyes of the leader.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..=seconds {
            self.with_view(|autopilot, view, now| autopilot.observe(view, now, 0));
            self.now = self.now + Duration::from_secs(1);
        }
        self.with_view(|autopilot, view, now| autopilot.observe(view, now, 0));
    }

    fn plan(&mut self) -> Vec<Change> {
        self.with_view(|autopilot, view, now| {
            autopilot.observe(view, now, 0);
            autopilot.plan(view, now)
        })
    }

    fn report(&mut self) -> ServersHealth {
        self.with_view(|autopilot, view, _| autopilot.report(view))
    }

    /// A server with a data directory is there, and says who it is.
    fn appears(&mut self, number: u8, raft_id: u64) {
        self.members.retain(|known| known.id != member(number).id);
        self.members.push(member(number));
        self.greets(number, Greeting { raft_id, info: member(number).info(), ..Greeting::default() });
    }

    fn greets(&mut self, number: u8, greeting: Greeting) {
        self.greetings.insert(member(number).address, greeting);
    }

    fn fails(&mut self, number: u8) {
        for peer in self.peers.iter_mut().filter(|peer| peer.info.node_id == member(number).id) {
            peer.last_contact = Some(Duration::from_secs(30));
        }
        for known in self.members.iter_mut().filter(|known| known.id == member(number).id) {
            known.status = MemberStatus::Failed;
        }
        self.greetings.remove(&member(number).address);
    }

    /// What consensus does.
    fn carry_out(&mut self, change: &Change) {
        match change {
            Change::Add { raft_id, info } => {
                let number = info.address.ip().to_string().rsplit('.').next().unwrap().parse().unwrap();
                let learner = Peer { raft_id: *raft_id, is_voter: false, ..peer(number) };
                self.peers.push(learner);
            }
            Change::Remove { raft_id, .. } => self.peers.retain(|peer| peer.raft_id != *raft_id),
            Change::Update { raft_id, info } => {
                for peer in self.peers.iter_mut().filter(|peer| peer.raft_id == *raft_id) {
                    peer.info = info.clone();
                }
            }
            Change::Promote { raft_id, .. } | Change::Demote { raft_id, .. } => {
                for peer in self.peers.iter_mut().filter(|peer| peer.raft_id == *raft_id) {
                    peer.is_voter = matches!(change, Change::Promote { .. });
                }
            }
        }
    }

    /// Carries out plans until there is nothing to do, for as long as servers take to be stable.
    fn settle(&mut self) {
        for _ in 0..40 {
            if let Some(change) = self.plan().first().cloned() {
                self.carry_out(&change);
            } else {
                self.pass(1);
            }
        }
    }

    fn voters(&self) -> Vec<u64> {
        let mut voters: Vec<u64> =
            self.peers.iter().filter(|peer| peer.is_voter).map(|peer| peer.raft_id).collect();
        voters.sort_unstable();
        voters
    }
}

#[test]
fn nothing_is_changed_about_a_healthy_cluster() {
    let mut world = World::of(1..=3);
    assert_eq!(world.plan(), []);
    assert_eq!(world.with_view(|_, view, _| view.strangers()), []);
    let report = world.report();
    assert!(report.healthy);
    assert_eq!(report.failure_tolerance, 1);
    let server = &report.servers[1];
    assert_eq!(
        (server.id.as_str(), server.serf_status.as_str(), server.version.as_str()),
        ("id-2", "alive", "1.20.0")
    );
    assert_eq!((server.last_term, server.last_index, server.leader, server.voter), (3, 1000, false, true));
    assert_eq!(server.last_contact.0, Duration::from_millis(10));
}

#[test]
fn a_server_that_comes_is_a_learner_until_it_was_healthy_for_long_enough() {
    let mut world = World::of(1..=2);
    world.members.push(member(3));
    assert_eq!(world.with_view(|_, view, _| view.strangers()), [member(3).address]);
    assert_eq!(world.plan(), [], "who it is has to be known first");
    world.appears(3, 33);
    let plan = world.plan();
    assert_eq!(plan, [Change::Add { raft_id: 33, info: member(3).info() }]);
    world.carry_out(&plan[0]);
    world.peers[2].last_index = 100;
    world.pass(30);
    assert_eq!(world.plan(), [], "it lags too far behind");
    world.peers[2].last_index = 999;
    world.pass(5);
    assert_eq!(world.plan(), []);
    world.pass(5);
    assert_eq!(world.plan(), [Change::Promote { raft_id: 33, info: member(3).info() }]);
}

#[test]
fn a_leader_that_has_just_been_elected_waits_as_long_as_any_other() {
    let mut world = World::of(1..=2);
    world.peers[1].is_voter = false;
    world.autopilot = Autopilot::default();
    assert_eq!(world.plan(), []);
    world.pass(10);
    assert_eq!(world.plan(), [Change::Promote { raft_id: 2, info: member(2).info() }]);
}

#[test]
fn a_server_that_is_to_have_no_vote_gets_none() {
    let mut world = World::of(1..=3);
    world.appears(4, 4);
    world.members.last_mut().unwrap().is_read_replica = true;
    world.settle();
    assert_eq!((world.voters(), world.peers.len()), (vec![1, 2, 3], 4));
    world.members[1].is_read_replica = true;
    world.settle();
    assert_eq!((world.voters(), world.peers.len()), (vec![1, 3], 4));
}

#[test]
fn a_server_that_left_goes_at_once_and_five_become_three() {
    let mut world = World::of(1..=5);
    for (number, voters) in [(5, vec![1, 2, 3, 4]), (4, vec![1, 2, 3])] {
        world.members[number - 1].status = MemberStatus::Leaving;
        assert_eq!(world.plan(), [], "it may still see to that itself");
        world.members[number - 1].status = MemberStatus::Left;
        let plan = world.plan();
        let info = member(u8::try_from(number).unwrap()).info();
        assert_eq!(plan, [Change::Remove { raft_id: number as u64, info, why: Why::Left }]);
        world.carry_out(&plan[0]);
        assert_eq!(world.voters(), voters);
    }
    world.appears(5, 5);
    world.greetings.get_mut(&member(5).address).unwrap().is_leaving = true;
    assert_eq!(world.plan(), [], "one that is about to leave is not added again");
}

#[test]
fn a_failed_server_stays_until_another_has_taken_its_place() {
    let mut world = World::of(1..=3);
    world.fails(3);
    world.settle();
    assert_eq!(world.voters(), [1, 2, 3]);
    assert_eq!((world.report().healthy, world.report().failure_tolerance), (false, 0));
    world.appears(4, 4);
    world.settle();
    assert_eq!(world.voters(), [1, 2, 4]);
    assert_eq!((world.report().healthy, world.report().failure_tolerance), (true, 1));
}

#[test]
fn cleanup_keeps_the_least_number_and_can_be_turned_off() {
    for (cleanup_dead_servers, min_quorum) in [(false, 0), (true, 4)] {
        let mut world = World::of(1..=4);
        world.config = AutopilotConfig { cleanup_dead_servers, min_quorum, ..AutopilotConfig::default() };
        world.fails(4);
        world.settle();
        assert_eq!(world.voters(), [1, 2, 3, 4]);
    }
    let mut world = World::of(1..=4);
    world.config.min_quorum = 3;
    world.fails(4);
    world.settle();
    assert_eq!(world.voters(), [1, 2, 3]);
}

#[test]
fn a_server_the_pool_has_forgotten_counts_as_failed() {
    let mut world = World::of(1..=4);
    world.members.pop();
    assert_eq!(world.plan(), [], "it still answers");
    world.fails(4);
    assert_eq!(world.report().servers[3].serf_status, "none");
    world.settle();
    assert_eq!(world.voters(), [1, 2, 3]);
}

#[test]
fn a_wiped_server_comes_back_as_another_voter() {
    let mut world = World::of(1..=3);
    world.peers[2].last_contact = Some(Duration::from_secs(3));
    assert_eq!(world.plan(), [], "slow is not wiped");
    world.appears(3, 33);
    let plan = world.plan();
    assert_eq!(plan, [Change::Remove { raft_id: 3, info: member(3).info(), why: Why::Replaced }]);
    world.settle();
    assert_eq!(world.voters(), [1, 2, 33]);
}

#[test]
fn a_new_address_or_name_is_taken_up() {
    let mut world = World::of(1..=3);
    let moved = ServerMember { address: SocketAddr::from(([10, 9, 9, 9], 8300)), ..member(3) };
    world.members[2] = moved.clone();
    world.peers[2].last_contact = Some(Duration::from_secs(3));
    assert_eq!(world.with_view(|_, view, _| view.strangers()), [moved.address]);
    world.greetings.insert(moved.address, Greeting { raft_id: 3, ..Greeting::default() });
    assert_eq!(world.plan(), [Change::Update { raft_id: 3, info: moved.info() }]);
    world.settle();
    assert_eq!(world.voters(), [1, 2, 3]);
    assert_eq!(world.peers[2].info, moved.info());
}

#[test]
fn a_server_of_another_cluster_is_not_added() {
    let mut world = World::of(1..=3);
    world.appears(4, 4);
    let in_cluster = |members| Greeting { raft_id: 4, in_cluster: true, members, ..Greeting::default() };
    world.greets(4, in_cluster(vec![4, 77]));
    assert_eq!(world.plan(), []);
    world.greets(4, in_cluster(vec![4, 2]));
    assert_eq!(world.plan(), [Change::Add { raft_id: 4, info: member(4).info() }], "it was here before");
    world.greets(4, in_cluster(vec![]));
    assert_eq!(world.plan().len(), 1, "it has only promised its vote");
}

#[test]
fn what_an_operator_removed_is_left_alone_for_a_minute() {
    let mut world = World::of(1..=3);
    world.appears(3, 3);
    let now = world.now;
    world.autopilot.note_removed(3, now);
    world.peers.pop();
    assert_eq!(world.plan(), []);
    world.pass(61);
    assert_eq!(world.plan(), [Change::Add { raft_id: 3, info: member(3).info() }]);
}

#[test]
fn servers_that_failed_lag_or_are_silent_are_not_healthy() {
    let mut world = World::of(1..=5);
    world.fails(2);
    world.peers[2].last_index = 700;
    world.peers[3].last_contact = Some(Duration::from_millis(800));
    let healthy: Vec<bool> = world.report().servers.iter().map(|server| server.healthy).collect();
    assert_eq!(healthy, [true, false, false, false, true]);
    assert_eq!((world.report().healthy, world.report().failure_tolerance), (false, 0));
}

#[derive(Clone, Debug)]
enum Event {
    Appears { number: u8, data: u64 },
    Fails { number: u8 },
    Leaves { number: u8 },
    Seconds(u64),
}

proptest! {
    /// Whatever servers do, a change never leaves fewer healthy voters than a majority, and in the
    /// end all that live have a vote and nobody who left or was replaced has.
    #[test]
    fn changes_keep_the_quorum(
        events in prop::collection::vec(
            prop_oneof![
                (2..8u8, 0..2u64).prop_map(|(number, data)| Event::Appears { number, data }),
                (2..8u8).prop_map(|number| Event::Fails { number }),
                (2..8u8).prop_map(|number| Event::Leaves { number }),
                (1..30u64).prop_map(Event::Seconds),
            ],
            0..30,
        )
    ) {
        let mut world = World::of(1..=3);
        for event in events {
            match event {
                Event::Appears { number, data } => {
                    let raft_id = u64::from(number) + data * 100;
                    world.appears(number, raft_id);
                    for peer in world.peers.iter_mut().filter(|peer| peer.info.node_id == member(number).id) {
                        let same = peer.raft_id == raft_id;
                        peer.last_contact = Some(Duration::from_secs(if same { 0 } else { 30 }));
                    }
                }
                Event::Fails { number } => world.fails(number),
                Event::Leaves { number } => {
                    world.fails(number);
                    for known in world.members.iter_mut().filter(|known| known.id == member(number).id) {
                        known.status = MemberStatus::Left;
                    }
                }
                Event::Seconds(seconds) => world.pass(seconds),
            }
            let healthy = |world: &World| world.peers.iter().filter(|peer| {
                peer.is_voter && peer.last_contact < Some(Duration::from_secs(1))
            }).count();
            let mut had_quorum = healthy(&world) > world.voters().len() / 2;
            while let Some(change) = world.plan().first().cloned() {
                let before = (healthy(&world), world.voters().len());
                world.carry_out(&change);
                let has_quorum = healthy(&world) > world.voters().len() / 2;
                prop_assert!(has_quorum || !had_quorum, "{change:?} after {before:?}");
                had_quorum = has_quorum;
            }
        }
        world.settle();
        let gone: Vec<&ServerMember> =
            world.members.iter().filter(|known| known.status == MemberStatus::Left).collect();
        prop_assert!(world.peers.iter().all(|peer| gone.iter().all(|gone| gone.id != peer.info.node_id)));
        for alive in world.members.iter().filter(|known| known.status == MemberStatus::Alive) {
            let votes = world.peers.iter().filter(|peer| peer.is_voter && peer.info.node_id == alive.id).count();
            prop_assert_eq!(votes, 1, "{}", alive.name);
        }
    }
}
