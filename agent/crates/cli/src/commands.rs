//! All commands in one table.

mod absent;
mod acl;
mod catalog;
mod cluster;
pub(crate) mod completion;
mod connection;
mod event;
mod keygen;
mod keyring;
mod kv;
mod kv_transfer;
mod maintain;
mod members;
mod monitor;
mod operator;
mod services;
mod snapshot;
mod validate;
pub mod version;

use futures::future::BoxFuture;

use connection::client;

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
    ["acl", "auth-method"] " <subcommand>" "Manages ways to log in; not in this build",
        example "acl auth-method list", flags [FORMAT, flags::HTTP] => absent::acl;
    ["acl", "binding-rule"] " <subcommand>" "Manages what logins give; not in this build",
        example "acl binding-rule list", flags [FORMAT, flags::HTTP] => absent::acl;
    ["acl", "bootstrap"] "" "Makes the first token, which may do everything", example "acl bootstrap",
        flags [FORMAT, flags::HTTP] => acl::bootstrap;
    ["acl", "policy"] " <subcommand>" "Manages policies; not in this build", example "acl policy list",
        flags [FORMAT, flags::HTTP] => absent::acl;
    ["acl", "role"] " <subcommand>" "Manages roles; not in this build", example "acl role list",
        flags [FORMAT, flags::HTTP] => absent::acl;
    ["acl", "set-agent-token"] " KIND TOKEN" "Gives the agent a token; not in this build",
        example "acl set-agent-token agent 0123", flags [flags::HTTP] => absent::acl;
    ["acl", "token", "clone"] "" "Copies a token; not in this build", example "acl token clone",
        flags [FORMAT, flags::HTTP] => absent::acl;
    ["acl", "token", "create"] "" "Makes a token; not in this build", example "acl token create",
        flags [FORMAT, flags::HTTP] => absent::acl;
    ["acl", "token", "delete"] "" "Removes a token; not in this build", example "acl token delete",
        flags [FORMAT, flags::HTTP] => absent::acl;
    ["acl", "token", "list"] "" "Lists the tokens", example "acl token list",
        flags [FORMAT, flags::HTTP] => acl::token_list;
    ["acl", "token", "read"] "" "Shows a token; not in this build", example "acl token read",
        flags [FORMAT, flags::HTTP] => absent::acl;
    ["acl", "token", "update"] "" "Changes a token; not in this build", example "acl token update",
        flags [FORMAT, flags::HTTP] => absent::acl;
    ["catalog", "datacenters"] "" "Lists all known datacenters", example "catalog datacenters",
        flags [FORMAT, flags::HTTP] => catalog::datacenters;
    ["catalog", "nodes"] "" "Lists all nodes", example "catalog nodes -service=web",
        flags [catalog::NODE_FLAGS, FORMAT, flags::HTTP] => catalog::nodes;
    ["catalog", "services"] "" "Lists all registered services", example "catalog services -tags",
        flags [catalog::SERVICE_FLAGS, FORMAT, flags::HTTP] => catalog::services;
    ["completion"] " bash|zsh|fish" "Prints a script that makes a shell complete commands",
        example "completion bash", flags [] => completion::completion;
    ["event"] " [payload]" "Fires an event that all agents, or some, hear of",
        example "event -name=deploy 1.4.2", flags [event::FLAGS, flags::HTTP] => event::event;
    ["force-leave"] " name" "Has a failed member count as one that left", example "force-leave web-7",
        flags [cluster::FORCE_LEAVE_FLAGS, flags::HTTP] => cluster::force_leave;
    ["info"] "" "Shows figures of the agent for operators", example "info",
        flags [FORMAT, flags::HTTP] => cluster::info;
    ["join"] " address ..." "Has the agent join a cluster", example "join 10.0.0.1 10.0.0.2:8301",
        flags [cluster::JOIN_FLAGS, flags::HTTP] => cluster::join;
    ["keygen"] "" "Makes a key for the encryption of gossip", example "keygen",
        flags [] => keygen::keygen;
    ["keyring"] "" "Manages the keys that gossip is encrypted with", example "keyring -list",
        flags [keyring::FLAGS, FORMAT, flags::HTTP] => keyring::keyring;
    ["kv", "delete"] " KEY_OR_PREFIX" "Removes data from the key-value store", example "kv delete -recurse app/",
        flags [kv::DELETE_FLAGS, flags::HTTP] => kv::delete;
    ["kv", "export"] " [PREFIX]" "Prints a tree of the key-value store as JSON", example "kv export app/",
        flags [flags::HTTP] => kv_transfer::export;
    ["kv", "get"] " [KEY_OR_PREFIX]" "Reads data from the key-value store", example "kv get -detailed app/port",
        flags [kv::GET_FLAGS, FORMAT, flags::HTTP] => kv::get;
    ["kv", "import"] " DATA|@FILE|-" "Writes what export printed to the key-value store",
        example "kv import @app.json", flags [kv_transfer::IMPORT_FLAGS, flags::HTTP] => kv_transfer::import;
    ["kv", "put"] " KEY [DATA]" "Writes data to the key-value store", example "kv put app/port 8080",
        flags [kv::PUT_FLAGS, flags::HTTP] => kv::put;
    ["leave"] "" "Leaves the cluster and stops the agent", example "leave",
        flags [flags::HTTP] => maintain::leave;
    ["lock"] " PREFIX COMMAND..." "Runs a command while holding a lock; not in this build",
        example "lock deploy/web ./deploy.sh", flags [absent::LOCK_FLAGS, flags::HTTP] => absent::lock;
    ["maint"] "" "Takes the node or a service out of service", example "maint -enable -reason=upgrade",
        flags [maintain::FLAGS, flags::HTTP] => maintain::maint;
    ["members"] "" "Lists the members of the gossip pool", example "members -status=alive",
        flags [members::FLAGS, FORMAT, flags::HTTP] => members::list;
    ["monitor"] "" "Streams the log of the agent", example "monitor -log-level=debug",
        flags [monitor::FLAGS, flags::HTTP] => monitor::monitor;
    ["operator", "autopilot", "get-config"] "" "Shows how servers are looked after",
        example "operator autopilot get-config", flags [FORMAT, flags::HTTP] => operator::get_config;
    ["operator", "autopilot", "set-config"] "" "Changes how servers are looked after",
        example "operator autopilot set-config -cleanup-dead-servers=false",
        flags [operator::AUTOPILOT_FLAGS, flags::HTTP] => operator::set_config;
    ["operator", "autopilot", "state"] "" "Shows how the servers are",
        example "operator autopilot state", flags [FORMAT, flags::HTTP] => operator::state;
    ["operator", "raft", "list-peers"] "" "Lists the servers that Raft counts",
        example "operator raft list-peers", flags [FORMAT, flags::HTTP] => operator::list_peers;
    ["operator", "raft", "recover"] "" "Shows how servers would recover from a lost majority",
        example "operator raft recover -dry-run -data-dir=/var/lib/lictor",
        flags [operator::RECOVER_FLAGS] => operator::recover;
    ["operator", "raft", "remove-peer"] "" "Has Raft no longer count a server",
        example "operator raft remove-peer -address=10.0.0.3:8300",
        flags [operator::REMOVE_FLAGS, flags::HTTP] => operator::remove_peer;
    ["operator", "raft", "transfer-leader"] "" "Has another server lead",
        example "operator raft transfer-leader",
        flags [operator::TRANSFER_FLAGS, flags::HTTP] => operator::transfer_leader;
    ["reload"] "" "Has the agent read its configuration again", example "reload",
        flags [flags::HTTP] => maintain::reload;
    ["rtt"] " node1 [node2]" "Estimates the round-trip time between nodes", example "rtt web-1 web-2",
        flags [cluster::RTT_FLAGS, FORMAT, flags::HTTP] => cluster::rtt;
    ["services", "deregister"] " [FILE...]" "Removes services from the agent", example "services deregister -id=web-1",
        flags [services::DEREGISTER_FLAGS, flags::HTTP] => services::deregister;
    ["services", "register"] " [FILE...]" "Registers services with the agent", example "services register web.json",
        flags [services::REGISTER_FLAGS, flags::HTTP] => services::register;
    ["snapshot", "inspect"] " FILE" "Shows what a snapshot holds",
        example "snapshot inspect backup.snap", flags [snapshot::INSPECT_FLAGS, FORMAT] => snapshot::inspect;
    ["snapshot", "restore"] " FILE" "Puts the servers' state back",
        example "snapshot restore backup.snap", flags [flags::HTTP] => snapshot::restore;
    ["snapshot", "save"] " FILE" "Saves the servers' state",
        example "snapshot save backup.snap",
        flags [snapshot::SAVE_FLAGS, flags::HTTP] => snapshot::save;
    ["validate"] " FILE_OR_DIRECTORY..." "Checks configuration files", example "validate /etc/lictor.d",
        flags [validate::FLAGS] => validate::validate;
    ["version"] "" "Prints the version", example "version -format=json",
        flags [FORMAT] => version::version;
    ["watch"] " [HANDLER...]" "Runs a program on every change; not in this build",
        example "watch -type=service -service=web ./on-change.sh",
        flags [absent::WATCH_FLAGS, flags::HTTP] => absent::watch;
};

/// Words that stand for several commands.
pub struct Group {
    /// The words.
    pub path: &'static [&'static str],
    /// What follows the name of one of its commands, for the help.
    pub arguments: &'static str,
    /// What its commands are about, in a line.
    pub synopsis: &'static str,
}

macro_rules! groups {
    ($([$($word:literal),+] $arguments:literal $synopsis:literal;)*) => {
        &[$(Group { path: &[$($word),+], arguments: $arguments, synopsis: $synopsis }),*]
    };
}

/// All groups, those within others too.
pub const GROUPS: &[Group] = groups! {
    ["acl"] "[options] [args]" "Manages access control";
    ["acl", "token"] "[options] [args]" "Manages tokens";
    ["catalog"] "[options] [args]" "Looks into the catalog";
    ["kv"] "[options] [args]" "Works with the key-value store";
    ["operator"] "[options]" "Tools for operators of a cluster";
    ["operator", "autopilot"] "[options]" "Shows and changes how servers are looked after";
    ["operator", "raft"] "[options]" "Shows and changes which servers Raft counts";
    ["services"] "[options] [args]" "Registers services and removes them";
    ["snapshot"] "[options] [args]" "Saves and restores the servers' state";
};

/// The flag of every command that prints more than a line.
const FORMAT: &[Flag] = &[flags::value("format", "table|json", "How to print the result.")];

/// The command that the words name.
#[must_use]
pub fn find(words: &[&str]) -> Option<&'static Command> {
    ALL.iter().filter(|command| words.starts_with(command.path)).max_by_key(|command| command.path.len())
}

/// The innermost group that the words name.
#[must_use]
pub fn find_group(words: &[&str]) -> Option<&'static Group> {
    GROUPS.iter().filter(|group| words.starts_with(group.path)).max_by_key(|group| group.path.len())
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

/// A flag's value is none that it takes; in the words of Go's parser.
pub(crate) fn invalid_value(flag: &str, text: &str, why: &str) -> Output {
    Output::error(format!("invalid value {text:?} for flag -{flag}: {why}"), 1)
}

/// A command was used wrongly: says how, and how to use it.
pub(crate) fn misused(context: &Context, path: &[&str], why: &str) -> Output {
    let help = find(path).map(|command| command.help(&context.program)).unwrap_or_default();
    Output::error(format!("{why}\n\n{help}"), 1)
}
