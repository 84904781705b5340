//! Writes.

use lictor_consensus::ProposeError;
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::{Error, Result};

use crate::{Server, prepare, transaction};

impl Server {
    /// Carries out a command: validated, agreed on, on disk and applied when this returns.
    ///
    /// # Errors
    /// [`NoLeader`](lictor_model::Code::NoLeader) if nobody can take it,
    /// [`Timeout`](lictor_model::Code::Timeout) if it is unknown whether it happened, and what is
    /// wrong with the command itself.
    pub async fn write(&self, mut command: Command, options: WriteOptions) -> Result<Outcome> {
        self.check_datacenter(options.datacenter.as_ref())?;
        let authorizer = self.resolver.resolve(&options.token);
        prepare::prepare(&mut command, &authorizer, &self.settings)?;
        match &mut command {
            Command::RenewSession(id) => {
                self.until_established().await?;
                return self.renew(id);
            }
            Command::Transaction(operations) => {
                if let Some(malformed) =
                    transaction::prepare(operations, &authorizer, &self.settings.datacenter)
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
}
