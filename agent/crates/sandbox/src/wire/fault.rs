//! Whose fault a failed operation is.
//!
//! Refused, reset, timed out, unreachable: the target's. Out of descriptors, memory or ports: ours,
//! and no news about the target. The texts are those that existing tools print.

use std::io::{self, ErrorKind};

use crate::bindings::types::{Misbehaviour, ProbeError, TargetFault};

/// A fault of the target.
pub(crate) fn target(kind: Misbehaviour, message: impl Into<String>) -> ProbeError {
    ProbeError::Target(TargetFault { kind, message: message.into() })
}

/// Linux numbers for what this machine, not the target, has run out of: file descriptors (of the
/// process, of the system), memory, buffers, local addresses.
const OURS: [i32; 5] = [24, 23, 12, 105, 99];

/// The failure as one of this machine, if it is.
pub(crate) fn local_failure(error: &io::Error) -> Option<ProbeError> {
    let number = error.raw_os_error()?;
    OURS.contains(&number).then(|| ProbeError::Unavailable(format!("the agent's machine: {error}")))
}

/// What a failed connection, read or write says about the target.
pub(crate) fn target_fault(error: &io::Error) -> ProbeError {
    if let Some(ours) = local_failure(error) {
        return ours;
    }
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return target(Misbehaviour::Tls, format!("tls: {inner}"));
    }
    let (kind, text) = match error.kind() {
        ErrorKind::ConnectionRefused => (Misbehaviour::Refused, "connection refused"),
        ErrorKind::ConnectionReset => (Misbehaviour::Reset, "connection reset by peer"),
        ErrorKind::BrokenPipe => (Misbehaviour::Reset, "broken pipe"),
        ErrorKind::ConnectionAborted => (Misbehaviour::Reset, "connection aborted"),
        ErrorKind::UnexpectedEof => (Misbehaviour::Closed, "unexpected EOF"),
        ErrorKind::TimedOut => (Misbehaviour::TimedOut, "i/o timeout"),
        ErrorKind::HostUnreachable => (Misbehaviour::Unreachable, "no route to host"),
        ErrorKind::NetworkUnreachable => (Misbehaviour::Unreachable, "network is unreachable"),
        _ => return target(Misbehaviour::Other("io".to_owned()), error.to_string()),
    };
    target(kind, text)
}

/// The same for a failure inside HTTP/2.
pub(crate) fn http2_fault(error: &h2::Error) -> ProbeError {
    match error.get_io() {
        Some(io) => target_fault(io),
        None => target(Misbehaviour::Protocol, format!("http2: {error}")),
    }
}

/// The same for a failure inside HTTP.
pub(crate) fn http_fault(error: &hyper::Error) -> ProbeError {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(h2) = cause.downcast_ref::<h2::Error>() {
            return http2_fault(h2);
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return target_fault(io);
        }
        source = cause.source();
    }
    if error.is_incomplete_message() {
        return target(Misbehaviour::Closed, "EOF");
    }
    target(Misbehaviour::Protocol, format!("malformed HTTP response: {error}"))
}
