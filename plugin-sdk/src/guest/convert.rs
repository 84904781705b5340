//! Conversions between the bindings' types and the SDK's.

use std::time::Duration;

use super::event_world::exports::lictor::plugin::handler;
use super::wit::{self, types};
use crate::ctx::Level;
use crate::outcome::{Fault, Metric, Status, Verdict};
use crate::probe::{Misbehaviour, ProbeError, TargetFault, Timings, TlsOptions};
use crate::{Event, Target, dns, exec, http, http2, tcp, tls, udp};

fn millis(timeout: Option<Duration>) -> Option<u32> {
    timeout.map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
}

impl From<types::Target> for Target {
    fn from(target: types::Target) -> Self {
        Self {
            node: target.node,
            datacenter: target.datacenter,
            service_id: target.service_id,
            service_name: target.service_name,
            address: target.address,
            port: target.port,
            tags: target.tags,
            meta: target.meta.into_iter().collect(),
        }
    }
}

impl From<handler::Event> for Event {
    fn from(event: handler::Event) -> Self {
        Self {
            kind: event.kind,
            name: event.name,
            id: event.id,
            index: event.index,
            node: event.node,
            datacenter: event.datacenter,
            payload: event.payload,
            attributes: event.attributes,
        }
    }
}

impl From<Verdict> for types::Verdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            status: match verdict.status {
                Status::Passing => types::Status::Passing,
                Status::Warning => types::Status::Warning,
                Status::Critical => types::Status::Critical,
            },
            summary: verdict.summary,
            detail: verdict.detail,
            metrics: verdict.metrics.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Metric> for types::Metric {
    fn from(metric: Metric) -> Self {
        Self {
            name: metric.name,
            value: metric.value,
            unit: metric.unit,
            warning: metric.warning,
            critical: metric.critical,
        }
    }
}

impl From<Fault> for types::Fault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Denied(text) => Self::Denied(text),
            Fault::Limit(text) => Self::Limit(text),
            Fault::InvalidConfig(text) => Self::InvalidConfig(text),
            Fault::Unavailable(text) => Self::Unavailable(text),
            Fault::Target(TargetFault { message, .. }) => Self::Unavailable(message),
            Fault::Other(text) => Self::Other(text),
        }
    }
}

impl From<types::ProbeError> for ProbeError {
    fn from(error: types::ProbeError) -> Self {
        match error {
            types::ProbeError::Target(fault) => Self::Target(fault.into()),
            types::ProbeError::Denied(text) => Self::Denied(text),
            types::ProbeError::Limit(text) => Self::Limit(text),
            types::ProbeError::Invalid(text) => Self::Invalid(text),
            types::ProbeError::Unavailable(text) => Self::Unavailable(text),
            types::ProbeError::Other(text) => Self::Other(text),
        }
    }
}

impl From<types::TargetFault> for TargetFault {
    fn from(fault: types::TargetFault) -> Self {
        Self { kind: fault.kind.into(), message: fault.message }
    }
}

impl From<types::Misbehaviour> for Misbehaviour {
    fn from(kind: types::Misbehaviour) -> Self {
        match kind {
            types::Misbehaviour::Refused => Self::Refused,
            types::Misbehaviour::Reset => Self::Reset,
            types::Misbehaviour::Closed => Self::Closed,
            types::Misbehaviour::TimedOut => Self::TimedOut,
            types::Misbehaviour::Tls => Self::Tls,
            types::Misbehaviour::NameNotFound => Self::NameNotFound,
            types::Misbehaviour::Unreachable => Self::Unreachable,
            types::Misbehaviour::Protocol => Self::Protocol,
            types::Misbehaviour::Other(word) => Self::Other(word),
        }
    }
}

impl From<types::Timings> for Timings {
    fn from(timings: types::Timings) -> Self {
        Self {
            resolve: Duration::from_micros(timings.resolve),
            connect: Duration::from_micros(timings.connect),
            tls: Duration::from_micros(timings.tls),
            first_byte: Duration::from_micros(timings.first_byte),
            total: Duration::from_micros(timings.total),
        }
    }
}

impl From<&TlsOptions> for types::TlsOptions {
    fn from(options: &TlsOptions) -> Self {
        Self { verify: options.verify, server_name: options.server_name.clone() }
    }
}

impl From<Level> for wit::log::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

impl From<&http::Request> for wit::http::Request {
    fn from(request: &http::Request) -> Self {
        Self {
            version: match request.version {
                http::Version::Http1 => wit::http::Version::Http1,
                http::Version::Http2 => wit::http::Version::Http2,
            },
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            tls: (&request.tls).into(),
            max_redirects: request.max_redirects,
            body_limit: request.body_limit,
            body_end: match request.body_end {
                http::End::Head => wit::http::End::Head,
                http::End::Tail => wit::http::End::Tail,
            },
            timeout_ms: millis(request.timeout),
            options: Vec::new(),
        }
    }
}

impl From<wit::http::Response> for http::Response {
    fn from(response: wit::http::Response) -> Self {
        Self {
            status: response.status,
            reason: response.reason,
            headers: response.headers,
            body: response.body,
            trailers: response.trailers,
            truncated: response.truncated,
            url: response.url,
            peer: response.peer,
            timings: response.timings.into(),
        }
    }
}

impl From<&http2::Request> for wit::http2::Request {
    fn from(request: &http2::Request) -> Self {
        Self {
            url: request.url.clone(),
            tls: (&request.tls).into(),
            timeout_ms: millis(request.timeout),
            options: Vec::new(),
        }
    }
}

impl From<wit::http2::Response> for http2::Response {
    fn from(response: wit::http2::Response) -> Self {
        Self {
            failure: response.failure.map(Into::into),
            peer: response.peer,
            timings: response.timings.into(),
        }
    }
}

impl From<&tcp::Request> for wit::tcp::Request {
    fn from(request: &tcp::Request) -> Self {
        Self {
            address: request.address.clone(),
            tls: request.tls.as_ref().map(Into::into),
            send: request.send.clone(),
            expect: request.expect.clone(),
            read_limit: request.read_limit,
            timeout_ms: millis(request.timeout),
            options: Vec::new(),
        }
    }
}

impl From<wit::tcp::Response> for tcp::Response {
    fn from(response: wit::tcp::Response) -> Self {
        Self {
            received: response.received,
            matched: response.matched,
            peer: response.peer,
            timings: response.timings.into(),
        }
    }
}

impl From<&udp::Request> for wit::udp::Request {
    fn from(request: &udp::Request) -> Self {
        Self {
            address: request.address.clone(),
            send: request.send.clone(),
            reply: request.reply,
            read_limit: request.read_limit,
            timeout_ms: millis(request.timeout),
            options: Vec::new(),
        }
    }
}

impl From<wit::udp::Response> for udp::Response {
    fn from(response: wit::udp::Response) -> Self {
        Self { received: response.received, peer: response.peer, timings: response.timings.into() }
    }
}

impl From<&dns::Request> for wit::dns::Request {
    fn from(request: &dns::Request) -> Self {
        Self {
            name: request.name.clone(),
            record_type: request.record_type.clone(),
            server: request.server.clone(),
            timeout_ms: millis(request.timeout),
            options: Vec::new(),
        }
    }
}

impl From<wit::dns::Response> for dns::Response {
    fn from(response: wit::dns::Response) -> Self {
        Self { records: response.records, timings: response.timings.into() }
    }
}

impl From<&tls::Request> for wit::tls::Request {
    fn from(request: &tls::Request) -> Self {
        Self {
            address: request.address.clone(),
            tls: (&request.tls).into(),
            timeout_ms: millis(request.timeout),
            options: Vec::new(),
        }
    }
}

impl From<wit::tls::Response> for tls::Response {
    fn from(response: wit::tls::Response) -> Self {
        Self {
            chain: response.chain.into_iter().map(Into::into).collect(),
            version: response.version,
            now: response.now,
            peer: response.peer,
            timings: response.timings.into(),
        }
    }
}

impl From<wit::tls::Certificate> for tls::Certificate {
    fn from(certificate: wit::tls::Certificate) -> Self {
        Self {
            subject: certificate.subject,
            issuer: certificate.issuer,
            names: certificate.names,
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            fingerprint: certificate.fingerprint,
        }
    }
}

impl From<&exec::Request> for wit::exec::Request {
    fn from(request: &exec::Request) -> Self {
        Self {
            args: request.args.clone(),
            stdin: request.stdin.clone(),
            environment: request.environment.clone(),
            output_limit: request.output_limit,
            timeout_ms: millis(request.timeout),
            options: Vec::new(),
        }
    }
}

impl From<wit::exec::Response> for exec::Response {
    fn from(response: wit::exec::Response) -> Self {
        Self {
            exit: response.exit,
            output: response.output,
            total: response.total,
            duration: Duration::from_micros(response.duration),
        }
    }
}
