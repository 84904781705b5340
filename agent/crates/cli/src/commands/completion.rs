//! `completion`: scripts that make shells complete the commands, written from their table.

use std::fmt::Write as _;

use lictor_config::flags as agent;

use crate::commands::{ALL, GROUPS, Ran, misused};
use crate::flags::Parsed;
use crate::help::members;
use crate::{Context, Output};

/// The shells that there are scripts for.
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

const BASH: &str = r#"_lictor() {
    local current="${COMP_WORDS[COMP_CWORD]}" at="" next i
    for ((i = 1; i < COMP_CWORD; i++)); do
        next="${at:+$at }${COMP_WORDS[i]}"
        if _lictor_words "$next" >/dev/null; then at="$next"; fi
    done
    COMPREPLY=($(compgen -W "$(_lictor_words "$at")" -- "$current"))
}
complete -o default -F _lictor PROGRAM
"#;

const ZSH: &str = r#"_lictor() {
    local at="" next i
    for ((i = 2; i < CURRENT; i++)); do
        next="${at:+$at }${words[i]}"
        if _lictor_words "$next" >/dev/null; then at="$next"; fi
    done
    compadd -- ${=$(_lictor_words "$at")}
    _files
}
# As a file of fpath this is the function itself, otherwise it was sourced.
if [[ "${funcstack[1]}" == _* ]]; then _lictor "$@"; else compdef _lictor PROGRAM; fi
"#;

const FISH: &str = r#"function __lictor_complete
    set -l at ''
    for word in (commandline -opc)[2..-1]
        set -l next (string trim -- "$at $word")
        if __lictor_words "$next" >/dev/null
            set at "$next"
        end
    end
    __lictor_words "$at" | string split ' '
end
complete -c PROGRAM -a '(__lictor_complete)'
"#;

pub(super) async fn completion(context: &Context, parsed: Parsed) -> Ran {
    let program = &context.program;
    match parsed.arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [shell] if SHELLS.contains(shell) => Ok(Output::text(script(shell, program))),
        [] => Err(misused(context, &["completion"], "Name a shell: bash, zsh or fish.")),
        [other] => Err(misused(
            context,
            &["completion"],
            &format!("There are no completions for {other:?}, only for bash, zsh and fish."),
        )),
        _ => Err(misused(context, &["completion"], "Name one shell.")),
    }
}

/// What the reference's flags `-autocomplete-install` and `-autocomplete-uninstall` come to:
/// files of the user's shell are the user's.
pub(crate) fn how_to_install(program: &str) -> Output {
    Output::text(format!(
        "Completions are installed, and removed again, in your shell's own way:\n\n\
         \x20   bash:  {program} completion bash > ~/.local/share/bash-completion/completions/{program}\n\
         \x20   zsh:   {program} completion zsh > \"${{fpath[1]}}/_{program}\"\n\
         \x20   fish:  {program} completion fish > ~/.config/fish/completions/{program}.fish"
    ))
}

fn script(shell: &str, program: &str) -> String {
    let (first, function) = match shell {
        "fish" => (String::new(), fish_words()),
        "zsh" => (format!("#compdef {program}\n"), posix_words()),
        _ => (String::new(), posix_words()),
    };
    let rest = match shell {
        "fish" => FISH,
        "zsh" => ZSH,
        _ => BASH,
    };
    let about =
        format!("# Completions of {program} for {shell}; `{program} completion {shell}` prints them.\n");
    format!("{first}{about}{function}{}", rest.replace("PROGRAM", program))
}

/// What may follow which words of a command line: commands below a group, flags of a command.
fn followers() -> Vec<(String, String)> {
    let below = |path: &[&str]| members(path).into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ");
    let mut followers = vec![(String::new(), format!("agent {}", below(&[])))];
    let agent = agent::FLAGS.iter().map(|(name, ..)| format!("-{name}")).collect::<Vec<_>>();
    followers.push(("agent".to_owned(), agent.join(" ")));
    followers.extend(GROUPS.iter().map(|group| (group.path.join(" "), below(group.path))));
    followers.extend(ALL.iter().map(|command| {
        let flags = command.flags.iter().copied().flatten().map(|flag| format!("-{}", flag.name));
        let shells = SHELLS.iter().filter(|_| command.path == ["completion"]).map(|&shell| shell.to_owned());
        let words: Vec<String> = shells.chain(flags).chain(["-help".to_owned()]).collect();
        (command.path.join(" "), words.join(" "))
    }));
    followers
}

fn posix_words() -> String {
    let mut text = "_lictor_words() {\n    case \"$1\" in\n".to_owned();
    for (at, words) in followers() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "        \"{at}\") echo \"{words}\" ;;");
    }
    text.push_str("        *) return 1 ;;\n    esac\n}\n");
    text
}

fn fish_words() -> String {
    let mut text = "function __lictor_words\n    switch \"$argv\"\n".to_owned();
    for (at, words) in followers() {
        let _ = writeln!(text, "        case '{at}'\n            echo '{words}'");
    }
    text.push_str("        case '*'\n            return 1\n    end\nend\n");
    text
}
