//! `lictor:plugin/http2`.

use wasmtime::Result;

use crate::bindings::http2::{Host, Request, Response};
use crate::bindings::types::ProbeError;
use crate::state::RunState;
use crate::wire;

impl Host for RunState {
    async fn ping(&mut self, request: Request) -> Result<Result<Response, ProbeError>> {
        Ok(wire::http2::ping(&self.leash, request).await)
    }
}
