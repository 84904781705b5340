//! The built-in script check: runs a command and judges its exit status.
//!
//! 0 passes, 1 is a warning, everything else is critical, and so is a command that cannot be started
//! or does not end in time.

use lictor_plugin_sdk::{Ctx, Fault, ProbeError, Schema, Status, Verdict, check, exec};
use serde::Deserialize;

/// Runs a command; exit status 0 passes, 1 is a warning, anything else is critical.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The program and its arguments.
    args: Vec<String>,
    /// How many bytes of the output to show.
    #[serde(default)]
    #[schema(default = 4096)]
    output_max_size: Option<u32>,
}

const OUTPUT_MAX_SIZE: u32 = 4096;

/// Runs the check.
#[check(name = "script_check", summary = "judges the exit status of a command", needs("exec {config.args}"))]
pub fn script_check(ctx: &Ctx<'_>, config: Config) -> Result<Verdict, Fault> {
    let request = exec::Request {
        args: config.args,
        output_limit: config.output_max_size.filter(|size| *size > 0).unwrap_or(OUTPUT_MAX_SIZE),
        ..exec::Request::default()
    };
    match ctx.exec(&request) {
        Ok(response) => Ok(Verdict::new(judge(response.exit), text(&response)).with_metric(
            "duration",
            response.duration.as_secs_f64(),
            "s",
        )),
        Err(ProbeError::Target(fault)) => Ok(Verdict::critical(fault.message)),
        Err(error) => Err(error.into()),
    }
}

fn judge(exit: Option<i32>) -> Status {
    match exit {
        Some(0) => Status::Passing,
        Some(1) => Status::Warning,
        _ => Status::Critical,
    }
}

fn text(response: &exec::Response) -> String {
    let output = String::from_utf8_lossy(&response.output);
    let kept = response.output.len();
    if response.total > kept as u64 {
        format!("Captured {kept} of {} bytes\n...\n{output}", response.total)
    } else {
        output.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use lictor_plugin_sdk::Misbehaviour;
    use lictor_plugin_sdk::testing::MockHost;

    use super::*;

    fn run(exit: Option<i32>, output: &str, total: u64) -> Verdict {
        let response = exec::Response { exit, output: output.into(), total, ..exec::Response::default() };
        MockHost::new().answer_exec(Ok(response)).run_plugin::<Plugin>(r#"{"args":["x"]}"#).unwrap()
    }

    #[test]
    fn the_exit_status_decides() {
        assert_eq!(run(Some(0), "fine\n", 5).status, Status::Passing);
        assert_eq!(run(Some(1), "", 0).status, Status::Warning);
        assert_eq!(run(Some(2), "", 0).status, Status::Critical);
        assert_eq!(run(None, "", 0).status, Status::Critical);
    }

    #[test]
    fn the_output_is_the_summary_and_says_when_some_is_missing() {
        assert_eq!(run(Some(0), "fine\n", 5).summary, "fine\n");
        assert_eq!(run(Some(0), "9abcdef\n", 17).summary, "Captured 8 of 17 bytes\n...\n9abcdef\n");
    }

    #[test]
    fn a_command_that_does_not_end_is_critical() {
        let late = ProbeError::target(Misbehaviour::TimedOut, "Timed out (200ms) running check");
        let verdict =
            MockHost::new().answer_exec(Err(late)).run_plugin::<Plugin>(r#"{"args":["x"]}"#).unwrap();
        assert_eq!(
            (verdict.status, verdict.summary.as_str()),
            (Status::Critical, "Timed out (200ms) running check")
        );
    }
}
