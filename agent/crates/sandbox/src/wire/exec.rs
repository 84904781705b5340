//! Commands on the agent's machine, for as long as their run and no longer.
//!
//! A command is a process group of its own, which is killed as a whole when the time is over or
//! nobody wants the answer any more. Of the agent's environment it sees what scripts need to find
//! programs and to speak to people, and nothing that could be a secret; a plugin cannot add to it,
//! because that could turn one command into another.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use lictor_model::duration;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::fault::{local_failure, target};
use super::{Leash, micros};
use crate::bindings::exec::{Request, Response};
use crate::bindings::types::{Misbehaviour, ProbeError};

/// Whether a command sees this variable of the agent's environment.
fn is_passed_on(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        matches!(name, "PATH" | "HOME" | "LANG" | "TZ" | "TMPDIR") || name.starts_with("LC_")
    })
}

/// A process group that must not outlive its run.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended by itself, which is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Runs a command and waits for its end.
pub(crate) async fn run(leash: &Leash, request: Request) -> Result<Response, ProbeError> {
    if let Some((name, _)) = request.options.first() {
        return Err(ProbeError::Invalid(format!("there is no option {name:?}")));
    }
    leash.grants.check_command(&request.args).map_err(ProbeError::Denied)?;
    if !request.environment.is_empty() {
        return Err(ProbeError::Denied("environment variables are not granted to plugins".to_owned()));
    }
    leash.count_connection()?;
    let leash = leash.within(request.timeout_ms);
    let started = Instant::now();
    let (mut child, output) = spawn(&request.args).map_err(|error| no_start(&request.args, &error))?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let limit = usize::try_from(request.output_limit).unwrap_or(usize::MAX);
    let stdin = child.stdin.take();
    let work = async {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program need not read what it is given.
                let _ = stdin.write_all(&request.stdin).await;
            }
        };
        let (tail, ()) = tokio::join!(read_tail(output, limit.min(leash.inbound_left())), feed);
        (tail, child.wait().await)
    };
    let Ok(((kept, total), status)) = tokio::time::timeout_at(leash.deadline.instant(), work).await else {
        let span = duration::format(leash.deadline.span());
        return Err(target(Misbehaviour::TimedOut, format!("Timed out ({span}) running check")));
    };
    group.0 = None;
    leash.count_inbound(kept.len());
    let status =
        status.map_err(|error| ProbeError::Unavailable(format!("waiting for the command: {error}")))?;
    Ok(Response { exit: status.code(), output: kept, total, duration: micros(started.elapsed()) })
}

fn spawn(args: &[String]) -> io::Result<(Child, Receiver)> {
    let [program, rest @ ..] = args else { return Err(io::ErrorKind::InvalidInput.into()) };
    // One pipe for both outputs keeps them in the order they came.
    let (reader, writer) = io::pipe()?;
    let child = Command::new(program)
        .args(rest)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, Receiver::from_owned_fd(OwnedFd::from(reader))?))
}

fn no_start(args: &[String], error: &io::Error) -> ProbeError {
    let program = args.first().map(String::as_str).unwrap_or_default();
    let what = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    let theirs = || target(Misbehaviour::Other("start".to_owned()), format!("fork/exec {program}: {what}"));
    local_failure(error).unwrap_or_else(theirs)
}

/// Reads to the end and keeps the last bytes; says how many there were.
async fn read_tail(mut output: Receiver, limit: usize) -> (Vec<u8>, u64) {
    let mut kept = VecDeque::new();
    let mut total = 0;
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut chunk).await {
        total += count as u64;
        kept.extend(chunk.get(..count).unwrap_or_default());
        drop(kept.drain(..kept.len().saturating_sub(limit)));
    }
    (kept.into(), total)
}
