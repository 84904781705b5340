//! The built-in HTTP check: requests a URL and judges the status code.
//!
//! Any code from 200 to 299 passes, 429 (Too Many Requests) is a warning, everything else is
//! critical, and so is a server that cannot be reached or does not answer in time. What else an
//! answer must look like can be told with `expect`.

mod expect;

use std::collections::BTreeMap;

use lictor_plugin_sdk::{Ctx, Fault, ProbeError, Schema, Status, TlsOptions, Verdict, check, http};
use serde::Deserialize;

use expect::Expect;

/// Requests a URL; 2xx passes, 429 is a warning, anything else is critical.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL to request.
    #[schema(min_length = 1)]
    url: String,
    /// The method.
    #[serde(default)]
    #[schema(default = "GET")]
    method: String,
    /// Headers to send; a Host header replaces the one from the URL.
    #[serde(default)]
    header: BTreeMap<String, Vec<String>>,
    /// The request's body.
    #[serde(default)]
    body: String,
    /// Judge the first answer, even if it is a redirect.
    #[serde(default)]
    #[schema(default = false)]
    disable_redirects: bool,
    /// Accept any certificate.
    #[serde(default)]
    #[schema(default = false)]
    tls_skip_verify: bool,
    /// The name to expect in the server's certificate.
    #[serde(default)]
    tls_server_name: String,
    /// How many bytes of the answer's body to show.
    #[serde(default)]
    #[schema(default = 4096)]
    output_max_size: Option<u32>,
    /// What the answer must look like.
    #[serde(default)]
    expect: Expect,
}

const USER_AGENT: &str = "Consul Health Check";
const ACCEPT: &str = "text/plain, text/*, */*";
const OUTPUT_MAX_SIZE: u32 = 4096;
const MAX_REDIRECTS: u32 = 10;
/// How much of a body is looked at if something is expected of it.
const EXPECTED_MAX_SIZE: u32 = 1 << 20;

/// Runs the check.
#[check(name = "http_check", summary = "judges the status code of a URL", needs("http {config.url}"))]
pub fn http_check(ctx: &Ctx<'_>, config: Config) -> Result<Verdict, Fault> {
    let method = if config.method.is_empty() { "GET".to_owned() } else { config.method.clone() };
    let what = format!("HTTP {method} {}", config.url);
    match ctx.http(&request(&config, method)) {
        Ok(response) => {
            let (status, complaints) = judge(&config.expect, &response)?;
            let mut line = line(&what, &response);
            for complaint in complaints {
                line.push_str("; ");
                line.push_str(&complaint);
            }
            Ok(Verdict::new(status, line)
                .with_detail(end_of(response.text(), output_max_size(&config)))
                .with_metric("response-time", response.timings.total.as_secs_f64(), "s"))
        }
        Err(ProbeError::Target(fault)) => Ok(Verdict::critical(format!("{what}: {}", fault.message))),
        // A URL that is none cannot be asked, and no later run will change that: the target
        // that it was to name is not there.
        Err(ProbeError::Invalid(message)) => Ok(Verdict::critical(format!("{what}: {message}"))),
        Err(error) => Err(error.into()),
    }
}

fn output_max_size(config: &Config) -> u32 {
    config.output_max_size.filter(|size| *size > 0).unwrap_or(OUTPUT_MAX_SIZE)
}

/// The last bytes of a text, as far as they are whole characters.
fn end_of(text: String, limit: u32) -> String {
    let mut start = text.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default().to_owned()
}

fn request(config: &Config, method: String) -> http::Request {
    let mut headers: Vec<(String, String)> = config
        .header
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name.clone(), value.clone())))
        .collect();
    for (name, value) in [("User-Agent", USER_AGENT), ("Accept", ACCEPT)] {
        if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    let reads_body = config.expect.reads_body();
    http::Request {
        version: http::Version::Http1,
        method,
        url: config.url.clone(),
        headers,
        body: (!config.body.is_empty()).then(|| config.body.clone().into_bytes()),
        tls: TlsOptions {
            verify: !config.tls_skip_verify,
            server_name: (!config.tls_server_name.is_empty()).then(|| config.tls_server_name.clone()),
        },
        max_redirects: if config.disable_redirects { 0 } else { MAX_REDIRECTS },
        body_limit: if reads_body { EXPECTED_MAX_SIZE } else { output_max_size(config) },
        // What went wrong tends to stand at the end.
        body_end: if reads_body { http::End::Head } else { http::End::Tail },
        timeout: None,
    }
}

/// The status, and what an expectation misses. An answer that fails by its code is not looked at
/// any further.
fn judge(expect: &Expect, response: &http::Response) -> Result<(Status, Vec<String>), Fault> {
    let status = match expect.status_fits(response.status) {
        None => judge_code(response.status),
        Some(true) => Status::Passing,
        Some(false) => {
            return Ok((Status::Critical, vec!["the status code is not an expected one".to_owned()]));
        }
    };
    if status == Status::Critical {
        return Ok((status, Vec::new()));
    }
    let unmet = expect.unmet(response)?;
    Ok((if unmet.is_empty() { status } else { Status::Critical }, unmet))
}

fn judge_code(status: u16) -> Status {
    match status {
        200..=299 => Status::Passing,
        429 => Status::Warning,
        _ => Status::Critical,
    }
}

/// Codes without a usual text keep the space before it.
fn line(what: &str, response: &http::Response) -> String {
    format!("{what}: {} {}", response.status, response.reason)
}

#[cfg(test)]
mod tests;
