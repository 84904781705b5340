//! `lictor:plugin/exec`: denied, because nothing grants it yet.

use wasmtime::Result;

use crate::bindings::exec::{Host, Request, Response};
use crate::bindings::types::ProbeError;
use crate::state::RunState;

impl Host for RunState {
    async fn run(&mut self, request: Request) -> Result<Result<Response, ProbeError>> {
        let program = request.args.first().map(String::as_str).unwrap_or_default();
        Ok(Err(ProbeError::Denied(format!("exec is not granted: {program}"))))
    }
}
