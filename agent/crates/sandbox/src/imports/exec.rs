//! `lictor:plugin/exec`.

use wasmtime::Result;

use crate::bindings::exec::{Host, Request, Response};
use crate::bindings::types::ProbeError;
use crate::state::RunState;
use crate::wire;

impl Host for RunState {
    async fn run(&mut self, request: Request) -> Result<Result<Response, ProbeError>> {
        Ok(wire::exec::run(&self.leash, request).await)
    }
}
