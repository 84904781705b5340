//! `lictor:plugin/http`.

use wasmtime::Result;

use crate::bindings::http::{Host, Request, Response};
use crate::bindings::types::ProbeError;
use crate::state::RunState;
use crate::wire;

impl Host for RunState {
    async fn send(&mut self, request: Request) -> Result<Result<Response, ProbeError>> {
        // It is large, and wasmtime moves what it is given several times.
        Ok(Box::pin(wire::http::send(&self.leash, request)).await)
    }
}
