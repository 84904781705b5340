//! Those who watch the log as it grows.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::Level;

use super::line::Line;
use super::rank;

/// How many lines may wait for one watcher.
const QUEUE: usize = 512;

#[derive(Default)]
pub(super) struct Watchers {
    all: Mutex<Vec<Watcher>>,
    /// The most talkative level of all of them, as a rank.
    most: AtomicU8,
}

struct Watcher {
    level: u8,
    json: bool,
    lines: Sender<Bytes>,
    lost: Arc<AtomicU64>,
}

impl Watchers {
    pub(super) fn add(&self, level: Level, json: bool) -> Lines {
        let (lines, receiver) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let mut all = self.all();
        all.push(Watcher { level: rank(level), json, lines, lost: Arc::clone(&lost) });
        self.note_most(&all);
        Lines { lines: receiver, lost, json }
    }

    pub(super) fn most(&self) -> u8 {
        self.most.load(Ordering::Relaxed)
    }

    /// Gives a line to all who want it, and forgets those who have gone.
    pub(super) fn take(&self, line: &mut Line, is_worth: impl Fn(u8) -> bool) {
        if self.most() == 0 {
            return;
        }
        let mut all = self.all();
        all.retain(|watcher| {
            if watcher.lines.is_closed() {
                return false;
            }
            if is_worth(watcher.level) && watcher.lines.try_send(line.written(watcher.json)).is_err() {
                watcher.lost.fetch_add(1, Ordering::Relaxed);
            }
            true
        });
        self.note_most(&all);
    }

    fn note_most(&self, all: &[Watcher]) {
        let most = all.iter().map(|watcher| watcher.level).max().unwrap_or_default();
        self.most.store(most, Ordering::Relaxed);
    }

    fn all(&self) -> MutexGuard<'_, Vec<Watcher>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines of the log as they come, each with its line feed.
pub struct Lines {
    lines: Receiver<Bytes>,
    lost: Arc<AtomicU64>,
    json: bool,
}

impl Stream for Lines {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        // What was lost came after all that still waits: it did not fit behind it.
        match self.lines.poll_recv(context) {
            Poll::Pending => match self.lost.swap(0, Ordering::Relaxed) {
                0 => Poll::Pending,
                lost => Poll::Ready(Some(Line::lost(lost).written(self.json))),
            },
            ready => ready,
        }
    }
}
