//! What holds for every command of the table.

use std::collections::BTreeSet;

use crate::commands::{ALL, GROUPS, find, find_group};
use crate::{flags, help};

#[test]
fn every_help_has_usage_an_example_and_all_flags() {
    for command in ALL {
        let words = command.path.join(" ");
        let help = command.help("consul");
        assert!(help.starts_with(&format!("Usage: consul {words} [options]")), "{help}");
        assert!(help.contains(&format!("\n      $ consul {}", command.example)), "{help}");
        let mut names = BTreeSet::new();
        for flag in command.flags.iter().copied().flatten() {
            assert!(help.contains(&format!("\n  -{}", flag.name)), "{words}: -{}", flag.name);
            assert!(!flag.help.is_empty() && flag.takes != Some(""), "{words}: -{}", flag.name);
            assert!(names.insert(flag.name), "{words} has -{} twice", flag.name);
        }
    }
}

#[test]
fn every_example_is_a_line_of_its_own_command() {
    for command in ALL {
        let words: Vec<&str> = command.example.split_whitespace().collect();
        let found = find(&words).map(|found| found.path);
        assert_eq!(found, Some(command.path), "{}", command.example);
        let rest: Vec<String> = words[command.path.len()..].iter().map(|&word| word.to_owned()).collect();
        let parsed = flags::parse(&rest, command.flags);
        assert!(parsed.is_ok(), "{}: {parsed:?}", command.example);
        let parsed = parsed.unwrap();
        assert!(
            parsed.arguments.is_empty() || !command.arguments.is_empty(),
            "{}: arguments are not in the usage",
            command.example
        );
    }
}

#[test]
fn no_path_stands_for_two_things() {
    let mut paths = BTreeSet::new();
    for path in ALL.iter().map(|command| command.path).chain(GROUPS.iter().map(|group| group.path)) {
        assert!(paths.insert(path), "{path:?}");
        // Whatever has words before its last one is in the groups that these name.
        let (_, above) = path.split_last().unwrap();
        assert!(above.is_empty() || GROUPS.iter().any(|group| group.path == above), "{path:?}");
    }
    for group in GROUPS {
        assert!(!help::members(group.path).is_empty(), "{:?} is empty", group.path);
        assert_eq!(find_group(group.path).map(|found| found.path), Some(group.path));
        assert!(find(group.path).is_none());
    }
}

#[test]
fn commands_that_print_tables_know_their_formats() {
    for path in [
        &["members"][..],
        &["catalog", "nodes"],
        &["catalog", "services"],
        &["operator", "raft", "list-peers"],
        &["operator", "autopilot", "state"],
        &["info"],
    ] {
        let command = find(path).unwrap();
        assert!(command.flags.iter().copied().flatten().any(|flag| flag.name == "format"), "{path:?}");
    }
}
