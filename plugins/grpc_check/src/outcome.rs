//! What an answer means in gRPC, in the words of its implementation in Go.

use lictor_plugin_sdk::http::Response;

use crate::message;

/// The names of the status codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// How errors are written.
pub(crate) fn error(code: &str, description: &str) -> String {
    format!("rpc error: code = {code} desc = {description}")
}

/// The serving status that was answered, or the error instead of it.
pub(crate) fn of(response: &Response) -> Result<u64, String> {
    // An answer without a message has everything in its head.
    let field = |name: &str| {
        let is_it = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        let found = response.trailers.iter().find(is_it).or_else(|| response.headers.iter().find(is_it));
        found.map(|(_, value)| value.as_str())
    };
    let content = response.header("content-type").unwrap_or_default();
    if response.status != 200 {
        let mut text = format!(
            "unexpected HTTP status code received from server: {} ({})",
            response.status, response.reason
        );
        if !content.starts_with("application/grpc") {
            text.push_str(&format!("; transport: received unexpected content-type {content:?}"));
        }
        return Err(error(code_of_http(response.status), &text));
    }
    if !content.starts_with("application/grpc") {
        let text = format!("transport: received unexpected content-type {content:?}");
        return Err(error("Unknown", &text));
    }
    match field("grpc-status").map(str::parse::<usize>) {
        Some(Ok(0)) => {}
        Some(Ok(number)) => {
            let code = CODES.get(number).map_or_else(|| format!("Code({number})"), |code| (*code).to_owned());
            return Err(error(&code, &percent_decoded(field("grpc-message").unwrap_or_default())));
        }
        _ => return Err(error("Internal", "server closed the stream without sending trailers")),
    }
    message::status(&response.body)
        .ok_or_else(|| error("Internal", "grpc: failed to unmarshal the received message"))
}

fn code_of_http(status: u16) -> &'static str {
    match status {
        400 => "Internal",
        401 => "Unauthenticated",
        403 => "PermissionDenied",
        404 => "Unimplemented",
        429 | 502 | 503 | 504 => "Unavailable",
        _ => "Unknown",
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            u8::from_str_radix(digits, 16).ok()
        });
        match code {
            Some(code) => {
                bytes.push(code);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
