//! Reads, and the loop of those that wait.

use std::sync::Arc;
use std::time::Duration;

use lictor_model::query::{Answer, Consistency, Meta, Query, ReadOptions, Reply};
use lictor_model::{Error, Result};
use lictor_store::{Evaluation, eval};

use crate::{Server, transaction};

/// Waits of many readers that started together end within this part of their wait of each other.
const JITTER_FRACTION: u32 = 16;

impl Server {
    /// Answers a question; a blocking one once its answer's index has passed the given one.
    ///
    /// # Errors
    /// [`NoLeader`](lictor_model::Code::NoLeader) where the consistency asked for needs one and
    /// none is there in time, and what the evaluation refuses.
    pub async fn read(&self, mut query: Query, options: ReadOptions) -> Result<Reply> {
        self.check_datacenter(options.datacenter.as_ref())?;
        let authorizer = self.resolver.resolve(&options.token);
        if let Query::Transaction(operations) = &mut query
            && let Some(malformed) = transaction::prepare(operations, &authorizer, &self.settings.datacenter)
        {
            return Ok(Reply { meta: Meta::default(), answer: Arc::new(Answer::Transaction(malformed)) });
        }
        self.may_answer(options.consistency).await?;
        let mut snapshot = self.store.snapshot();
        let mut evaluation = eval(&snapshot, &query, &authorizer)?;
        if !options.is_blocking() || evaluation.index > options.min_index {
            return Ok(self.reply(evaluation, options.consistency));
        }
        let mut deadline = std::pin::pin!(tokio::time::sleep(self.wait_of(&options)));
        loop {
            let waiting = self.store.watchers().register(evaluation.watches.clone());
            let newest = self.store.snapshot();
            if Arc::ptr_eq(&newest, &snapshot) {
                tokio::select! {
                    () = waiting.changed() => {}
                    () = &mut deadline => return Ok(self.reply(evaluation, options.consistency)),
                    () = self.stop.cancelled() => return Err(Error::stopping()),
                }
            }
            snapshot = self.store.snapshot();
            evaluation = eval(&snapshot, &query, &authorizer)?;
            if evaluation.index > options.min_index {
                self.may_answer(options.consistency).await?;
                return Ok(self.reply(evaluation, options.consistency));
            }
        }
    }

    /// Makes sure that this server may answer with this consistency now.
    async fn may_answer(&self, consistency: Consistency) -> Result<()> {
        match consistency {
            Consistency::Stale => Ok(()),
            Consistency::Default if self.consensus.lease_is_valid() => Ok(()),
            Consistency::Default => self.until_established().await,
            Consistency::Consistent => {
                if !self.consensus.lease_is_valid() {
                    self.until_established().await?;
                }
                self.consensus.linearize().await.map(drop).map_err(Error::from)
            }
        }
    }

    fn reply(&self, evaluation: Evaluation, consistency: Consistency) -> Reply {
        let meta = Meta {
            index: evaluation.index,
            known_leader: consistency != Consistency::Stale || self.consensus.leader().is_some(),
            last_contact: match consistency {
                Consistency::Stale => self.consensus.last_contact().unwrap_or(Duration::MAX),
                _ => Duration::ZERO,
            },
            consistency,
        };
        Reply { meta, answer: Arc::new(evaluation.answer) }
    }

    /// How long a blocking query waits: what it asks for, within bounds, and a little more so
    /// that those who asked together do not all come back together.
    fn wait_of(&self, options: &ReadOptions) -> Duration {
        let wait = match options.max_wait {
            // No time at all is how clients say that they have none to ask for.
            None | Some(Duration::ZERO) => self.settings.default_query_time,
            Some(wait) => wait.min(self.settings.max_query_time),
        };
        wait + lictor_sys::random::jitter(wait / JITTER_FRACTION)
    }
}
