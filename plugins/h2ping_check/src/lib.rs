//! The built-in HTTP/2 check: passes while a server answers pings.

use lictor_plugin_sdk::{Ctx, Fault, ProbeError, Schema, TlsOptions, Verdict, check, http2};
use serde::Deserialize;

/// Connects to a host and port and sends an HTTP/2 ping.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The host and port to connect to.
    #[schema(min_length = 1)]
    address: String,
    /// Speak TLS.
    #[serde(default = "yes")]
    #[schema(default = true)]
    tls: bool,
    /// Accept any certificate.
    #[serde(default)]
    #[schema(default = false)]
    tls_skip_verify: bool,
    /// The name to expect in the server's certificate.
    #[serde(default)]
    tls_server_name: String,
}

fn yes() -> bool {
    true
}

/// Runs the check.
#[check(
    name = "h2ping_check",
    summary = "passes while an HTTP/2 server answers pings",
    needs("http http://{config.address}/")
)]
pub fn h2ping_check(ctx: &Ctx<'_>, config: Config) -> Result<Verdict, Fault> {
    let scheme = if config.tls { "https" } else { "http" };
    let request = http2::Request {
        url: format!("{scheme}://{}/", config.address),
        tls: TlsOptions {
            verify: !config.tls_skip_verify,
            server_name: (!config.tls_server_name.is_empty()).then_some(config.tls_server_name),
        },
        timeout: None,
    };
    let no_dial = |why: &str| Verdict::critical(format!("Failed to dial to {}: {why}", config.address));
    match ctx.http2(&request) {
        Ok(http2::Response { failure: None, timings, .. }) => Ok(Verdict::passing(
            "HTTP2 ping was successful",
        )
        .with_metric("ping-time", timings.first_byte.as_secs_f64(), "s")),
        Ok(http2::Response { failure: Some(fault), .. }) => {
            Ok(Verdict::critical(format!("HTTP2 ping failed: {}", fault.message)))
        }
        Err(ProbeError::Target(fault)) => Ok(no_dial(&fault.while_dialing(&config.address))),
        Err(ProbeError::Invalid(message)) => Ok(no_dial(&message)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use lictor_plugin_sdk::testing::MockHost;
    use lictor_plugin_sdk::{Misbehaviour, Status, TargetFault};

    use super::*;

    const CONFIG: &str = r#"{"address":"127.0.0.1:80"}"#;

    fn answering(failure: Option<TargetFault>) -> MockHost {
        MockHost::new().answer_http2(Ok(http2::Response { failure, ..http2::Response::default() }))
    }

    #[test]
    fn tls_is_spoken_unless_it_is_turned_off() {
        let host = answering(None);
        let verdict = host.run_plugin::<Plugin>(CONFIG).unwrap();
        assert_eq!((verdict.status, &*verdict.summary), (Status::Passing, "HTTP2 ping was successful"));
        assert_eq!(host.http2_requests()[0].url, "https://127.0.0.1:80/");
        let host = answering(None);
        host.run_plugin::<Plugin>(r#"{"address":"h:1","tls":false}"#).unwrap();
        assert_eq!(host.http2_requests()[0].url, "http://h:1/");
    }

    #[test]
    fn a_failed_connection_is_told_from_a_failed_ping() {
        let refused = ProbeError::target(Misbehaviour::Refused, "connection refused");
        let verdict = MockHost::new().answer_http2(Err(refused)).run_plugin::<Plugin>(CONFIG).unwrap();
        assert_eq!(
            verdict.summary,
            "Failed to dial to 127.0.0.1:80: dial tcp 127.0.0.1:80: connect: connection refused"
        );
        let silent = TargetFault { kind: Misbehaviour::Closed, message: "EOF".into() };
        let verdict = answering(Some(silent)).run_plugin::<Plugin>(CONFIG).unwrap();
        assert_eq!((verdict.status, &*verdict.summary), (Status::Critical, "HTTP2 ping failed: EOF"));
    }
}
