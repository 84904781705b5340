//! `lictor:plugin/tls`: not offered yet; the refusal says so.

use wasmtime::Result;

use crate::bindings::tls::{Host, Request, Response};
use crate::bindings::types::ProbeError;
use crate::state::RunState;

impl Host for RunState {
    async fn inspect(&mut self, request: Request) -> Result<Result<Response, ProbeError>> {
        Ok(Err(ProbeError::Unavailable(format!(
            "this agent does not inspect certificates of {}",
            request.address
        ))))
    }
}
