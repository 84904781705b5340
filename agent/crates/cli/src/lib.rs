//! The commands, apart from the agent itself.
//!
//! [`run`] finds a command in [`commands::ALL`], reads its flags ([`flags`]), lets it ask the agent
//! through [`lictor_client`], and returns what to print: a command never prints and never exits;
//! the one that goes on and on is lent a printer by its caller.
//! Every command returns data beside its text, so that `-format=json` works everywhere.

pub mod commands;
pub mod flags;
mod help;
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
    /// Makes a secret that nobody can guess.
    pub secret: fn() -> [u8; 32],
    /// Says what a recovery of the cluster from `peers.json` in a data directory would do.
    pub rehearse_recovery: fn(&Path) -> Result<String, String>,
}

/// Exit status for commands that do not exist.
const UNKNOWN_COMMAND: u8 = 127;

/// Runs the command that the arguments name.
pub async fn run(context: &Context, arguments: &[String]) -> Output {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => Output::usage(help::overview(&context.program), UNKNOWN_COMMAND),
        ["-v" | "-version" | "--version", ..] => commands::version::text(),
        ["-h" | "-help" | "--help", ..] => Output::text(help::overview(&context.program)),
        ["-autocomplete-install" | "-autocomplete-uninstall", ..] => {
            commands::completion::how_to_install(&context.program)
        }
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
    if let Err(output) = output::known_format(&parsed) {
        return output;
    }
    match (command.run)(context, parsed).await {
        Ok(output) => output,
        Err(output) => output,
    }
}

fn not_found(context: &Context, words: &[&str]) -> Output {
    let Some(group) = commands::find_group(words) else {
        return Output::usage(help::overview(&context.program), UNKNOWN_COMMAND);
    };
    let next = words.get(group.path.len());
    let asks_for_help = next.is_some_and(|word| matches!(*word, "-h" | "-help" | "--help"));
    let usage = group.help(&context.program);
    if asks_for_help { Output::text(usage) } else { Output::usage(usage, 1) }
}

/// The name a program was called by, without its directory.
#[must_use]
pub fn program_name(argv0: &str) -> String {
    Path::new(argv0)
        .file_name()
        .map_or_else(|| "lictor".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
