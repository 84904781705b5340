//! How to use commands, groups of them, and the program.

use std::fmt::Write as _;

use crate::commands::{ALL, Command, GROUPS, Group};

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

impl Group {
    /// How to use one of its commands.
    #[must_use]
    pub fn help(&self, program: &str) -> String {
        let words = self.path.join(" ");
        let mut help = format!(
            "Usage: {program} {words} <subcommand> {}\n\n  {}.\n\nSubcommands:\n\n",
            self.arguments, self.synopsis
        );
        for (name, synopsis) in members(self.path) {
            // Writing to a string cannot fail.
            let _ = writeln!(help, "    {name:16} {synopsis}");
        }
        help
    }
}

/// All commands with a line each.
#[must_use]
pub(crate) fn overview(program: &str) -> String {
    let mut overview = format!(
        "Usage: {program} [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n    {:29}  Runs the agent\n",
        "agent"
    );
    for command in ALL {
        let _ = writeln!(overview, "    {:29}  {}", command.path.join(" "), command.synopsis);
    }
    overview
}

/// What stands directly below some words: the next word and what it is for.
pub(crate) fn members(path: &[&str]) -> Vec<(&'static str, &'static str)> {
    let commands = ALL.iter().map(|command| (command.path, command.synopsis));
    let groups = GROUPS.iter().map(|group| (group.path, group.synopsis));
    let mut members: Vec<(&str, &str)> = commands
        .chain(groups)
        .filter(|(below, _)| below.len() == path.len() + 1 && below.starts_with(path))
        .filter_map(|(below, synopsis)| Some((*below.last()?, synopsis)))
        .collect();
    members.sort_unstable();
    members
}
