//! Events that users fire: on their way to the servers, and those that come for this node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lictor_gossip::Fired;
use lictor_local::Local;
use lictor_local::events::{self, Events};
use lictor_model::cluster::{ServerAnswer, ServerOptions, ServerRequest};
use lictor_model::event::{POOL_PREFIX, UserEvent, VERSION};
use lictor_model::local::LocalAnswer;
use lictor_model::service::Service;
use lictor_model::{Error, Result};
use lictor_telemetry::metrics::Series;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::upstream::Upstream;

/// How long a request waits for an event at the most, and if it does not say.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// The events that have come for this node.
#[derive(Default)]
pub(crate) struct Heard {
    events: Mutex<Events>,
    changes: watch::Sender<u64>,
}

impl Heard {
    fn events(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, event: UserEvent) {
        self.events().add(event);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Those of a name, or all if it is empty, as far as the caller may read events of their names;
    /// if their index is the given one, once it is another.
    pub(crate) async fn list(
        &self,
        name: &str,
        may_read: impl Fn(&str) -> bool,
        index: u64,
        max_wait: Option<Duration>,
    ) -> Result<LocalAnswer> {
        let wanted = |of: &str| (name.is_empty() || of == name) && may_read(of);
        let mut changes = self.changes.subscribe();
        let mut deadline = std::pin::pin!(tokio::time::sleep(max_wait.unwrap_or(MAX_WAIT).min(MAX_WAIT)));
        loop {
            changes.mark_unchanged();
            let (events, current) = self.events().list(wanted);
            let answer = LocalAnswer::Events { events, index: current };
            if current != index {
                return Ok(answer);
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| Error::stopping())?,
                () = &mut deadline => return Ok(answer),
            }
        }
    }
}

/// Has the servers tell everybody of an event.
pub(crate) async fn fire(
    upstream: &Upstream,
    mut event: UserEvent,
    options: ServerOptions,
) -> Result<LocalAnswer> {
    event.check()?;
    event.id = uuid::Uuid::new_v4().to_string();
    event.version = VERSION;
    let payload = rmp_serde::to_vec_named(&event).map_err(|error| Error::failed(error.to_string()))?;
    let request =
        ServerRequest::Fire { name: format!("{POOL_PREFIX}{}", event.name), payload: payload.into() };
    match upstream.about_servers(request, options).await? {
        ServerAnswer::Done => Ok(LocalAnswer::Fired(Arc::new(event))),
        _ => Err(Error::mismatch()),
    }
}

/// Takes in what comes, until `stop` is cancelled.
pub(crate) async fn follow(
    heard: Arc<Heard>,
    local: Local,
    mut fired: broadcast::Receiver<Fired>,
    count: Arc<Series>,
    stop: CancellationToken,
) {
    loop {
        let fired = tokio::select! {
            () = stop.cancelled() => return,
            fired = fired.recv() => fired,
        };
        match fired {
            Ok(fired) => {
                count.count();
                let (node, services) = local.read(|state| (state.identity().name.clone(), state.services()));
                if let Some(event) = meant(&fired, node.as_str(), services.values()) {
                    tracing::debug!(name = %event.name, id = %event.id, "new event");
                    heard.add(event);
                }
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "events came faster than they could be taken in");
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// What was fired, if it is an event of a user's and meant for this node.
fn meant<'s>(
    fired: &Fired,
    node: &str,
    services: impl Iterator<Item = &'s Arc<Service>>,
) -> Option<UserEvent> {
    let name = fired.name.strip_prefix(POOL_PREFIX)?;
    let event: UserEvent = rmp_serde::from_slice(&fired.payload).ok()?;
    if event.name != name || uuid::Uuid::try_parse(&event.id).is_err() {
        return None;
    }
    let is_meant = events::is_for(&event, node, services);
    is_meant.then_some(UserEvent { time: fired.time, ..event })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, id: u128) -> UserEvent {
        let id = uuid::Uuid::from_u128(id).to_string();
        UserEvent { id, name: name.to_owned(), version: VERSION, ..UserEvent::default() }
    }

    fn names(answer: Result<LocalAnswer>) -> (Vec<String>, u64) {
        let Ok(LocalAnswer::Events { events, index }) = answer else { panic!("{answer:?}") };
        (events.iter().map(|event| event.name.clone()).collect(), index)
    }

    fn anyone(_: &str) -> bool {
        true
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_read_an_event_neither_sees_it_nor_is_told_that_it_came() {
        let heard = Heard::default();
        heard.add(event("open", 7));
        heard.add(event("secret", 8));
        let may_read = |name: &str| name != "secret";
        let (seen, index) = names(heard.list("", may_read, 0, None).await);
        assert_eq!((seen.as_slice(), index), (["open".to_owned()].as_slice(), 7));
        assert_eq!(names(heard.list("secret", may_read, 0, None).await), (vec![], 1));
        assert_eq!(names(heard.list("", anyone, 0, None).await).0, ["open", "secret"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_of_the_next_event_of_the_name() {
        let heard = Arc::new(Heard::default());
        heard.add(event("a", 7));
        let (_, index) = names(heard.list("a", anyone, 0, None).await);
        let waiting = {
            let heard = Arc::clone(&heard);
            tokio::spawn(async move { heard.list("a", anyone, index, None).await })
        };
        heard.add(event("other", 8));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        heard.add(event("a", 9));
        assert_eq!(names(waiting.await.unwrap()).0, ["a", "a"]);
        let wait = Some(Duration::from_secs(1));
        let (_, index) = names(heard.list("", anyone, 0, None).await);
        assert_eq!(
            names(heard.list("", anyone, index, wait).await).0.len(),
            3,
            "after the time whatever there is"
        );
        assert_eq!(names(heard.list("none", anyone, 1, wait).await), (vec![], 1));
    }
}
