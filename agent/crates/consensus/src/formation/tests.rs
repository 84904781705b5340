//! The rules, in clusters whose servers crash, whose messages get lost and whose network splits.

use proptest::prelude::*;

use super::*;

/// What one server has on disk, and where it is in its attempt.
#[derive(Clone, Debug)]
struct Server {
    id: u64,
    stands: bool,
    nomination: Option<Nomination>,
    in_cluster: bool,
    has_formed: bool,
    attempt: Attempt,
}

#[derive(Clone, Debug, Default)]
enum Attempt {
    #[default]
    Idle,
    /// Asks everybody in turn who they are.
    Greeting { next: usize, others: BTreeMap<u64, (SocketAddr, Greeting)> },
    /// Asks those who answered to nominate it.
    Standing { remaining: Vec<usize>, nominators: usize },
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A server takes the next steps of its attempt. The answer to the first may get lost.
    Steps {
        server: usize,
        count: usize,
        answer_is_lost: bool,
    },
    Crash {
        server: usize,
    },
    /// Servers talk only to those of the same half.
    Split {
        halves: u16,
    },
    /// Who has formed a cluster tells a member of it.
    Spread {
        from: usize,
        to: usize,
    },
}

struct World {
    expected: usize,
    servers: Vec<Server>,
    halves: u16,
    /// Whether servers forget whom they nominated when they crash.
    is_forgetful: bool,
}

fn address(server: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], u16::try_from(server).unwrap()))
}

impl World {
    /// The first server expects the others, and so do those in `stands`.
    fn new(expected: usize, ids: &[u64], stands: u16) -> Self {
        let servers = ids
            .iter()
            .enumerate()
            .map(|(place, id)| Server {
                id: *id,
                stands: place == 0 || (stands >> place) & 1 == 1,
                nomination: None,
                in_cluster: false,
                has_formed: false,
                attempt: Attempt::Idle,
            })
            .collect();
        Self { expected, servers, halves: 0, is_forgetful: false }
    }

    fn are_connected(&self, one: usize, other: usize) -> bool {
        (self.halves >> one) & 1 == (self.halves >> other) & 1
    }

    fn greeting(&self, server: usize) -> Greeting {
        let server = &self.servers[server];
        Greeting {
            raft_id: server.id,
            stands: server.stands,
            in_cluster: server.in_cluster,
            nominated: server.nomination.map(|nomination| nomination.id),
            ..Greeting::default()
        }
    }

    /// As [`Consensus::nominate`].
    fn nominate(&mut self, server: usize, candidate: usize) -> bool {
        let current = self.servers[server].nomination;
        let nomination = Nomination { id: self.servers[candidate].id, address: address(candidate) };
        let agreed = !self.servers[server].in_cluster
            && match judge(self.servers[server].id, current, nomination.id) {
                Judgement::Agree => true,
                Judgement::Refuse => false,
                Judgement::AgreeUnlessStanding(other) => {
                    let asked = usize::from(other.address.port());
                    self.are_connected(server, asked) && stands_no_longer(&self.greeting(asked), other.id)
                }
            };
        if agreed {
            self.servers[server].nomination = Some(nomination);
        }
        agreed
    }

    fn apply(&mut self, event: Event) {
        let count = self.servers.len();
        match event {
            Event::Split { halves } => self.halves = halves,
            Event::Crash { server } => {
                let server = &mut self.servers[server % count];
                server.attempt = Attempt::Idle;
                if self.is_forgetful {
                    server.nomination = None;
                }
            }
            Event::Spread { from, to } => {
                let (from, to) = (from % count, to % count);
                let (id, is_formed) = (self.servers[from].id, self.servers[from].has_formed);
                let nominated = self.servers[to].nomination.is_some_and(|nomination| nomination.id == id);
                if is_formed && nominated && self.are_connected(from, to) {
                    self.servers[to].in_cluster = true;
                }
            }
            Event::Steps { server, count: steps, answer_is_lost } => {
                for step in 0..steps {
                    self.step(server % count, answer_is_lost && step == 0);
                }
            }
        }
    }

    /// As [`Consensus::form`], one message at a time.
    fn step(&mut self, server: usize, answer_is_lost: bool) {
        if self.servers[server].in_cluster || !self.servers[server].stands {
            return;
        }
        let attempt = std::mem::take(&mut self.servers[server].attempt);
        self.servers[server].attempt = match attempt {
            Attempt::Idle => Attempt::Greeting { next: 0, others: BTreeMap::new() },
            Attempt::Greeting { next, mut others } if next < self.servers.len() => {
                if next != server && self.are_connected(server, next) && !answer_is_lost {
                    others.insert(self.servers[next].id, (address(next), self.greeting(next)));
                }
                Attempt::Greeting { next: next + 1, others }
            }
            Attempt::Greeting { others, .. } => {
                match hindrance(self.servers[server].id, self.expected, &others) {
                    Some(_) => Attempt::Idle,
                    None => Attempt::Standing {
                        remaining: others.values().map(|(at, _)| usize::from(at.port())).collect(),
                        nominators: 0,
                    },
                }
            }
            Attempt::Standing { mut remaining, nominators } => match remaining.pop() {
                Some(other) => {
                    let agreed = self.are_connected(server, other) && self.nominate(other, server);
                    let counted = usize::from(agreed && !answer_is_lost);
                    Attempt::Standing { remaining, nominators: nominators + counted }
                }
                None => {
                    let stands = self.nominate(server, server);
                    if stands && nominators + 1 >= self.expected {
                        self.servers[server].in_cluster = true;
                        self.servers[server].has_formed = true;
                    }
                    Attempt::Idle
                }
            },
        };
    }

    fn clusters(&self) -> usize {
        self.servers.iter().filter(|server| server.has_formed).count()
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        20 => (0..9_usize, 1..16_usize, prop::bool::weighted(0.2)).prop_map(
            |(server, count, answer_is_lost)| Event::Steps { server, count, answer_is_lost }
        ),
        2 => (0..9_usize).prop_map(|server| Event::Crash { server }),
        4 => any::<u16>().prop_map(|halves| Event::Split { halves }),
        1 => Just(Event::Split { halves: 0 }),
        1 => (0..9_usize, 0..9_usize).prop_map(|(from, to)| Event::Spread { from, to }),
    ];
    prop::collection::vec(event, 0..120)
}

/// How many are expected, and the ids of all there are: so many that two clusters do not fit.
fn ids() -> impl Strategy<Value = (usize, Vec<u64>)> {
    (2..=5_usize).prop_flat_map(|expected| {
        (expected..2 * expected).prop_flat_map(move |count| {
            let ids: Vec<u64> = (1..=count as u64).collect();
            (Just(expected), Just(ids).prop_shuffle())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever happens there is one cluster at the most, and once the network is whole and
    /// everybody goes on trying, there is one.
    #[test]
    fn one_cluster_is_formed_and_never_two(
        (expected, ids) in ids(),
        stands in any::<u16>(),
        events in events(),
    ) {
        let mut world = World::new(expected, &ids, stands);
        for event in events {
            world.apply(event);
            prop_assert!(world.clusters() <= 1);
        }
        world.apply(Event::Split { halves: 0 });
        for _ in 0..200 {
            for server in 0..ids.len() {
                world.apply(Event::Steps { server, count: 1, answer_is_lost: false });
            }
        }
        prop_assert_eq!(world.clusters(), 1, "{:?}", world.servers);
    }
}

#[test]
fn the_simulation_would_notice_two_clusters() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let found = (0..2000).any(|_| {
        let (expected, ids) = ids().new_tree(&mut runner).unwrap().current();
        let mut world = World { is_forgetful: true, ..World::new(expected, &ids, u16::MAX) };
        for event in events().new_tree(&mut runner).unwrap().current() {
            world.apply(event);
        }
        world.clusters() > 1
    });
    assert!(found, "servers that forget whom they nominated must be able to form two clusters");
}

#[test]
fn a_nomination_is_given_away_only_when_nothing_can_come_of_it() {
    let nomination = |id| Some(Nomination { id, address: address(1) });
    assert_eq!(judge(5, None, 9), Judgement::Agree);
    assert_eq!(judge(5, nomination(9), 9), Judgement::Agree);
    assert_eq!(judge(5, nomination(5), 3), Judgement::Agree);
    assert_eq!(judge(5, nomination(5), 9), Judgement::Refuse);
    assert_eq!(judge(5, nomination(7), 3), Judgement::AgreeUnlessStanding(nomination(7).unwrap()));
    let greeting = |nominated| Greeting { raft_id: 7, nominated, ..Greeting::default() };
    assert!(stands_no_longer(&greeting(Some(3)), 7));
    for standing in [greeting(None), greeting(Some(7)), greeting(Some(9))] {
        assert!(!stands_no_longer(&standing, 7), "{standing:?}");
    }
    assert!(!stands_no_longer(&greeting(Some(3)), 8), "that is another server");
    assert!(!stands_no_longer(&Greeting { in_cluster: true, ..greeting(Some(3)) }, 7));
}
