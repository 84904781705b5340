//! The threads that run guests.
//!
//! Each has a runtime of its own and keeps what it was given: between runtimes nothing is shared,
//! so a run that goes on after an answer wakes its own thread and no other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use lictor_model::{Error, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a runtime that ends waits for what cannot be interrupted.
const LAST_WORK: Duration = Duration::from_millis(100);

/// The threads; they end with their owner.
#[derive(Debug)]
pub(crate) struct Threads {
    handles: Vec<Handle>,
    next: AtomicUsize,
    stop: watch::Sender<bool>,
    /// Closed once all threads have ended.
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Threads {
    /// Starts so many threads.
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (alive, ended) = mpsc::channel();
        let mut handles = Vec::new();
        for _ in 0..count.max(1) {
            let runtime = Builder::new_current_thread().thread_name("guest").enable_all().build()?;
            handles.push(runtime.handle().clone());
            let (mut stopped, alive) = (stopped.clone(), alive.clone());
            thread::Builder::new().name("guest".to_owned()).spawn(move || {
                // An owner that is gone wants the end as well.
                let _ = runtime.block_on(stopped.wait_for(|stopped| *stopped));
                runtime.shutdown_timeout(LAST_WORK);
                drop(alive);
            })?;
        }
        Ok(Self { handles, next: AtomicUsize::new(0), stop, ended: Mutex::new(Some(ended)) })
    }

    /// The thread whose turn it is.
    fn next(&self) -> Result<&Handle> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len().max(1);
        self.handles.get(turn).ok_or_else(Error::stopping)
    }

    /// Runs something on one of the threads.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        Ok(self.next()?.spawn(work))
    }

    /// Runs something that blocks, on a thread for such work.
    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        Ok(self.next()?.spawn_blocking(work))
    }

    /// Ends all runs, and waits until the threads have ended, but no longer than `patience`.
    pub(crate) async fn end(&self, patience: Duration) {
        self.stop.send_replace(true);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            // Nobody sends: it waits until the last sender is gone. Waiting blocks, which only a
            // thread for such work may do.
            let _ = tokio::task::spawn_blocking(move || ended.recv_timeout(patience)).await;
        }
    }
}
