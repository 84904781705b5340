//! All commands in one table.

mod catalog;
mod kv;
mod maintain;
mod members;
mod monitor;
mod services;
mod validate;
pub mod version;

use std::fmt::Write as _;

use futures::future::BoxFuture;
use lictor_client::{Client, Options};

use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

/// A command's result: both ways it is something to print.
pub(crate) type Ran = Result<Output, Output>;

/// A command.
pub struct Command {
    /// The words that name it.
    pub path: &'static [&'static str],
    /// What follows them, for the help.
    pub arguments: &'static str,
    /// What it does, in a line.
    pub synopsis: &'static str,
    /// A command line that shows it at work, without the program's name.
    pub example: &'static str,
    /// Its flags.
    pub flags: &'static [&'static [Flag]],
    pub(crate) run: for<'a> fn(&'a Context, Parsed) -> BoxFuture<'a, Ran>,
}

macro_rules! commands {
    ($([$($word:literal),+] $arguments:literal $synopsis:literal, example $example:literal,
        flags [$($flags:expr),*] => $run:path;)*) => {
        &[$(Command {
            path: &[$($word),+],
            arguments: $arguments,
            synopsis: $synopsis,
            example: $example,
            flags: &[$($flags),*],
            run: |context, parsed| Box::pin($run(context, parsed)),
        }),*]
    };
}

/// All of them, but for `agent`, which is the program itself.
pub const ALL: &[Command] = commands! {
    ["catalog", "datacenters"] "" "Lists all known datacenters", example "catalog datacenters",
        flags [FORMAT, flags::HTTP] => catalog::datacenters;
    ["catalog", "nodes"] "" "Lists all nodes", example "catalog nodes -service=web",
        flags [catalog::NODE_FLAGS, FORMAT, flags::HTTP] => catalog::nodes;
    ["catalog", "services"] "" "Lists all registered services", example "catalog services -tags",
        flags [catalog::SERVICE_FLAGS, FORMAT, flags::HTTP] => catalog::services;
    ["kv", "delete"] " KEY_OR_PREFIX" "Removes data from the key-value store", example "kv delete -recurse app/",
        flags [kv::DELETE_FLAGS, flags::HTTP] => kv::delete;
    ["kv", "get"] " [KEY_OR_PREFIX]" "Reads data from the key-value store", example "kv get -detailed app/port",
        flags [kv::GET_FLAGS, FORMAT, flags::HTTP] => kv::get;
    ["kv", "put"] " KEY [DATA]" "Writes data to the key-value store", example "kv put app/port 8080",
        flags [kv::PUT_FLAGS, flags::HTTP] => kv::put;
    ["leave"] "" "Leaves the cluster and stops the agent", example "leave",
        flags [flags::HTTP] => maintain::leave;
    ["maint"] "" "Takes the node or a service out of service", example "maint -enable -reason=upgrade",
        flags [maintain::FLAGS, flags::HTTP] => maintain::maint;
    ["members"] "" "Lists the members of the gossip pool", example "members -status=alive",
        flags [members::FLAGS, FORMAT, flags::HTTP] => members::list;
    ["monitor"] "" "Streams the log of the agent", example "monitor -log-level=debug",
        flags [monitor::FLAGS, flags::HTTP] => monitor::monitor;
    ["reload"] "" "Has the agent read its configuration again", example "reload",
        flags [flags::HTTP] => maintain::reload;
    ["services", "deregister"] " [FILE...]" "Removes services from the agent", example "services deregister -id=web-1",
        flags [services::DEREGISTER_FLAGS, flags::HTTP] => services::deregister;
    ["services", "register"] " [FILE...]" "Registers services with the agent", example "services register web.json",
        flags [services::REGISTER_FLAGS, flags::HTTP] => services::register;
    ["validate"] " FILE_OR_DIRECTORY..." "Checks configuration files", example "validate /etc/lictor.d",
        flags [validate::FLAGS] => validate::validate;
    ["version"] "" "Prints the version", example "version -format=json",
        flags [FORMAT] => version::version;
};

/// The flag of every command that prints more than a line.
const FORMAT: &[Flag] = &[flags::value("format", "table|json", "How to print the result.")];

impl Command {
    /// How to use it.
    #[must_use]
    pub fn help(&self, program: &str) -> String {
        let words = self.path.join(" ");
        let mut help = format!(
            "Usage: {program} {words} [options]{}\n\n  {}.\n\n  Example:\n\n      $ {program} {}\n\nOptions:\n",
            self.arguments, self.synopsis, self.example
        );
        for flag in self.flags.iter().copied().flatten() {
            let takes = flag.takes.map(|takes| format!("=<{takes}>")).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(help, "\n  -{}{takes}\n     {}\n", flag.name, flag.help);
        }
        help
    }
}

/// The command that the words name.
#[must_use]
pub fn find(words: &[&str]) -> Option<&'static Command> {
    ALL.iter().find(|command| words.starts_with(command.path))
}

/// Whether the word stands for several commands.
#[must_use]
pub fn is_group(word: &str) -> bool {
    ALL.iter().any(|command| command.path.len() > 1 && command.path.first() == Some(&word))
}

/// How to use a group of commands.
#[must_use]
pub fn group_usage(program: &str, group: &str) -> String {
    let mut usage = format!("Usage: {program} {group} <subcommand> [options] [args]\n\nSubcommands:\n");
    for command in ALL.iter().filter(|command| command.path.first() == Some(&group)) {
        let name = command.path.last().copied().unwrap_or_default();
        let _ = writeln!(usage, "    {name:14} {}", command.synopsis);
    }
    usage
}

/// All commands with a line each.
#[must_use]
pub fn overview(program: &str) -> String {
    let mut overview = format!(
        "Usage: {program} [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n    {:22} Runs the agent\n",
        "agent"
    );
    for command in ALL {
        let _ = writeln!(overview, "    {:22} {}", command.path.join(" "), command.synopsis);
    }
    overview
}

/// A client as flags and environment say.
pub(crate) fn client(context: &Context, parsed: &Parsed) -> Result<Client, Output> {
    let given = |flag: &str, variable: &str| {
        if parsed.has(flag) {
            parsed.get(flag).to_owned()
        } else {
            (context.env)(variable).unwrap_or_default()
        }
    };
    let mut token = given("token", "CONSUL_HTTP_TOKEN");
    let token_file = given("token-file", "CONSUL_HTTP_TOKEN_FILE");
    if token.is_empty() && !token_file.is_empty() {
        token = std::fs::read_to_string(&token_file)
            .map_err(|error| Output::error(format!("Error reading token file {token_file}: {error}"), 1))?
            .trim()
            .to_owned();
    }
    let address = given("http-addr", "CONSUL_HTTP_ADDR");
    let options = Options {
        address: if address.is_empty() { "127.0.0.1:8500".to_owned() } else { address },
        token,
        datacenter: parsed.get("datacenter").to_owned(),
        stale: parsed.is_set("stale"),
    };
    Client::new(options)
        .map_err(|error| Output::error(format!("Error connecting to Consul agent: {error}"), 1))
}

/// A failure with what was attempted before it.
pub(crate) fn failed(what: &str, error: impl std::fmt::Display) -> Output {
    Output::error(format!("{what}: {error}"), 1)
}

/// No arguments were expected.
pub(crate) fn no_arguments(parsed: &Parsed) -> Result<(), Output> {
    match parsed.arguments.len() {
        0 => Ok(()),
        count => Err(Output::error(format!("Too many arguments (expected 0, got {count})"), 1)),
    }
}
