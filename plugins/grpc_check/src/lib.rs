//! The built-in gRPC check: asks a server's health service, as `grpc.health.v1` defines it.

mod message;
mod outcome;

use lictor_plugin_sdk::{Ctx, Fault, Misbehaviour, ProbeError, Schema, TlsOptions, Verdict, check, http};
use serde::Deserialize;

/// Asks a gRPC server for its health, or for that of one of its services.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The host and port to connect to.
    #[schema(min_length = 1)]
    address: String,
    /// The service to ask for; all of the server if empty.
    #[serde(default)]
    service: String,
    /// Speak TLS.
    #[serde(default)]
    #[schema(default = false)]
    tls: bool,
    /// Accept any certificate.
    #[serde(default)]
    #[schema(default = false)]
    tls_skip_verify: bool,
    /// The name to expect in the server's certificate.
    #[serde(default)]
    tls_server_name: String,
}

/// How much of an answer is kept: its one message has a few bytes.
const ANSWER: u32 = 4096;
const METHOD: &str = "/grpc.health.v1.Health/Check";

/// Runs the check.
#[check(
    name = "grpc_check",
    summary = "passes while a gRPC server says that it serves",
    needs("http http://{config.address}/")
)]
pub fn grpc_check(ctx: &Ctx<'_>, config: Config) -> Result<Verdict, Fault> {
    let target = match config.service.as_str() {
        "" => config.address.clone(),
        service => format!("{}/{service}", config.address),
    };
    match ctx.http(&request(&config)) {
        Ok(response) => {
            Ok(match outcome::of(&response) {
                Ok(message::SERVING) => Verdict::passing(format!("gRPC check {target}: success"))
                    .with_metric("response-time", response.timings.total.as_secs_f64(), "s"),
                Ok(status) => Verdict::critical(format!(
                    "gRPC {target} serving status: {}",
                    message::serving_status(status)
                )),
                Err(error) => Verdict::critical(error),
            })
        }
        Err(ProbeError::Target(fault)) => Ok(Verdict::critical(match fault.kind {
            Misbehaviour::TimedOut => outcome::error("DeadlineExceeded", "context deadline exceeded"),
            Misbehaviour::Tls => {
                no_connection(&format!("authentication handshake failed: {}", fault.message))
            }
            Misbehaviour::Protocol | Misbehaviour::Closed | Misbehaviour::Reset => {
                outcome::error("Unavailable", &format!("connection error: desc = {:?}", fault.message))
            }
            _ => no_connection(&format!("Error while dialing: {}", fault.while_dialing(&config.address))),
        })),
        Err(ProbeError::Invalid(message)) => Ok(Verdict::critical(no_connection(&message))),
        Err(error) => Err(error.into()),
    }
}

fn no_connection(why: &str) -> String {
    outcome::error("Unavailable", &format!("connection error: desc = {:?}", format!("transport: {why}")))
}

fn request(config: &Config) -> http::Request {
    let scheme = if config.tls { "https" } else { "http" };
    let mut request = http::Request::new("POST", format!("{scheme}://{}{METHOD}", config.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "Consul Health Check")
        .body(message::request(&config.service));
    request.version = http::Version::Http2;
    request.max_redirects = 0;
    request.body_limit = ANSWER;
    request.tls = TlsOptions {
        verify: !config.tls_skip_verify,
        server_name: (!config.tls_server_name.is_empty()).then(|| config.tls_server_name.clone()),
    };
    request
}

#[cfg(test)]
mod tests;
