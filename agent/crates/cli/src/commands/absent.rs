//! Commands of the reference that this build does not have. Their help is here, so that scripts
//! and people learn what they ran into.

use crate::commands::Ran;
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

pub(super) const WATCH_FLAGS: &[Flag] = &[
    flags::value("type", "type", "What to watch: key, keyprefix, services, nodes, service, checks or event."),
    flags::value("key", "path", "The entry, for -type=key."),
    flags::value("prefix", "path", "The prefix, for -type=keyprefix."),
    flags::value("service", "name", "The service, for -type=service or checks."),
    flags::value("tag", "tag", "Only instances with this tag; may be repeated."),
    flags::value("passingonly", "bool", "Only instances that pass."),
    flags::value("state", "state", "Only checks in this state."),
    flags::value("name", "name", "Only events with this name."),
    flags::value("filter", "expression", "Only what meets the expression."),
    flags::switch("shell", "Run the handler in a shell. Default true."),
];

pub(super) const LOCK_FLAGS: &[Flag] = &[
    flags::value("n", "number", "How many may hold the lock at once. Default 1."),
    flags::value("name", "name", "A name for the session."),
    flags::value("child-exit-code", "bool", "Exit as the command does."),
    flags::switch("pass-stdin", "Hand standard input to the command."),
    flags::switch("shell", "Run the command in a shell. Default true."),
    flags::value("timeout", "duration", "How long to try."),
    flags::value("try", "duration", "Try once, for so long."),
    flags::value("monitor-retry", "number", "How often to retry when servers fail. Default 3."),
    flags::switch("verbose", "Say what happens."),
];

pub(super) async fn watch(_context: &Context, _parsed: Parsed) -> Ran {
    missing("watches")
}

pub(super) async fn lock(_context: &Context, _parsed: Parsed) -> Ran {
    missing("the lock command; locks of sessions work through `kv put -acquire` and the API")
}

pub(super) async fn acl(_context: &Context, _parsed: Parsed) -> Ran {
    missing("access control")
}

fn missing(what: &str) -> Ran {
    Err(Output::error(format!("Error! This build does not have {what}."), 1))
}
