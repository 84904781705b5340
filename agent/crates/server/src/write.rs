//! Writes.

use lictor_acl::{Authorizer, Resource};
use lictor_consensus::ProposeError;
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::{Error, Result, SessionId};
use lictor_rpc::message::{Answer, Request};

use crate::place::{Attempt, Came};
use crate::{Server, prepare, prepared, transaction};

impl Server {
    /// Carries out a command, here or through the leader: validated, agreed on, on disk and applied
    /// when this returns.
    ///
    /// # Errors
    /// [`NoLeader`](lictor_model::Code::NoLeader) if nobody can take it,
    /// [`Timeout`](lictor_model::Code::Timeout) if it is unknown whether it happened, and what is
    /// wrong with the command itself.
    pub async fn write(&self, command: Command, options: WriteOptions) -> Result<Outcome> {
        self.check_datacenter(options.datacenter.as_ref())?;
        match self.carry_out(Came::Directly, Request::Write { command, options }).await? {
            Answer::Outcome(outcome) => Ok(outcome),
            _ => Err(Error::mismatch()),
        }
    }

    /// Carries out what this server does unasked while it leads, on nobody's behalf.
    pub(crate) async fn write_own(&self, command: Command) -> Result<Outcome> {
        match self.write_here(&Authorizer::agent(), command).await? {
            Attempt::Done(outcome) => Ok(outcome),
            Attempt::Elsewhere => Err(Error::no_leader()),
        }
    }

    pub(crate) async fn write_here(
        &self,
        authorizer: &Authorizer,
        mut command: Command,
    ) -> Result<Attempt<Outcome>> {
        prepare::prepare(&mut command, authorizer, &self.settings)?;
        match &mut command {
            Command::EndSessions(ids) => self.may_end(ids, authorizer)?,
            Command::RenewSession(id) => {
                self.may_end(std::slice::from_ref(id), authorizer)?;
                return self.renew(id);
            }
            Command::Transaction(operations) => {
                if let Some(malformed) =
                    transaction::prepare(operations, authorizer, &self.settings.datacenter)
                {
                    return Ok(Attempt::Done(Outcome::Transaction(malformed)));
                }
            }
            Command::Prepared(change) => {
                prepared::prepare(change, authorizer, &self.store.snapshot())?;
            }
            _ => {}
        }
        match self.consensus.propose(command).await {
            Ok((_, outcome)) => Ok(Attempt::Done(outcome)),
            // Neither was proposed, so it may be tried again, and elsewhere.
            Err(ProposeError::NotLeader { .. } | ProposeError::Unavailable { .. }) => Ok(Attempt::Elsewhere),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the caller has a say over these sessions, as far as there are such.
    fn may_end(&self, ids: &[SessionId], authorizer: &Authorizer) -> Result<()> {
        let snapshot = self.store.snapshot();
        ids.iter()
            .filter_map(|id| snapshot.session(id))
            .try_for_each(|session| prepare::permit(authorizer, Resource::Session(session.node.as_str())))
    }
}
