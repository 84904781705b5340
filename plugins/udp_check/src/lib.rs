//! The built-in UDP check: sends an empty datagram and passes unless the other side objects.

use lictor_plugin_sdk::{Ctx, Fault, Misbehaviour, ProbeError, Schema, Verdict, check, udp};
use serde::Deserialize;

/// Sends a datagram to a host and port.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The host and port to send to.
    #[schema(min_length = 1)]
    address: String,
}

/// Runs the check.
#[check(
    name = "udp_check",
    summary = "passes while nobody objects to a datagram",
    needs("udp {config.address}")
)]
pub fn udp_check(ctx: &Ctx<'_>, config: Config) -> Result<Verdict, Fault> {
    let address = config.address;
    let request = udp::Request { address: address.clone(), read_limit: 1, ..udp::Request::default() };
    match ctx.udp(&request) {
        Ok(_) => Ok(Verdict::passing(format!("UDP connect {address}: Success"))),
        Err(ProbeError::Target(fault)) if fault.kind == Misbehaviour::NameNotFound => {
            Ok(Verdict::critical(format!("dial udp: {}", fault.message)))
        }
        Err(ProbeError::Target(fault)) => {
            Ok(Verdict::critical(format!("read udp {address}: {}", fault.message)))
        }
        Err(ProbeError::Invalid(message)) => Ok(Verdict::critical(format!("dial udp: {message}"))),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use lictor_plugin_sdk::Status;
    use lictor_plugin_sdk::testing::MockHost;

    use super::*;

    #[test]
    fn silence_passes_and_an_objection_is_critical() {
        let config = r#"{"address":"127.0.0.1:53"}"#;
        let host = MockHost::new().answer_udp(Ok(udp::Response::default()));
        let verdict = host.run_plugin::<Plugin>(config).unwrap();
        assert_eq!(
            (verdict.status, verdict.summary.as_str()),
            (Status::Passing, "UDP connect 127.0.0.1:53: Success")
        );
        let refused = ProbeError::target(Misbehaviour::Refused, "connection refused");
        let verdict = MockHost::new().answer_udp(Err(refused)).run_plugin::<Plugin>(config).unwrap();
        assert_eq!(verdict.status, Status::Critical);
    }
}
