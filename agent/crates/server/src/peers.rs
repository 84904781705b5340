//! What other agents ask of this server.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use lictor_model::{Error, Result};
use lictor_rpc::message::{self, Answer, Asked, CodecError};
use lictor_rpc::transfer::{self, Place as _, Step, Stepped};
use lictor_rpc::{Handler, Lane};

use crate::Server;
use crate::place::Came;

#[async_trait]
impl Handler for Server {
    async fn handle(&self, from: SocketAddr, lane: Lane, request: Bytes) -> Bytes {
        match lane {
            Lane::Bulk if transfer::is_step(&request) => {
                let stepped = match transfer::decode::<Step>(&request) {
                    Ok(step) => self.transfers.step(step).await,
                    Err(error) => Stepped::Failed(unreadable(from, &error)),
                };
                transfer::encode(&stepped).unwrap_or_default()
            }
            Lane::Consensus | Lane::Bulk => self.consensus.handle(&request).await,
            Lane::Queries => {
                let answer = match message::decode::<Asked>(&request) {
                    Ok(asked) => self.answer(asked).await.unwrap_or_else(Answer::Failed),
                    Err(error) => Answer::Failed(unreadable(from, &error)),
                };
                // Whoever asked takes an empty answer for none.
                message::encode(&answer).unwrap_or_default()
            }
        }
    }
}

impl Server {
    async fn answer(&self, Asked { request, forwarded }: Asked) -> Result<Answer> {
        self.check_datacenter(request.datacenter())?;
        self.carry_out(if forwarded { Came::Forwarded } else { Came::Directly }, request).await
    }
}

fn unreadable(from: SocketAddr, error: &CodecError) -> Error {
    tracing::debug!(%from, %error, "a request of another agent cannot be read");
    Error::invalid(format!("the request cannot be read: {error}"))
}
