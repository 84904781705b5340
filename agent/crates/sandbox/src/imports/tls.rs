//! `lictor:plugin/tls`.

use std::net::IpAddr;

use lictor_sys::clock::{Clock, SystemClock};
use rustls::ProtocolVersion;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use wasmtime::Result;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{no_options, place};
use crate::bindings::tls::{Certificate, Host, Request, Response};
use crate::bindings::types::{Misbehaviour, ProbeError};
use crate::cache::hex;
use crate::grants::Door;
use crate::state::RunState;
use crate::wire::{Leash, fault, micros, no_timings};

impl Host for RunState {
    async fn inspect(&mut self, request: Request) -> Result<Result<Response, ProbeError>> {
        Ok(inspect(&self.leash, request).await)
    }
}

async fn inspect(leash: &Leash, request: Request) -> Result<Response, ProbeError> {
    no_options(&request.options)?;
    let leash = leash.within(request.timeout_ms);
    let started = Instant::now();
    let mut timings = no_timings();
    let (host, port) = place(&request.address)?;
    let reach = leash.grants.check(Door::Tls, &host, port).map_err(ProbeError::Denied)?;
    let link = leash.connect(&host, port, reach, &mut timings).await?;
    let handshaken = Instant::now();
    let handshake = leash.tls.handshake(link.stream, &host, &request.tls, false);
    let stream = leash.deadline.limit("shaking hands", handshake).await?;
    timings.tls = micros(handshaken.elapsed());
    timings.total = micros(started.elapsed());
    let session = stream.get_ref().1;
    let chain = session.peer_certificates().unwrap_or_default();
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    };
    Ok(Response {
        chain: chain.iter().map(|der| read(der)).collect::<Result<_, _>>()?,
        version: version.to_owned(),
        now: i64::try_from(SystemClock::default().unix_millis() / 1000).unwrap_or(i64::MAX),
        peer: link.peer.to_string(),
        timings,
    })
}

/// What a certificate says.
fn read(der: &[u8]) -> Result<Certificate, ProbeError> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| fault::target(Misbehaviour::Tls, format!("tls: malformed certificate: {error}")))?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| extension.value.general_names.iter().filter_map(name).collect());
    Ok(Certificate {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names: names.unwrap_or_default(),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        fingerprint: hex(&Sha256::digest(der)),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
                .ok()
                .map(|address| address.to_string())
        }
        _ => None,
    }
}
