//! Sessions on the leader: renewing them, and ending those that were not.

use std::sync::Arc;
use std::time::Duration;

use lictor_model::command::{Command, Outcome};
use lictor_model::{Error, Result, SessionId};
use lictor_store::{Watch, WatchSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::place::Attempt;
use crate::timers::Timers;
use crate::{Observer, Server};

/// How many sessions or lock-delays are ended by one command.
const AT_ONCE: usize = 256;
/// How long to wait after a command that failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);

impl Server {
    /// Starts a session's time to live anew.
    pub(crate) fn renew(&self, id: &SessionId) -> Result<Attempt<Outcome>> {
        let session = self.store.snapshot().session(id).cloned();
        let session = session.ok_or_else(|| Error::not_found(format!("Session id '{id}' not found")))?;
        match self.timers().as_mut() {
            Some(timers) => timers.renew(&session, Instant::now()),
            None => return Ok(Attempt::Elsewhere),
        }
        Ok(Attempt::Done(Outcome::Session(session)))
    }
}

/// Ends sessions and lock-delays in time whenever this server leads, until `stop` is cancelled.
pub async fn run(server: Arc<Server>, observer: Arc<dyn Observer>, stop: CancellationToken) {
    stop.run_until_cancelled(keep_time_while_leading(&server, observer.as_ref())).await;
}

async fn keep_time_while_leading(server: &Server, observer: &dyn Observer) {
    let mut leadership = server.consensus.subscribe_leadership();
    while leadership.wait_for(|leadership| leadership.established).await.is_ok() {
        *server.timers() = Some(Timers::default());
        tokio::select! {
            _ = leadership.wait_for(|leadership| !leadership.established) => {}
            () = keep_time(server, observer) => {}
        }
        *server.timers() = None;
    }
}

async fn keep_time(server: &Server, observer: &dyn Observer) {
    loop {
        let watches: WatchSet = [Watch::Sessions, Watch::LockDelays].into_iter().collect();
        let waiting = server.store.watchers().register(watches);
        let now = Instant::now();
        let Some((commands, wait)) = server.timers().as_mut().map(|timers| {
            timers.update(&server.store.snapshot(), now);
            (due(timers, now), timers.wait(now))
        }) else {
            return;
        };
        let mut wait = wait.unwrap_or(Duration::MAX);
        for command in commands {
            let ends_sessions = matches!(command, Command::EndSessions(_));
            match server.write_own(command).await {
                Ok(_) if ends_sessions => observer.sessions_ended(now.elapsed()),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "failed to end sessions whose time is over");
                    wait = RETRY_AFTER;
                }
            }
        }
        tokio::select! {
            () = waiting.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn due(timers: &Timers, now: Instant) -> Vec<Command> {
    let mut commands = Vec::new();
    let expired = timers.expired(now, AT_ONCE);
    if !expired.is_empty() {
        tracing::info!(sessions = ?expired, "sessions expired");
        commands.push(Command::EndSessions(expired));
    }
    let ended = timers.ended_delays(now, AT_ONCE);
    if !ended.is_empty() {
        commands.push(Command::EndLockDelays(ended));
    }
    commands
}
