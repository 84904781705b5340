//! What results mean for a status.

use lictor_model::check::Status;
use lictor_model::definition::{Thresholds, UnknownPolicy};
use lictor_model::probe::Finding;

/// A status that is to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The status; absent: whatever it was.
    pub status: Option<Status>,
    /// What to say about it.
    pub output: String,
}

/// Counts equal results in a row.
#[derive(Clone, Debug, Default)]
pub struct StatusMachine {
    thresholds: Thresholds,
    unknown_as: UnknownPolicy,
    successes: u32,
    failures: u32,
}

impl StatusMachine {
    /// A machine that has seen nothing yet.
    #[must_use]
    pub fn new(thresholds: Thresholds, unknown_as: UnknownPolicy) -> Self {
        Self { thresholds, unknown_as, successes: 0, failures: 0 }
    }

    /// What to report after a run; nothing while a threshold is not reached or the run was late.
    pub fn after(&mut self, finding: Finding) -> Option<Report> {
        match finding {
            Finding::Verdict(verdict) => {
                let output = match verdict.detail {
                    None => verdict.summary,
                    Some(detail) => format!("{} Output: {detail}", verdict.summary),
                };
                self.after_result(verdict.status, output)
            }
            Finding::Unknown { reason, message } => {
                let output = format!("unknown ({}): {message}", reason.as_str());
                match self.unknown_as {
                    UnknownPolicy::Critical => self.after_result(Status::Critical, output),
                    UnknownPolicy::Warning => self.after_result(Status::Warning, output),
                    UnknownPolicy::KeepLast => Some(Report { status: None, output }),
                }
            }
            Finding::Late => None,
        }
    }

    fn after_result(&mut self, status: Status, output: String) -> Option<Report> {
        if status == Status::Critical {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            if self.failures >= self.thresholds.failures_before_critical {
                return Some(Report { status: Some(Status::Critical), output });
            }
            if self.failures >= self.thresholds.failures_before_warning {
                return Some(Report { status: Some(Status::Warning), output });
            }
            return None;
        }
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        (self.successes >= self.thresholds.success_before_passing)
            .then_some(Report { status: Some(status), output })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_model::probe::{Blindness, Verdict};

    fn verdict(status: Status) -> Finding {
        Finding::Verdict(Verdict { status, summary: "s".to_owned(), ..Verdict::default() })
    }

    fn blind() -> Finding {
        Finding::Unknown { reason: Blindness::Limit, message: "memory".to_owned() }
    }

    fn status(report: Option<Report>) -> Option<Status> {
        report.and_then(|report| report.status)
    }

    #[test]
    fn thresholds_hold_a_status_back() {
        let thresholds =
            Thresholds { success_before_passing: 2, failures_before_warning: 2, failures_before_critical: 3 };
        let mut machine = StatusMachine::new(thresholds, UnknownPolicy::Critical);
        assert_eq!(status(machine.after(verdict(Status::Passing))), None);
        assert_eq!(status(machine.after(verdict(Status::Passing))), Some(Status::Passing));
        assert_eq!(status(machine.after(verdict(Status::Critical))), None);
        assert_eq!(status(machine.after(verdict(Status::Critical))), Some(Status::Warning));
        assert_eq!(status(machine.after(verdict(Status::Critical))), Some(Status::Critical));
        assert_eq!(status(machine.after(verdict(Status::Passing))), None);
        assert_eq!(machine.after(Finding::Late), None);
    }

    #[test]
    fn not_having_looked_follows_the_policy_and_names_the_reason() {
        for (policy, expected) in [
            (UnknownPolicy::Critical, Some(Status::Critical)),
            (UnknownPolicy::Warning, Some(Status::Warning)),
            (UnknownPolicy::KeepLast, None),
        ] {
            let mut machine = StatusMachine::new(Thresholds::default(), policy);
            let report = machine.after(blind()).unwrap();
            assert_eq!(report.status, expected);
            assert_eq!(report.output, "unknown (limit): memory");
        }
    }

    #[test]
    fn a_dead_target_is_critical_even_where_unknown_keeps_the_last_status() {
        let mut machine = StatusMachine::new(Thresholds::default(), UnknownPolicy::KeepLast);
        assert_eq!(status(machine.after(verdict(Status::Critical))), Some(Status::Critical));
    }
}
