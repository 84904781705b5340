//! A running agent.

use std::fs;
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::binary::lictor;
use crate::cli::Cli;
use crate::dns::Dns;
use crate::http::Http;
use crate::ports::Ports;
use crate::wait::{eventually, eventually_within};

/// How often a start is tried while ports turn out to be taken.
const STARTS: usize = 3;
/// How much of a log is shown.
const SHOWN: usize = 8000;

/// What an agent is to be like.
#[derive(Debug)]
pub struct Builder {
    config: Map<String, Value>,
    files: Vec<(String, String)>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    dev: bool,
    address: Ipv4Addr,
}

impl Builder {
    /// Has it listen at a loopback address of its own.
    #[must_use]
    pub fn address(mut self, address: Ipv4Addr) -> Self {
        self.address = address;
        for key in ["bind_addr", "client_addr"] {
            self.config.insert(key.to_owned(), json!(address));
        }
        self
    }

    /// Lays configuration over what every test agent has; `null` removes a key.
    ///
    /// # Panics
    /// If it is no object.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        let Value::Object(config) = config else { panic!("configuration is an object") };
        for (key, value) in config {
            match (self.config.get_mut(&key), value) {
                (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
                (_, value) => drop(self.config.insert(key, value)),
            }
        }
        self
    }

    /// Puts a file into the configuration folder before the start.
    #[must_use]
    pub fn file(mut self, name: &str, content: &(impl ToString + ?Sized)) -> Self {
        self.files.push((name.to_owned(), content.to_string()));
        self
    }

    /// Adds arguments to the command line.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts with `-dev` and flags instead of a file: everything is kept in memory.
    #[must_use]
    pub fn dev(mut self) -> Self {
        self.dev = true;
        self
    }

    /// Starts the agent and waits until it leads and its node is healthy.
    ///
    /// # Panics
    /// If it does not come to that.
    #[must_use]
    pub fn start(self) -> Agent {
        let mut agent = self.prepare();
        for _ in 1..STARTS {
            agent.spawn();
            if agent.is_up() {
                agent.wait_until_ready();
                return agent;
            }
            // Somebody was faster.
            agent.ports = Ports::reserve();
            agent.write_config();
        }
        agent.spawn();
        agent.wait_until_ready();
        agent
    }

    /// Prepares files and ports; [`Agent::spawn`] starts it.
    ///
    /// # Panics
    /// If the files cannot be written.
    #[must_use]
    pub fn prepare(self) -> Agent {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("conf.d")).expect("a folder for configuration");
        let agent = Agent {
            folder,
            ports: Ports::reserve(),
            config: self.config,
            arguments: self.arguments,
            variables: self.variables,
            dev: self.dev,
            address: self.address,
            child: None,
            started: Instant::now(),
        };
        for (name, content) in &self.files {
            agent.write_file(name, content);
        }
        agent.write_config();
        agent
    }
}

/// An agent with its folder and ports, whether it runs or not. Dropping it kills it.
#[derive(Debug)]
pub struct Agent {
    folder: TempDir,
    ports: Ports,
    config: Map<String, Value>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    dev: bool,
    address: Ipv4Addr,
    child: Option<Child>,
    started: Instant,
}

impl Agent {
    /// A single server on ports of its own.
    #[must_use]
    pub fn builder() -> Builder {
        let config = json!({
            "node_name": "n1",
            "node_id": uuid::Uuid::new_v4().to_string(),
            "performance": {"raft_multiplier": 1},
            "bootstrap": true,
            "server": true,
            "disable_update_check": true,
            "log_level": "debug",
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "skip_leave_on_interrupt": true,
            "ports": {"https": -1, "grpc": -1, "grpc_tls": -1, "serf_wan": -1},
        });
        let Value::Object(config) = config else { panic!("an object") };
        Builder {
            config,
            files: Vec::new(),
            arguments: Vec::new(),
            variables: Vec::new(),
            dev: false,
            address: Ipv4Addr::LOCALHOST,
        }
    }

    /// A single server as the others, ready to use.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    fn write_config(&self) {
        let mut config = self.config.clone();
        config.entry("data_dir").or_insert_with(|| json!(self.data_dir()));
        if let Some(Value::Object(ports)) = config.get_mut("ports") {
            for (name, place) in [("http", 0), ("dns", 1), ("serf_lan", 2), ("server", 3)] {
                ports.entry(name).or_insert_with(|| json!(self.ports.at(place)));
            }
        }
        config.retain(|key, value| !value.is_null() || key == "segments");
        fs::write(self.config_file(), Value::Object(config).to_string()).expect("a configuration file");
    }

    /// The command line that starts it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(lictor());
        command.arg("agent");
        if self.dev {
            command.arg("-dev").arg("-node=n1");
            for (flag, place) in [("http-port", 0), ("dns-port", 1), ("serf-lan-port", 2), ("server-port", 3)]
            {
                command.arg(format!("-{flag}={}", self.ports.at(place)));
            }
        } else {
            command.arg("-config-file").arg(self.config_file());
        }
        command.arg("-config-dir").arg(self.folder.path().join("conf.d")).args(&self.arguments);
        command
    }

    /// Starts the process and does not wait for anything.
    ///
    /// # Panics
    /// If it runs already or cannot be started.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the agent runs already");
        let log =
            OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).expect("a log");
        let mut command = self.command();
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a log")).stdout(log);
        // Compiled components of agents without a data folder stay within the test, too.
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        self.started = Instant::now();
        self.child = Some(command.spawn().expect("the agent can be started"));
    }

    /// Waits until HTTP answers; false if the process ended because a port was taken.
    fn is_up(&mut self) -> bool {
        eventually_within(Duration::from_secs(10), "the agent answers by HTTP", || {
            if let Some(status) = self.poll_exit() {
                let log = self.log();
                assert!(log.contains("in use"), "the agent ended with {status}:\n{log}");
                self.child = None;
                return Ok(false);
            }
            match self.http().request("GET", "/v1/status/leader", b"") {
                Ok(_) => Ok(true),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    /// Waits until the agent leads and its own node is healthy.
    ///
    /// # Panics
    /// If it does not come to that.
    pub fn wait_until_ready(&mut self) {
        self.wait_for_leader();
        let http = self.http();
        eventually("the node is healthy", || {
            let checks = http.get("/v1/health/state/passing");
            let ready = checks.status == 200 && checks.text().contains("\"serfHealth\"");
            if ready { Ok(()) } else { Err(checks.text()) }
        });
    }

    /// Waits until there is a leader.
    ///
    /// # Panics
    /// If none comes.
    pub fn wait_for_leader(&mut self) {
        let http = self.http();
        eventually("a leader", || {
            if let Some(status) = self.poll_exit() {
                panic!("the agent ended with {status}");
            }
            match http.request("GET", "/v1/status/leader", b"") {
                Ok(response) if response.status == 200 && response.body.len() > 4 => Ok(()),
                Ok(response) => Err(format!("{}: {}", response.status, response.text())),
                Err(error) => Err(error.to_string()),
            }
        });
    }

    /// Waits until a service has `count` healthy instances.
    ///
    /// # Panics
    /// If it does not come to that.
    #[track_caller]
    pub fn wait_for_service(&self, service: &str, count: usize) {
        let http = self.http();
        eventually(&format!("{count} healthy instances of {service}"), || {
            let found = http.json(&format!("/v1/health/service/{service}?passing"));
            if found.as_array().is_some_and(|list| list.len() == count) {
                return Ok(());
            }
            Err(http.json(&format!("/v1/health/checks/{service}")).to_string())
        });
    }

    /// Waits until a check has a status, and returns it.
    ///
    /// # Panics
    /// If it does not come to that.
    #[track_caller]
    pub fn wait_for_check(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let http = self.http();
        eventually(&format!("check {id}"), || {
            let checks = http.json("/v1/health/node/n1");
            let found = checks.as_array().and_then(|list| list.iter().find(|check| check["CheckID"] == id));
            match found {
                Some(check) if wanted(check) => Ok(check.clone()),
                _ => Err(checks.to_string()),
            }
        })
    }

    /// Its HTTP API.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::on(self.address, self.http_port())
    }

    /// Its DNS interface.
    #[must_use]
    pub fn dns(&self) -> Dns {
        Dns::on(self.address, self.ports.at(1))
    }

    /// Commands that talk to it.
    #[must_use]
    pub fn cli(&self) -> Cli {
        Cli::new(&format!("{}:{}", self.address, self.http_port()))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Whether it was started and has not been ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Changes its configuration from the next start on; `null` removes a key.
    ///
    /// # Panics
    /// If it is no object, or the file cannot be written.
    pub fn reconfigure(&mut self, config: Value) {
        let Value::Object(config) = config else { panic!("configuration is an object") };
        self.config.extend(config);
        self.write_config();
    }

    /// Forgets everything that it kept, as a new disk would.
    ///
    /// # Panics
    /// If it runs, or the folder cannot be removed.
    pub fn wipe(&mut self) {
        assert!(self.child.is_none(), "the agent runs");
        fs::remove_dir_all(self.data_dir()).expect("the data folder can be removed");
    }

    /// The port of its HTTP API.
    #[must_use]
    pub fn http_port(&self) -> u16 {
        self.ports.at(0)
    }

    /// Its ports: HTTP, DNS, gossip, server, in this order.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The identifier of its node.
    ///
    /// # Panics
    /// If the configuration has none.
    #[must_use]
    pub fn node_id(&self) -> &str {
        self.config["node_id"].as_str().expect("a node id")
    }

    /// Where it keeps its state.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The file it is configured by.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }

    /// A file in the configuration folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("conf.d").join(name)
    }

    /// The folder of everything that belongs to it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the configuration folder.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_file(&self, name: &str, content: &(impl ToString + ?Sized)) {
        fs::write(self.file(name), content.to_string()).expect("a file in the configuration folder");
    }

    /// Removes a file from the configuration folder.
    ///
    /// # Panics
    /// If it is not there.
    pub fn remove_file(&self, name: &str) {
        fs::remove_file(self.file(name)).expect("the file is there");
    }

    /// What it has printed so far, in all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.folder.path().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// When the process was last started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running agent").id()
    }

    /// Sends a signal to this process and no other.
    ///
    /// # Panics
    /// If it does not run.
    pub fn signal(&self, signal: Signal) {
        // The child is not reaped before, so that the number is still its own.
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("a signal to our own child");
    }

    /// Keeps its files from growing beyond a size, in bytes, as a full disk would.
    ///
    /// # Panics
    /// If it does not run.
    pub fn limit_files(&self, bytes: u64) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(Some(pid), Resource::Fsize, limit).expect("a limit for our own child");
    }

    /// The exit status, if the process has ended.
    pub fn poll_exit(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("the state of our own child"))
    }

    /// Waits for the end of the process; returns its exit status.
    ///
    /// # Panics
    /// If it goes on, or was ended by a signal.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> i32 {
        let status = eventually_within(Duration::from_secs(10), "the agent ends", || {
            self.poll_exit().ok_or_else(|| "it goes on".to_owned())
        });
        self.child = None;
        status.code().unwrap_or_else(|| panic!("the agent ended by {status}"))
    }

    /// Ends it as the power button would.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a running agent");
        child.kill().expect("a signal to our own child");
        child.wait().expect("the end of our own child");
    }

    /// Stops it in good order; returns its exit status.
    ///
    /// # Panics
    /// If it does not stop.
    #[track_caller]
    pub fn stop(&mut self, signal: Signal) -> i32 {
        self.signal(signal);
        self.wait_for_exit()
    }

    /// Starts it again on the same ports with the same data, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.spawn();
        self.wait_until_ready();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
            eprintln!(
                "--- log of the agent ---\n{}--- end of the log ---",
                log.get(tail..).unwrap_or_default()
            );
        }
    }
}
