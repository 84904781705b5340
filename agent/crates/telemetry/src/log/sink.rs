//! Where lines go that may be slow or broken: behind a thread and a bounded queue.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tracing::Level;

use super::line::Line;

/// How many lines may wait.
const QUEUE: usize = 4096;

/// Writes one line, which ends with a line feed.
pub type WriteLine = Box<dyn FnMut(Level, &[u8]) -> io::Result<()> + Send>;

/// A place for lines. Who logs never waits for it; what it cannot take is lost, and a line says how
/// much once it takes some again.
pub struct Sink {
    lines: SyncSender<(Level, Bytes)>,
    lost: Arc<AtomicU64>,
    /// Ends when the thread does.
    running: Mutex<Receiver<()>>,
}

impl Sink {
    /// Starts a sink; `json` is the form of what it says itself.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(name: &'static str, json: bool, write: WriteLine) -> io::Result<Self> {
        let (lines, queue) = sync_channel(QUEUE);
        let (alive, running) = sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let worker = Worker { name, json, write, lost: Arc::clone(&lost), is_broken: false };
        std::thread::Builder::new().name("lictor-log".to_owned()).spawn(move || {
            worker.run(&queue);
            drop(alive);
        })?;
        Ok(Self { lines, lost, running: Mutex::new(running) })
    }

    pub(super) fn take(&self, level: Level, line: &Bytes) {
        if self.lines.try_send((level, line.clone())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what has gathered is written, or the time is over.
    pub(super) fn close(self, timeout: Duration) {
        drop(self.lines);
        // Either way it is over.
        let running = self.running.into_inner().unwrap_or_else(PoisonError::into_inner);
        let _ = running.recv_timeout(timeout);
    }
}

struct Worker {
    name: &'static str,
    json: bool,
    write: WriteLine,
    lost: Arc<AtomicU64>,
    is_broken: bool,
}

impl Worker {
    fn run(mut self, queue: &Receiver<(Level, Bytes)>) {
        while let Ok((level, line)) = queue.recv() {
            self.write(level, &line);
        }
    }

    fn write(&mut self, level: Level, line: &Bytes) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let owed = if lost > 0 { Some(Line::lost(lost).written(self.json)) } else { None };
        let told = owed.as_ref().map_or(Ok(()), |owed| (self.write)(Level::WARN, owed));
        match told.and_then(|()| (self.write)(level, line)) {
            Ok(()) if self.is_broken => {
                self.is_broken = false;
                tracing::info!(to = self.name, "log lines can be written again");
            }
            Ok(()) => {}
            Err(error) => {
                self.lost.fetch_add(lost + 1, Ordering::Relaxed);
                // Said once, or the complaint would complain of itself.
                if !std::mem::replace(&mut self.is_broken, true) {
                    tracing::warn!(to = self.name, %error, "log lines cannot be written and are lost");
                }
            }
        }
    }
}
