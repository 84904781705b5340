//! What a plugin comes to: a verdict about its target, or a fault of its own.

use crate::probe::{ProbeError, TargetFault};

/// How a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Passing,
    /// It works, but somebody should look.
    Warning,
    /// It does not work.
    Critical,
}

/// What a check found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How the target is.
    pub status: Status,
    /// One line for people.
    pub summary: String,
    /// More of it, such as a response body; an empty detail is not the same as none.
    pub detail: Option<String>,
    /// What was measured.
    pub metrics: Vec<Metric>,
}

/// A figure that a check measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// What it is, such as `response-time`.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In which unit, such as `s` or `bytes`; empty for plain numbers.
    pub unit: String,
    /// From where on it is worth a warning.
    pub warning: Option<f64>,
    /// From where on it is critical.
    pub critical: Option<f64>,
}

impl Verdict {
    /// A verdict of the given status.
    pub fn new(status: Status, summary: impl Into<String>) -> Self {
        Self { status, summary: summary.into(), detail: None, metrics: Vec::new() }
    }

    /// The target works.
    pub fn passing(summary: impl Into<String>) -> Self {
        Self::new(Status::Passing, summary)
    }

    /// The target works, but somebody should look.
    pub fn warning(summary: impl Into<String>) -> Self {
        Self::new(Status::Warning, summary)
    }

    /// The target does not work.
    pub fn critical(summary: impl Into<String>) -> Self {
        Self::new(Status::Critical, summary)
    }

    /// With a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With a figure that has no thresholds.
    #[must_use]
    pub fn with_metric(mut self, name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        self.metrics.push(Metric {
            name: name.into(),
            value,
            unit: unit.into(),
            warning: None,
            critical: None,
        });
        self
    }
}

/// Why a check has no verdict of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The target is at fault. Not a fault of the plugin: it becomes a critical verdict, so that
    /// `?` on a probe never hides a broken target.
    Target(TargetFault),
    /// The host refused something that is not granted.
    Denied(String),
    /// A limit was reached.
    Limit(String),
    /// The configuration makes no sense; the text names the field.
    InvalidConfig(String),
    /// Something the plugin itself depends on is not there.
    Unavailable(String),
    /// Anything else.
    Other(String),
}

impl From<ProbeError> for Fault {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Target(fault) => Self::Target(fault),
            ProbeError::Denied(text) => Self::Denied(text),
            ProbeError::Limit(text) => Self::Limit(text),
            ProbeError::Invalid(text) => Self::InvalidConfig(text),
            ProbeError::Unavailable(text) => Self::Unavailable(text),
            ProbeError::Other(text) => Self::Other(text),
        }
    }
}

/// Turns faults of the target into the critical verdicts they are.
pub(crate) fn settle(result: Result<Verdict, Fault>) -> Result<Verdict, Fault> {
    match result {
        Err(Fault::Target(fault)) => Ok(Verdict::critical(fault.message)),
        other => other,
    }
}
