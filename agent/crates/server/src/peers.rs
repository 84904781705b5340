//! What other agents ask of this server.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use lictor_model::{Error, Result};
use lictor_rpc::message::{self, Answer, Asked, Request};
use lictor_rpc::{Handler, Lane};

use crate::Server;
use crate::place::Came;

#[async_trait]
impl Handler for Server {
    async fn handle(&self, from: SocketAddr, lane: Lane, request: Bytes) -> Bytes {
        match lane {
            Lane::Consensus | Lane::Bulk => self.consensus.handle(&request).await,
            Lane::Queries => {
                let answer = match message::decode::<Asked>(&request) {
                    Ok(asked) => self.answer(asked).await.unwrap_or_else(Answer::Failed),
                    Err(error) => {
                        tracing::debug!(%from, %error, "a request of another agent cannot be read");
                        Answer::Failed(Error::invalid(format!("the request cannot be read: {error}")))
                    }
                };
                // Whoever asked takes an empty answer for none.
                message::encode(&answer).unwrap_or_default()
            }
        }
    }
}

impl Server {
    async fn answer(&self, Asked { request, forwarded }: Asked) -> Result<Answer> {
        let datacenter = match &request {
            Request::Read { options, .. } => &options.datacenter,
            Request::Write { options, .. } => &options.datacenter,
            Request::Servers { options, .. } => &options.datacenter,
        };
        self.check_datacenter(datacenter.as_ref())?;
        self.carry_out(if forwarded { Came::Forwarded } else { Came::Directly }, request).await
    }
}
