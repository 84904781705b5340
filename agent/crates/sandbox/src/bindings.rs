//! The host's side of the WIT package, generated from it.

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::use_self,
    clippy::needless_pass_by_value,
    clippy::manual_let_else,
    clippy::semicolon_if_nothing_returned,
    reason = "generated"
)]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../../wit/v1",
        world: "health-check",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

pub(crate) use generated::lictor::plugin::{dns, exec, http, http2, log, tcp, tls, types, udp};
pub(crate) use generated::{HealthCheck, HealthCheckPre};

/// The world of health checks.
pub(crate) const WORLD: &str = "lictor:plugin/health-check@1";
/// The name under which a health check exports what the host calls, whatever its minor version.
pub(crate) const CHECKER: &str = "lictor:plugin/checker@1.";
/// The same of an event handler.
pub(crate) const HANDLER: &str = "lictor:plugin/handler@1.";
