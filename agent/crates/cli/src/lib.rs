//! The commands, apart from the agent itself.
//!
//! [`run`] finds a command in [`commands::ALL`], reads its flags ([`flags`]), lets it ask the agent
//! through [`lictor_client`], and returns what to print: a command never prints and never exits;
//! the one that goes on and on is lent a printer by its caller.
//! Every command returns data beside its text, so that `-format=json` works everywhere.

pub mod commands;
pub mod flags;
mod output;

use std::path::Path;

use flags::Parsed;
pub use output::Output;

/// What a command knows of where it runs.
pub struct Context {
    /// The name the program was called by.
    pub program: String,
    /// Looks an environment variable up.
    pub env: fn(&str) -> Option<String>,
    /// Reads standard input to its end.
    pub stdin: fn() -> std::io::Result<Vec<u8>>,
    /// Prints what comes before the end of a command that goes on and on.
    pub stdout: fn(&[u8]) -> std::io::Result<()>,
}

/// Exit status for commands that do not exist.
const UNKNOWN_COMMAND: u8 = 127;

/// Runs the command that the arguments name.
pub async fn run(context: &Context, arguments: &[String]) -> Output {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => Output::usage(commands::overview(&context.program), UNKNOWN_COMMAND),
        ["-v" | "-version" | "--version", ..] => commands::version::text(),
        ["-h" | "-help" | "--help", ..] => Output::text(commands::overview(&context.program)),
        _ => run_named(context, arguments, &words).await,
    }
}

async fn run_named(context: &Context, arguments: &[String], words: &[&str]) -> Output {
    let Some(command) = commands::find(words) else {
        return not_found(context, words);
    };
    let own = arguments.get(command.path.len()..).unwrap_or_default();
    let parsed = match flags::parse(own, command.flags) {
        Ok(Parsed { help: true, .. }) => return Output::text(command.help(&context.program)),
        Ok(parsed) => parsed,
        Err(why) => {
            let help = command.help(&context.program);
            return Output::error(format!("{why}\n{help}"), 1);
        }
    };
    match (command.run)(context, parsed).await {
        Ok(output) => output,
        Err(output) => output,
    }
}

fn not_found(context: &Context, words: &[&str]) -> Output {
    let Some(group) = words.first().filter(|word| commands::is_group(word)) else {
        return Output::usage(commands::overview(&context.program), UNKNOWN_COMMAND);
    };
    let asks_for_help = words.get(1).is_some_and(|word| matches!(*word, "-h" | "-help" | "--help"));
    let usage = commands::group_usage(&context.program, group);
    if asks_for_help { Output::text(usage) } else { Output::usage(usage, 1) }
}

/// The name a program was called by, without its directory.
#[must_use]
pub fn program_name(argv0: &str) -> String {
    Path::new(argv0)
        .file_name()
        .map_or_else(|| "lictor".to_owned(), |name| name.to_string_lossy().into_owned())
}
