//! The built-in TCP check: passes while a connection can be made.

use lictor_plugin_sdk::{Ctx, Fault, ProbeError, Schema, TlsOptions, Verdict, check, tcp};
use serde::Deserialize;

/// Connects to a host and port.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The host and port to connect to.
    #[schema(min_length = 1)]
    address: String,
    /// Make a TLS handshake after connecting.
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

/// Runs the check.
#[check(name = "tcp_check", summary = "passes while a connection can be made", needs("tcp {config.address}"))]
pub fn tcp_check(ctx: &Ctx<'_>, config: Config) -> Result<Verdict, Fault> {
    let request = tcp::Request {
        tls: config.tls.then(|| TlsOptions {
            verify: !config.tls_skip_verify,
            server_name: (!config.tls_server_name.is_empty()).then(|| config.tls_server_name.clone()),
        }),
        ..tcp::Request::to(&config.address)
    };
    match ctx.tcp(&request) {
        Ok(response) => Ok(Verdict::passing(format!("TCP connect {}: Success", config.address)).with_metric(
            "connect-time",
            response.timings.connect.as_secs_f64(),
            "s",
        )),
        Err(ProbeError::Target(fault)) => Ok(Verdict::critical(fault.while_dialing(&config.address))),
        Err(ProbeError::Invalid(message)) => Ok(Verdict::critical(format!("dial tcp: {message}"))),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use lictor_plugin_sdk::testing::MockHost;
    use lictor_plugin_sdk::{Misbehaviour, Status};

    use super::*;

    const CONFIG: &str = r#"{"address":"127.0.0.1:80"}"#;

    #[test]
    fn a_connection_passes() {
        let host = MockHost::new().answer_tcp(Ok(tcp::Response::default()));
        let verdict = host.run_plugin::<Plugin>(CONFIG).unwrap();
        assert_eq!(verdict.status, Status::Passing);
        assert_eq!(verdict.summary, "TCP connect 127.0.0.1:80: Success");
        assert_eq!(host.tcp_requests(), [tcp::Request::to("127.0.0.1:80")]);
    }

    #[test]
    fn a_refusal_is_critical() {
        let refused = ProbeError::target(Misbehaviour::Refused, "connection refused");
        let verdict = MockHost::new().answer_tcp(Err(refused)).run_plugin::<Plugin>(CONFIG).unwrap();
        assert_eq!(verdict.status, Status::Critical);
        assert_eq!(verdict.summary, "dial tcp 127.0.0.1:80: connect: connection refused");
    }

    #[test]
    fn a_closed_door_is_a_fault() {
        let denied = MockHost::new().answer_tcp(Err(ProbeError::Denied("no".into())));
        assert_eq!(denied.run_plugin::<Plugin>(CONFIG), Err(Fault::Denied("no".into())));
    }

    #[test]
    fn tls_is_spoken_when_asked_for() {
        let host = MockHost::new().answer_tcp(Ok(tcp::Response::default()));
        let config = r#"{"address":"h:1","tls":true,"tls_server_name":"n"}"#;
        host.run_plugin::<Plugin>(config).unwrap();
        let expected = TlsOptions { verify: true, server_name: Some("n".into()) };
        assert_eq!(host.tcp_requests()[0].tls, Some(expected));
    }
}
