//! A network that belongs to one test, whose faults are the test's own doing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use rustix::thread::UnshareFlags;

/// A network namespace that the calling thread, and whatever it starts from then on, is in: nothing
/// but a loopback interface, on which every agent has an address of its own.
///
/// Faults only concern packets between agents. The test itself is at 127.0.0.1 and reaches all of
/// them whatever the faults are.
#[derive(Debug)]
pub struct Network(());

/// Where agents are.
const AGENTS: &str = "{ 127.0.1.0/24, 127.0.2.0/24 }";

impl Network {
    /// Enters a new network.
    ///
    /// # Panics
    /// If this is not permitted, or `ip` and `nft` are missing: tests that need faults do not pass
    /// without.
    #[must_use]
    #[allow(unsafe_code, reason = "the flag changes nothing but this thread's network")]
    pub fn isolated() -> Self {
        // SAFETY: threads may be in different networks; no file descriptors or memory are concerned.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
            .expect("a network namespace of its own; run this as root, or in a user namespace");
        let status = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("`ip` can be run");
        assert!(status.success(), "the loopback interface cannot be brought up");
        let network = Self(());
        network.heal();
        network
    }

    /// The address of a server, counted from 1.
    #[must_use]
    pub fn server(number: usize) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, 1, u8::try_from(number).expect("at most 255 servers"))
    }

    /// The address of a client agent, counted from 1.
    #[must_use]
    pub fn client(number: usize) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, 2, u8::try_from(number).expect("at most 255 clients"))
    }

    /// Cuts these agents off from all others; among themselves they still hear one another.
    ///
    /// # Panics
    /// If `nft` fails.
    pub fn cut_off(&self, island: &[Ipv4Addr]) {
        let list: Vec<String> = island.iter().map(Ipv4Addr::to_string).collect();
        let list = format!("{{ {} }}", list.join(", "));
        self.rules(&[
            format!("ip saddr {list} ip daddr {AGENTS} ip daddr != {list} drop"),
            format!("ip daddr {list} ip saddr {AGENTS} ip saddr != {list} drop"),
        ]);
    }

    /// Loses so many of a hundred packets between agents.
    ///
    /// # Panics
    /// If `nft` fails.
    pub fn lose(&self, percent: u8) {
        self.rules(&[format!("ip saddr {AGENTS} ip daddr {AGENTS} numgen random mod 100 < {percent} drop")]);
    }

    /// Ends all faults.
    ///
    /// # Panics
    /// If `nft` fails.
    pub fn heal(&self) {
        self.rules(&[]);
    }

    fn rules(&self, rules: &[String]) {
        let mut script = String::from(
            "flush ruleset\ntable ip faults {\nchain input {\ntype filter hook input priority 0;\n",
        );
        for rule in rules {
            writeln!(script, "{rule}").expect("a string takes everything");
        }
        script.push_str("}\n}\n");
        let mut nft = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("`nft` can be run (package nftables)");
        nft.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("`nft` reads");
        assert!(nft.wait().expect("`nft` ends").success(), "nft refused:\n{script}");
    }
}
