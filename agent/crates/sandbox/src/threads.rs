//! The threads that run guests.
//!
//! Each has a runtime of its own and keeps what it was given: between runtimes nothing is shared,
//! so a run that goes on after an answer wakes its own thread and no other.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use lictor_model::{Code, Error, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc as queue, oneshot, watch};
use tokio::task::JoinHandle;

/// How long a runtime that ends waits for what cannot be interrupted.
const LAST_WORK: Duration = Duration::from_millis(100);

/// How many runs may wait for a thread to take them up.
const QUEUE: usize = 4096;
/// How many go to one thread before the next one has its turn. Checks come in groups: one thread
/// that takes a whole group is woken once.
const IN_A_ROW: usize = 32;
/// How many it takes up at once.
const AT_ONCE: usize = 64;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The threads; they end with their owner.
#[derive(Debug)]
pub(crate) struct Threads {
    threads: Vec<Thread>,
    next: AtomicUsize,
    stop: watch::Sender<bool>,
    /// Closed once all threads have ended.
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    /// What the runtime is given goes through here and not straight to it: it would be woken for
    /// each piece of work by itself.
    work: queue::Sender<Work>,
}

impl Threads {
    /// Starts so many threads.
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (alive, ended) = mpsc::channel();
        let mut threads = Vec::new();
        for _ in 0..count.max(1) {
            let runtime = Builder::new_current_thread().thread_name("guest").enable_all().build()?;
            let (work, jobs) = queue::channel(QUEUE);
            threads.push(Thread { runtime: runtime.handle().clone(), work });
            let (mut stopped, alive) = (stopped.clone(), alive.clone());
            thread::Builder::new().name("guest".to_owned()).spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        // An owner that is gone wants the end as well.
                        _ = stopped.wait_for(|stopped| *stopped) => {}
                        () = take_up(jobs) => {}
                    }
                });
                runtime.shutdown_timeout(LAST_WORK);
                drop(alive);
            })?;
        }
        Ok(Self { threads, next: AtomicUsize::new(0), stop, ended: Mutex::new(Some(ended)) })
    }

    /// The thread whose turn it is.
    fn next(&self) -> Result<&Thread> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) / IN_A_ROW % self.threads.len().max(1);
        self.threads.get(turn).ok_or_else(Error::stopping)
    }

    /// Runs something on one of the threads, whether or not somebody waits for it.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        Ok(self.next()?.runtime.spawn(work))
    }

    /// Runs something on one of the threads for as long as somebody waits for it.
    ///
    /// # Errors
    /// [`Overloaded`](Code::Overloaded) if too much waits already.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let (mut done, running) = oneshot::channel();
        let work = Box::pin(async move {
            tokio::select! {
                () = done.closed() => {}
                // Whoever waited may be gone by now.
                result = work => drop(done.send(result)),
            }
        });
        self.next()?.work.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => Error::new(Code::Overloaded, "too many checks wait for a thread"),
            TrySendError::Closed(_) => Error::stopping(),
        })?;
        running.await.map_err(|_| {
            if *self.stop.borrow() { Error::stopping() } else { Error::failed("the sandbox failed") }
        })
    }

    /// Runs something that blocks, on a thread for such work.
    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        Ok(self.next()?.runtime.spawn_blocking(work))
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

/// Gives a runtime its work, many pieces at a time.
async fn take_up(mut jobs: queue::Receiver<Work>) {
    let mut taken = Vec::with_capacity(AT_ONCE);
    while jobs.recv_many(&mut taken, AT_ONCE).await > 0 {
        for work in taken.drain(..) {
            tokio::spawn(work);
        }
    }
}
