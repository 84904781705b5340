//! Answers that the agent keeps for requests with `?cached`.
//!
//! Each kept answer has a task that waits for the next one with a blocking read, so that it is as
//! fresh as the servers can make it and costs them one reader however many clients ask here. So there
//! is nothing to revalidate for those who ask for that. An answer that nobody asks for is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::local::{LocalAnswer, LocalRequest};
use lictor_model::prepared::NEAR_ADDRESS;
use lictor_model::query::{CacheControl, Cached, Consistency, Meta, Query, ReadOptions, Reply};
use lictor_model::seam::{Backend, ByteStream, Content, Saved, StreamRequest};
use lictor_model::{Code, Error, RaftIndex, Result, Token};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many answers are kept; beyond that, requests go to a server.
const MAX_ENTRIES: usize = 1024;
/// How long an answer is kept that nobody asks for.
const UNUSED: Duration = Duration::from_secs(20 * 60);
/// How long one read of the refreshing task waits for a change.
const REFRESH_WAIT: Duration = Duration::from_secs(300);
/// How long the first answer may take.
const FIRST_ANSWER: Duration = Duration::from_secs(30);
/// How long to wait after a read that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a blocking request waits if it does not say, and at the most.
const DEFAULT_WAIT: Duration = Duration::from_secs(300);

/// A backend that answers from what it has kept where the request allows it.
pub(crate) struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Arc<dyn Backend>,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Entry {
    kept: watch::Receiver<Kept>,
    last_used: Mutex<Instant>,
}

/// What is known of one question.
#[derive(Clone, Default)]
struct Kept {
    reply: Option<Reply>,
    /// Since when servers do not tell of changes.
    lost: Option<Instant>,
    error: Option<Error>,
}

impl Kept {
    fn age(&self) -> Duration {
        self.lost.map(|lost| lost.elapsed()).unwrap_or_default()
    }
}

impl Cache {
    pub(crate) fn new(backend: Arc<dyn Backend>, stop: CancellationToken) -> Self {
        let tasks = TaskTracker::new();
        Self { shared: Arc::new(Shared { backend, entries: Mutex::default(), tasks, stop }) }
    }

    /// Ends the tasks that keep answers fresh, once `stop` is cancelled.
    pub(crate) async fn shutdown(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    async fn cached(&self, query: Query, options: ReadOptions, control: CacheControl) -> Result<Reply> {
        let Some(query) = shareable(query.clone()) else { return self.fresh(query, options).await };
        let Some((entry, is_new)) = self.shared.entry(&query, &options) else {
            return self.fresh(query, options).await;
        };
        let kept = entry.kept.borrow().clone();
        let age = kept.age();
        let is_too_old = control.max_age.is_some_and(|most| !most.is_zero() && age > most);
        if !is_new && is_too_old {
            let consistency = options.consistency;
            return match (self.fresh(query, options).await, kept.reply) {
                (Err(_), Some(reply)) if control.stale_if_error.is_some_and(|most| age <= most) => {
                    Ok(marked(reply, consistency, Cached::Hit { age }))
                }
                (fresh, _) => fresh,
            };
        }
        let wait =
            if options.is_blocking() { options.max_wait.unwrap_or(DEFAULT_WAIT) } else { FIRST_ANSWER };
        let kept = entry.wait_for(options.min_index, wait).await?;
        let cached = if is_new { Cached::Miss } else { Cached::Hit { age: kept.age() } };
        match (kept.reply, kept.error) {
            (Some(reply), _) => Ok(marked(reply, options.consistency, cached)),
            (None, Some(error)) => Err(error),
            (None, None) => Err(Error::no_leader()),
        }
    }

    async fn fresh(&self, query: Query, options: ReadOptions) -> Result<Reply> {
        let consistency = options.consistency;
        let reply = self.shared.backend.read(query, options).await?;
        Ok(marked(reply, consistency, Cached::Miss))
    }
}

/// The question as all clients ask it, if there is such: what is kept is for all of them. From where a
/// prepared query is asked matters to those alone who want what is near their address.
fn shareable(mut query: Query) -> Option<Query> {
    if let Query::ExecutePrepared(execution) = &mut query {
        if execution.near == NEAR_ADDRESS {
            return None;
        }
        execution.from = None;
    }
    Some(query)
}

/// An answer for somebody who asked with this consistency: what is kept is the same for all.
fn marked(reply: Reply, consistency: Consistency, cached: Cached) -> Reply {
    Reply { meta: Meta { consistency, cached: Some(cached), ..reply.meta }, answer: reply.answer }
}

impl Entry {
    /// Waits for an answer whose index has passed the given one; after `wait` whatever there is.
    async fn wait_for(&self, min_index: RaftIndex, wait: Duration) -> Result<Kept> {
        let mut kept = self.kept.clone();
        let passed = |kept: &Kept| match &kept.reply {
            Some(reply) => reply.meta.index > min_index,
            None => kept.error.is_some(),
        };
        let found = match tokio::time::timeout(wait, kept.wait_for(passed)).await {
            Ok(found) => found.map_err(|_| Error::stopping())?.clone(),
            Err(_) => self.kept.borrow().clone(),
        };
        Ok(found)
    }

    fn touch(&self) {
        *self.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_unused(&self) -> bool {
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > UNUSED
    }
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry for a question, and whether it was made just now; none if there are too many.
    fn entry(self: &Arc<Self>, query: &Query, options: &ReadOptions) -> Option<(Arc<Entry>, bool)> {
        let key =
            format!("{:?} {:?} {:?} {query:?}", options.datacenter, options.token.secret(), options.near);
        let mut entries = self.entries();
        if let Some(entry) = entries.get(&key) {
            entry.touch();
            return Some((Arc::clone(entry), false));
        }
        if entries.len() >= MAX_ENTRIES {
            return None;
        }
        let (publish, kept) = watch::channel(Kept::default());
        let entry = Arc::new(Entry { kept, last_used: Mutex::new(Instant::now()) });
        entries.insert(key.clone(), Arc::clone(&entry));
        drop(entries);
        let options = ReadOptions {
            min_index: RaftIndex::default(),
            max_wait: Some(REFRESH_WAIT),
            cache: None,
            ..options.clone()
        };
        let (shared, query, kept) = (Arc::clone(self), query.clone(), Arc::clone(&entry));
        self.tasks.spawn(async move {
            shared.stop.clone().run_until_cancelled(shared.refresh(&kept, query, options, &publish)).await;
            shared.entries().remove(&key);
        });
        Some((entry, true))
    }

    /// Keeps an answer fresh until nobody asks for it any more, or it never came.
    async fn refresh(
        &self,
        entry: &Entry,
        query: Query,
        mut options: ReadOptions,
        publish: &watch::Sender<Kept>,
    ) {
        while !entry.is_unused() {
            match self.backend.read(query.clone(), options.clone()).await {
                Ok(reply) => {
                    options.min_index = reply.meta.index;
                    publish.send_replace(Kept { reply: Some(reply), ..Kept::default() });
                }
                Err(error) => {
                    publish.send_modify(|kept| {
                        if error.code == Code::NotFound {
                            kept.reply = None;
                        }
                        kept.lost.get_or_insert_with(Instant::now);
                        kept.error = Some(error);
                    });
                    if publish.borrow().reply.is_none() {
                        return;
                    }
                    // What is asked for next time is whatever there is then.
                    options.min_index = RaftIndex::default();
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }
}

#[async_trait]
impl Backend for Cache {
    async fn read(&self, query: Query, mut options: ReadOptions) -> Result<Reply> {
        match options.cache.take() {
            Some(control) => self.cached(query, options, control).await,
            None => self.shared.backend.read(query, options).await,
        }
    }

    async fn write(&self, command: Command, options: WriteOptions) -> Result<Outcome> {
        self.shared.backend.write(command, options).await
    }

    async fn agent(&self, request: LocalRequest, token: Token) -> Result<LocalAnswer> {
        self.shared.backend.agent(request, token).await
    }

    async fn save(&self, options: ReadOptions) -> Result<Saved> {
        self.shared.backend.save(options).await
    }

    async fn restore(&self, content: Content, options: WriteOptions) -> Result<()> {
        self.shared.backend.restore(content, options).await
    }

    async fn stream(&self, request: StreamRequest, token: Token) -> Result<ByteStream> {
        self.shared.backend.stream(request, token).await
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use lictor_model::prepared::Execution;

    use super::*;

    fn asked(from: [u8; 4], near: &str) -> Query {
        let from = Some(IpAddr::from(from));
        let near = near.to_owned();
        Query::ExecutePrepared(Box::new(Execution {
            name: "q".to_owned(),
            near,
            from,
            ..Execution::default()
        }))
    }

    #[test]
    fn an_answer_is_kept_once_from_wherever_it_is_asked() {
        let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(|from| shareable(asked(from, "_agent")));
        assert!(one.is_some());
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        assert_ne!(format!("{one:?}"), format!("{:?}", shareable(asked([10, 0, 0, 1], "n1"))));
        // What depends on the address is for one client alone.
        assert!(shareable(asked([10, 0, 0, 1], NEAR_ADDRESS)).is_none());
    }
}
