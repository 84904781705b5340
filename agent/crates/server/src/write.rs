//! Writes.

use lictor_acl::{Authorizer, Resource};
use lictor_consensus::ProposeError;
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::{Error, Result, SessionId};

use crate::{Server, prepare, transaction};

impl Server {
    /// Carries out a command: validated, agreed on, on disk and applied when this returns.
    ///
    /// # Errors
    /// [`NoLeader`](lictor_model::Code::NoLeader) if nobody can take it,
    /// [`Timeout`](lictor_model::Code::Timeout) if it is unknown whether it happened, and what is
    /// wrong with the command itself.
    pub async fn write(&self, command: Command, options: WriteOptions) -> Result<Outcome> {
        self.check_datacenter(options.datacenter.as_ref())?;
        let authorizer = self.resolver.resolve(&options.token);
        self.write_as(&authorizer, command).await
    }

    /// The same for what this server does unasked, on nobody's behalf.
    pub(crate) async fn write_own(&self, command: Command) -> Result<Outcome> {
        self.write_as(&Authorizer::agent(), command).await
    }

    async fn write_as(&self, authorizer: &Authorizer, mut command: Command) -> Result<Outcome> {
        prepare::prepare(&mut command, authorizer, &self.settings)?;
        match &mut command {
            Command::EndSessions(ids) => self.may_end(ids, authorizer)?,
            Command::RenewSession(id) => {
                self.until_established().await?;
                self.may_end(std::slice::from_ref(id), authorizer)?;
                return self.renew(id);
            }
            Command::Transaction(operations) => {
                if let Some(malformed) =
                    transaction::prepare(operations, authorizer, &self.settings.datacenter)
                {
                    return Ok(Outcome::Transaction(malformed));
                }
            }
            _ => {}
        }
        // What is refused for want of a leader was not proposed, so it may be tried again.
        match self.consensus.propose(command.clone()).await {
            Err(ProposeError::NotLeader { .. }) => self.until_established().await?,
            result => return result.map(|(_, outcome)| outcome).map_err(Error::from),
        }
        let result = self.consensus.propose(command).await;
        result.map(|(_, outcome)| outcome).map_err(Error::from)
    }

    /// Whether the caller has a say over these sessions, as far as there are such.
    fn may_end(&self, ids: &[SessionId], authorizer: &Authorizer) -> Result<()> {
        let snapshot = self.store.snapshot();
        ids.iter()
            .filter_map(|id| snapshot.session(id))
            .try_for_each(|session| prepare::permit(authorizer, Resource::Session(session.node.as_str())))
    }
}
