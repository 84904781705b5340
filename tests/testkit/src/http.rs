//! An HTTP client that sends exactly what it is told, wrong things included.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take; longer than any blocking query of a test.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The HTTP API of an agent.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    address: SocketAddr,
    patience: Duration,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Http {
    /// The API on a loopback port.
    #[must_use]
    pub fn at(port: u16) -> Self {
        Self::on(Ipv4Addr::LOCALHOST, port)
    }

    /// The API at an address.
    #[must_use]
    pub fn on(address: Ipv4Addr, port: u16) -> Self {
        Self { address: SocketAddr::from((address, port)), patience: TIMEOUT }
    }

    /// The same with a client that gives up after this long.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If nobody answers, or not in HTTP.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Response> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        Response::parse(&self.exchange(&request)?)
    }

    /// Sends bytes and reads until the other side closes.
    ///
    /// # Errors
    /// If nobody answers.
    pub fn exchange(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, self.patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        // A refusal may come before everything was sent.
        let sent = stream.write_all(bytes);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if answer.is_empty() => return Err(error),
            _ => {}
        }
        if answer.is_empty() {
            sent?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    }

    /// Reads.
    ///
    /// # Panics
    /// If nobody answers.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, b"").unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Writes bytes.
    ///
    /// # Panics
    /// If nobody answers.
    #[track_caller]
    #[must_use]
    pub fn put(&self, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.request("PUT", path, body.as_ref()).unwrap_or_else(|error| panic!("PUT {path}: {error}"))
    }

    /// Removes.
    ///
    /// # Panics
    /// If nobody answers.
    #[track_caller]
    #[must_use]
    pub fn delete(&self, path: &str) -> Response {
        self.request("DELETE", path, b"").unwrap_or_else(|error| panic!("DELETE {path}: {error}"))
    }

    /// Reads JSON.
    ///
    /// # Panics
    /// If the answer is not 200 with JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self, path: &str) -> Value {
        self.get(path).ok().json()
    }

    /// Writes JSON that is to be accepted.
    ///
    /// # Panics
    /// If the answer is not 200.
    #[track_caller]
    pub fn put_json(&self, path: &str, body: &Value) -> Response {
        self.put(path, body.to_string()).ok()
    }

    /// The value of a key, if it exists.
    ///
    /// # Panics
    /// If the answer is something else.
    #[track_caller]
    #[must_use]
    pub fn kv(&self, key: &str) -> Option<String> {
        let response = self.get(&format!("/v1/kv/{key}?raw"));
        match response.status {
            404 => None,
            _ => Some(response.ok().text()),
        }
    }

    /// The statuses of the checks of a service, without those of its nodes.
    ///
    /// # Panics
    /// If the answer is not 200.
    #[track_caller]
    #[must_use]
    pub fn checks(&self, service: &str) -> Vec<Value> {
        self.json(&format!("/v1/health/checks/{service}")).as_array().expect("a list of checks").clone()
    }

    /// How far the agent has applied its log.
    ///
    /// # Panics
    /// If the agent does not say.
    #[track_caller]
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        let agent = self.json("/v1/agent/self");
        let index = agent["Stats"]["raft"]["applied_index"].as_str().expect("an applied index");
        index.parse().expect("a number")
    }
}

impl Response {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer");
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(bad)?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut body = bytes[end + 4..].to_vec();
        let mut response = Self { status: status.ok_or_else(bad)?, headers, body: Vec::new() };
        if response.header("transfer-encoding") == Some("chunked") {
            body = unchunked(&body).ok_or_else(bad)?;
        } else if let Some(length) = response.header("content-length").and_then(|text| text.parse().ok()) {
            // An agent that died in the middle has not answered.
            if body.len() < length && !body.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        response.body = body;
        Ok(response)
    }

    /// A header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// What to block on for a different answer.
    ///
    /// # Panics
    /// If the answer does not say.
    #[track_caller]
    #[must_use]
    pub fn index(&self) -> u64 {
        self.header("x-consul-index").and_then(|index| index.parse().ok()).expect("an X-Consul-Index")
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: no JSON ({error}): {}", self.status, self.text()))
    }

    /// This answer, if its status is 200.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "called for the panic")]
    pub fn ok(self) -> Self {
        assert!(self.status == 200, "expected 200, got {}: {}", self.status, self.text());
        self
    }
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
