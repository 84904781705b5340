//! Sessions on the leader: renewing them, and ending those that were not.

use std::sync::Arc;
use std::time::Duration;

use lictor_model::command::{Command, Outcome};
use lictor_model::{Error, Result, SessionId};
use lictor_store::{Snapshot, Watch, WatchSet};
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
        let mut restores = server.store.watch_restores();
        *server.timers() = Some(Timers::default());
        tokio::select! {
            _ = leadership.wait_for(|leadership| !leadership.established) => {}
            // What was put back begins anew, as it does for a new leader.
            _ = restores.changed() => {}
            () = keep_time(server, observer) => {}
        }
        *server.timers() = None;
    }
}

async fn keep_time(server: &Server, observer: &dyn Observer) {
    // Often enough to see every loss of the lease that clients can have noticed.
    let look_again = server.consensus.usual_silence();
    loop {
        let watches: WatchSet = [Watch::Sessions, Watch::LockDelays].into_iter().collect();
        let waiting = server.store.watchers().register(watches);
        let now = Instant::now();
        let has_lease = server.consensus.lease_is_valid();
        let Some((commands, wait)) = server.timers().as_mut().map(|timers| {
            let commands = look(timers, has_lease, &server.store.snapshot(), now);
            (commands, timers.wait(now))
        }) else {
            return;
        };
        let mut wait = wait.unwrap_or(Duration::MAX).min(look_again);
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

/// What is to be ended. A leader whose servers do not answer refuses renewals, so for it no time
/// passes: once it has its lease again, all begins anew as after an election.
fn look(timers: &mut Timers, has_lease: bool, state: &Arc<Snapshot>, now: Instant) -> Vec<Command> {
    if !has_lease {
        *timers = Timers::default();
        return Vec::new();
    }
    timers.update(state, now);
    due(timers, now)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timers::tests::store_with_session;
    use lictor_model::RaftIndex;

    #[test]
    fn no_time_passes_for_a_leader_without_a_lease() {
        let store = store_with_session("10s");
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        let mut ended_at = |has_lease, seconds| {
            let commands = look(&mut timers, has_lease, &store.snapshot(), at(seconds));
            commands.iter().any(|command| matches!(command, Command::EndSessions(_)))
        };
        assert!(!ended_at(true, 0));
        for seconds in [5, 21, 60] {
            assert!(!ended_at(false, seconds), "{seconds}");
        }
        assert!(!ended_at(true, 61) && !ended_at(true, 80), "the whole time again");
        assert!(ended_at(true, 81));

        store.apply([(RaftIndex(5), Command::EndSessions(vec!["s".into()]))]).unwrap();
        let mut delay_ended_at = |has_lease, seconds| {
            let commands = look(&mut timers, has_lease, &store.snapshot(), at(seconds));
            commands.iter().any(|command| matches!(command, Command::EndLockDelays(_)))
        };
        assert!(!delay_ended_at(true, 90) && !delay_ended_at(false, 98));
        assert!(!delay_ended_at(true, 99) && !delay_ended_at(true, 105));
        assert!(delay_ended_at(true, 106));
    }
}
