//! Reads, and the loop of those that wait.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use lictor_consensus::ProposeError;
use lictor_model::query::{Answer, Consistency, Meta, Query, ReadOptions, Reply};
use lictor_model::{Error, RaftIndex, Result};
use lictor_rpc::message::{self as rpc, Request};
use lictor_store::{Evaluation, Snapshot, eval, sort_by_distance};

use crate::place::{Attempt, Came, Place};
use crate::{Server, prepared, transaction};

/// Waits of many readers that started together end within this part of their wait of each other.
const JITTER_FRACTION: u32 = 16;

impl Server {
    /// Answers a question, here or through the leader; a blocking one once its answer's index has
    /// passed the given one.
    ///
    /// # Errors
    /// [`NoLeader`](lictor_model::Code::NoLeader) where the consistency asked for needs one and
    /// none is there in time, and what the evaluation refuses.
    pub async fn read(&self, query: Query, options: ReadOptions) -> Result<Reply> {
        self.check_datacenter(options.datacenter.as_ref())?;
        // The common case, without the apparatus of the others.
        if self.place_for(options.consistency) == Place::Here
            && let Attempt::Done(reply) = self.read_here(&query, &options).await?
        {
            return Ok(reply);
        }
        match self.carry_out(Came::Directly, Request::Read { query, options }).await? {
            rpc::Answer::Reply(reply) => Ok(reply),
            _ => Err(Error::mismatch()),
        }
    }

    /// Answers a question from this server's own state, if it may.
    pub(crate) async fn read_here(&self, query: &Query, options: &ReadOptions) -> Result<Attempt<Reply>> {
        let mut authorizer = self.resolver.resolve(&options.token);
        let prepared = match query {
            Query::Transaction(operations) => {
                let mut operations = operations.clone();
                if let Some(malformed) =
                    transaction::prepare(&mut operations, &authorizer, &self.settings.datacenter)
                {
                    let answer = Arc::new(Answer::Transaction(malformed));
                    return Ok(Attempt::Done(Reply { meta: Meta::default(), answer }));
                }
                Cow::Owned(Query::Transaction(operations))
            }
            query => Cow::Borrowed(query),
        };
        let query = prepared.as_ref();
        if !self.may_answer(options.consistency).await? {
            return Ok(Attempt::Elsewhere);
        }
        let restores = self.store.restores();
        let mut snapshot = self.store.snapshot();
        if let Query::ExecutePrepared(execution) = query
            && let Some(token) = snapshot.token_of_prepared(&execution.name)
        {
            authorizer = self.resolver.resolve(token);
        }
        let mut evaluation = eval(&snapshot, query, &authorizer)?;
        if !options.is_blocking() || evaluation.index > options.min_index {
            return Ok(Attempt::Done(self.reply(query, evaluation, &snapshot, options)));
        }
        let mut deadline = std::pin::pin!(tokio::time::sleep(self.wait_of(options)));
        loop {
            let waiting = self.store.watchers().register(evaluation.watches.clone());
            let newest = self.store.snapshot();
            // A state that came as a restored one may be seen before it is counted as such.
            if Arc::ptr_eq(&newest, &snapshot) && self.store.restores() == restores {
                tokio::select! {
                    () = waiting.changed() => {}
                    () = &mut deadline => return Ok(Attempt::Done(self.reply(query, evaluation, &snapshot, options))),
                    () = self.stop.cancelled() => return Err(Error::stopping()),
                }
            }
            snapshot = self.store.snapshot();
            evaluation = eval(&snapshot, query, &authorizer)?;
            // After a restore the index waited for may be long in coming, or never come.
            if evaluation.index > options.min_index || self.store.restores() != restores {
                if !self.may_answer(options.consistency).await? {
                    return Ok(Attempt::Elsewhere);
                }
                return Ok(Attempt::Done(self.reply(query, evaluation, &snapshot, options)));
            }
        }
    }

    /// Whether this server may answer with this consistency now.
    pub(crate) async fn may_answer(&self, consistency: Consistency) -> Result<bool> {
        if self.place_for(consistency) != Place::Here {
            return Ok(false);
        }
        if consistency != Consistency::Consistent {
            return Ok(true);
        }
        match self.consensus.linearize().await {
            Ok(_) => Ok(true),
            Err(ProposeError::NotLeader { .. } | ProposeError::Unavailable { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn reply(
        &self,
        query: &Query,
        mut evaluation: Evaluation,
        snapshot: &Snapshot,
        options: &ReadOptions,
    ) -> Reply {
        match (query, &mut evaluation.answer) {
            (Query::ExecutePrepared(execution), Answer::Executed(executed)) => {
                prepared::arrange(executed, execution, snapshot, &self.settings.datacenter);
            }
            (_, answer) => sort_by_distance(snapshot, &options.near, answer),
        }
        let meta = self.meta(evaluation.index, options.consistency);
        Reply { meta, answer: Arc::new(evaluation.answer) }
    }

    /// What is known of the freshness of what this server answers now.
    pub(crate) fn meta(&self, index: RaftIndex, consistency: Consistency) -> Meta {
        Meta {
            index,
            known_leader: consistency != Consistency::Stale || self.leader().is_some(),
            last_contact: match consistency {
                Consistency::Stale => self.consensus.last_contact().unwrap_or(Duration::MAX),
                _ => Duration::ZERO,
            },
            consistency,
            cached: None,
        }
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
