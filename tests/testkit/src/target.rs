//! An HTTP server for checks to look at, whose answer a test decides.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ports::Ports;

/// A target. It begins without a listener: connections are refused.
#[derive(Debug)]
pub struct Target {
    ports: Ports,
    shared: Arc<Shared>,
    listening: Mutex<Option<(Arc<AtomicBool>, JoinHandle<()>)>>,
}

#[derive(Debug)]
struct Shared {
    status: AtomicU16,
    hits: AtomicU64,
    body: Mutex<String>,
}

impl Target {
    /// A target that refuses connections, on a port of its own.
    #[must_use]
    pub fn refusing() -> Self {
        let shared = Shared {
            status: AtomicU16::new(200),
            hits: AtomicU64::new(0),
            body: Mutex::new("fine".to_owned()),
        };
        Self { ports: Ports::reserve(), shared: Arc::new(shared), listening: Mutex::new(None) }
    }

    /// A target that answers 200.
    #[must_use]
    pub fn healthy() -> Self {
        let target = Self::refusing();
        target.listen();
        target
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.at(0)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/health", self.port())
    }

    /// How many requests it has seen.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.shared.hits.load(Ordering::SeqCst)
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Answers with this body from now on; `{hits}` stands for the number of the request.
    pub fn say(&self, body: &str) {
        body.clone_into(&mut self.shared.body.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Accepts connections.
    ///
    /// # Panics
    /// If it cannot.
    pub fn listen(&self) {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if listening.is_some() {
            return;
        }
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, self.port())).expect("a reserved port is free");
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, shared) = (Arc::clone(&stop), Arc::clone(&self.shared));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                if let Ok(stream) = stream {
                    std::thread::spawn(move || shared.serve(stream));
                }
            }
        });
        *listening = Some((stop, thread));
    }

    /// Refuses connections.
    pub fn refuse(&self) {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = listening {
            stop.store(true, Ordering::SeqCst);
            // Wakes the thread, which then closes the listener.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port()));
            let _ = thread.join();
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let Ok(reading) = stream.try_clone() else { return };
        let head_is_read = BufReader::new(reading).lines().map_while(Result::ok).any(|line| line.is_empty());
        if !head_is_read {
            return;
        }
        let hits = self.hits.fetch_add(1, Ordering::SeqCst) + 1;
        let body =
            self.body.lock().unwrap_or_else(PoisonError::into_inner).replace("{hits}", &hits.to_string());
        let status = self.status.load(Ordering::SeqCst);
        let answer = format!(
            "HTTP/1.1 {status} Said\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes());
    }
}
