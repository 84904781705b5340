//! The program: either the agent, or a command that talks to one.

use std::io::{Read, Write};
use std::process::ExitCode;

use lictor_cli::{Context, Output, program_name};
use lictor_config::flags;

// A check's run allocates and frees a few hundred times on threads of its own, some of it in large
// pieces. That costs a tenth less than with the system's allocator, and less memory stays behind.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let program = program_name(&arguments.next().unwrap_or_default());
    let arguments: Vec<String> = arguments.collect();
    match arguments.split_first() {
        Some((word, rest)) if word == "agent" => agent(&program, rest),
        _ => command(program, &arguments),
    }
}

fn agent(program: &str, arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|argument| matches!(argument.as_str(), "-h" | "-help" | "--help")) {
        return print(&Output::text(flags_help(program)));
    }
    let sources = match flags::parse(arguments) {
        Ok(sources) => sources,
        Err(why) => return print(&Output::error(format!("{why}\n{}", flags_help(program)), 1)),
    };
    let config = match lictor_config::load(&sources) {
        Ok(config) => config,
        Err(problems) => return print(&Output::error(format!("==> {problems}"), 1)),
    };
    let started = runtime().and_then(|runtime| {
        let ended = runtime.block_on(lictor_agent::run(config, sources)).map_err(|error| error.to_string());
        runtime.shutdown_background();
        ended
    });
    started.unwrap_or_else(|why| print(&Output::error(format!("==> {why}"), 1)))
}

fn command(program: String, arguments: &[String]) -> ExitCode {
    let context = Context {
        program,
        env: |name| std::env::var(name).ok(),
        stdin: read_stdin,
        stdout: write_stdout,
        secret: lictor_sys::random::secret,
        rehearse_recovery: lictor_agent::rehearse_recovery,
    };
    match runtime() {
        Ok(runtime) => print(&runtime.block_on(lictor_cli::run(&context, arguments))),
        Err(why) => print(&Output::error(why, 1)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("lictor")
        .build()
        .map_err(|error| format!("the runtime does not start: {error}"))
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::io::stdin().read_to_end(&mut content)?;
    Ok(content)
}

fn write_stdout(content: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(content)?;
    stdout.flush()
}

fn flags_help(program: &str) -> String {
    let mut help =
        format!("Usage: {program} agent [options]\n\n  Runs the agent until it is interrupted.\n\n");
    for (name, kind, _) in flags::FLAGS {
        let takes = match kind {
            flags::Kind::Switch => "",
            flags::Kind::Number => "=<number>",
            flags::Kind::Pair => "=<key:value>",
            flags::Kind::Text | flags::Kind::List => "=<value>",
        };
        help.push_str(&format!("  -{name}{takes}\n"));
    }
    help
}

/// Prints what a command came to. A reader that went away is no failure of ours.
fn print(output: &Output) -> ExitCode {
    let _ = std::io::stdout().write_all(&output.stdout);
    let _ = std::io::stderr().write_all(output.stderr.as_bytes());
    ExitCode::from(output.code)
}
