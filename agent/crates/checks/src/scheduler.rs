//! The task that runs checks.

use std::collections::HashMap;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use lictor_model::check::Status;
use lictor_model::probe::{Blindness, CheckRunner, Finding, Probe, ProbeFacts};
use lictor_model::{CheckId, Error, Result};
use lictor_sys::clock::{Clock, Moment};
use lictor_sys::random;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::schedule::Schedule;
use crate::spec::{CheckKind, CheckSpec, ProbeSpec};
use crate::status::{Report, StatusMachine};

/// How many requests may wait for the scheduler.
const QUEUE: usize = 256;
/// First runs are spread over at most this long, however long the interval is.
const MAX_STAGGER: Duration = Duration::from_secs(5);

/// Turns that come within this time are taken together, and so are ends of runs: to wake threads
/// for each check by itself would cost more than to run it.
const GRAIN: Duration = Duration::from_millis(50);

/// Whoever wants to know what checks say.
pub trait Reporter: Send + Sync + 'static {
    /// A check's program is loaded, or cannot be.
    fn prepared(&self, id: &CheckId, facts: &ProbeFacts);
    /// A check has something to say; without a status it keeps the one it has.
    fn report(&self, id: &CheckId, status: Option<Status>, output: String);
    /// The time of a TTL check is over without a report.
    fn expired(&self, id: &CheckId);
}

enum Request {
    Insert { id: CheckId, spec: Box<CheckSpec>, probe: Option<Arc<dyn Probe>>, done: oneshot::Sender<()> },
    Remove { id: CheckId, done: oneshot::Sender<()> },
    Refresh { id: CheckId, done: oneshot::Sender<()> },
}

/// Runs checks until it is stopped.
#[derive(Clone)]
pub struct Scheduler {
    requests: mpsc::Sender<Request>,
    runner: Arc<dyn CheckRunner>,
}

impl Scheduler {
    /// Starts the scheduler; the future it returns is its task and ends after `stop`.
    pub fn start(
        runner: Arc<dyn CheckRunner>,
        reporter: Arc<dyn Reporter>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (requests, queue) = mpsc::channel(QUEUE);
        let worker = Worker {
            runner: Arc::clone(&runner),
            reporter,
            clock,
            schedule: Schedule::default(),
            checks: HashMap::new(),
            runs: FuturesUnordered::new(),
        };
        (Self { requests, runner }, worker.run(queue, stop))
    }

    /// Loads and validates the program of a check now, so that its author hears what is wrong.
    ///
    /// # Errors
    /// What the runner refuses.
    pub async fn prepare(&self, spec: &CheckSpec) -> Result<Option<Arc<dyn Probe>>> {
        match &spec.kind {
            CheckKind::Ttl { .. } | CheckKind::Alias(_) => Ok(None),
            CheckKind::Probe(probe) => self.runner.prepare(&probe.program, &probe.target).await.map(Some),
        }
    }

    /// Adds or replaces a check. Aliases have no turns: whoever knows the other checks follows
    /// them. Without a prepared program it is prepared before its first run.
    ///
    /// # Errors
    /// [`Unavailable`](lictor_model::Code::Unavailable) once the scheduler has stopped.
    pub async fn insert(&self, id: CheckId, spec: CheckSpec, probe: Option<Arc<dyn Probe>>) -> Result<()> {
        let (done, inserted) = oneshot::channel();
        self.send(Request::Insert { id, spec: Box::new(spec), probe, done }).await?;
        inserted.await.map_err(|_| Error::stopping())
    }

    /// Removes a check; no report of it follows.
    ///
    /// # Errors
    /// As for [`Scheduler::insert`].
    pub async fn remove(&self, id: CheckId) -> Result<()> {
        let (done, removed) = oneshot::channel();
        self.send(Request::Remove { id, done }).await?;
        removed.await.map_err(|_| Error::stopping())
    }

    /// A TTL check has been reported on: its time starts again. Once this has returned the time
    /// that ran before cannot end any more: note the report after it, not before.
    ///
    /// # Errors
    /// As for [`Scheduler::insert`].
    pub async fn refresh(&self, id: CheckId) -> Result<()> {
        let (done, refreshed) = oneshot::channel();
        self.send(Request::Refresh { id, done }).await?;
        refreshed.await.map_err(|_| Error::stopping())
    }

    async fn send(&self, request: Request) -> Result<()> {
        self.requests.send(request).await.map_err(|_| Error::stopping())
    }
}

struct Entry {
    spec: CheckSpec,
    probe: Option<Arc<dyn Probe>>,
    machine: StatusMachine,
}

struct Ended {
    id: CheckId,
    run: u64,
    /// The program, if this run had to prepare it.
    probe: Option<Arc<dyn Probe>>,
    finding: Finding,
}

struct Worker {
    runner: Arc<dyn CheckRunner>,
    reporter: Arc<dyn Reporter>,
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    checks: HashMap<CheckId, Entry>,
    /// Runs spend their time elsewhere; what is done for them here is too little for tasks.
    runs: FuturesUnordered<BoxFuture<'static, Ended>>,
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>, stop: CancellationToken) {
        loop {
            self.start_due();
            self.collect();
            let turn = self.until_next_turn();
            tokio::select! {
                () = stop.cancelled() => break,
                request = queue.recv() => match request {
                    Some(request) => self.handle(request),
                    None => break,
                },
                () = turn => {}
            }
        }
    }

    /// Gives new runs their start, and takes what has ended. Nobody is woken by a run that ends:
    /// while there are any, they are looked at every [`GRAIN`].
    fn collect(&mut self) {
        while let Some(Some(ended)) = self.runs.next().now_or_never() {
            self.finish(ended);
        }
    }

    fn until_next_turn(&self) -> impl Future<Output = ()> + use<> {
        let now = self.clock.now();
        let turn = self.schedule.next_turn().map(|at| at.rounded_up(GRAIN));
        let look = (!self.runs.is_empty()).then(|| (now + Duration::from_nanos(1)).rounded_up(GRAIN));
        let wait = turn.into_iter().chain(look).min().map(|at| at.since(now));
        async move {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => pending().await,
            }
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Insert { id, spec, probe, done } => {
                self.insert(id, *spec, probe);
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
            Request::Remove { id, done } => {
                self.schedule.remove(&id);
                self.checks.remove(&id);
                let _ = done.send(());
            }
            Request::Refresh { id, done } => {
                if let Some(Entry { spec: CheckSpec { kind: CheckKind::Ttl { ttl }, .. }, .. }) =
                    self.checks.get(&id)
                {
                    self.schedule.insert(id, *ttl, self.clock.now() + *ttl);
                }
                let _ = done.send(());
            }
        }
    }

    fn insert(&mut self, id: CheckId, spec: CheckSpec, probe: Option<Arc<dyn Probe>>) {
        let now = self.clock.now();
        let (interval, first, machine) = match &spec.kind {
            CheckKind::Alias(_) => {
                self.schedule.remove(&id);
                self.checks.remove(&id);
                return;
            }
            CheckKind::Ttl { ttl } => (*ttl, now + *ttl, StatusMachine::default()),
            CheckKind::Probe(probe) => (
                probe.interval,
                now + random::jitter(probe.interval.min(MAX_STAGGER)),
                StatusMachine::new(probe.thresholds, probe.unknown_as),
            ),
        };
        if let Some(probe) = &probe {
            self.reporter.prepared(&id, probe.facts());
        }
        self.schedule.insert(id.clone(), interval, first);
        self.checks.insert(id, Entry { spec, probe, machine });
    }

    fn start_due(&mut self) {
        let now = self.clock.now().rounded_down(GRAIN);
        while let Some((id, run)) = self.schedule.start_due(now) {
            let Some(entry) = self.checks.get(&id) else { continue };
            match &entry.spec.kind {
                // It stays expired until the next report gives it a new turn.
                CheckKind::Ttl { .. } => self.reporter.expired(&id),
                CheckKind::Alias(_) => {}
                CheckKind::Probe(spec) => {
                    let runner = Arc::clone(&self.runner);
                    let probe = entry.probe.clone().ok_or_else(|| spec.clone());
                    let timeout = spec.timeout;
                    self.runs.push(run_guarded(id, run, probe, timeout, runner).boxed());
                }
            }
        }
    }

    fn finish(&mut self, ended: Ended) {
        let now: Moment = self.clock.now();
        if !self.schedule.finished(&ended.id, ended.run, now) {
            return;
        }
        let Some(entry) = self.checks.get_mut(&ended.id) else { return };
        if let Some(probe) = ended.probe {
            self.reporter.prepared(&ended.id, probe.facts());
            entry.probe = Some(probe);
        }
        let Some(Report { status, output }) = entry.machine.after(ended.finding) else { return };
        self.reporter.report(&ended.id, status, signed(entry, output));
    }
}

/// The output with the program's name before it, where users chose the program.
fn signed(entry: &Entry, output: String) -> String {
    match (&entry.spec.kind, &entry.probe) {
        (CheckKind::Probe(spec), Some(probe)) if spec.signed => {
            let facts = probe.facts();
            format!("{} {}: {output}", facts.plugin, facts.version)
        }
        (CheckKind::Probe(spec), None) if spec.signed => {
            format!("{}: {output}", spec.program.name)
        }
        _ => output,
    }
}

/// A run that ends whatever happens in it: a check whose run is lost would never get another turn
/// and keep its last status for good.
async fn run_guarded(
    id: CheckId,
    run: u64,
    probe: Result<Arc<dyn Probe>, Box<ProbeSpec>>,
    timeout: Duration,
    runner: Arc<dyn CheckRunner>,
) -> Ended {
    let guarded = AssertUnwindSafe(run_once(id.clone(), run, probe, timeout, runner)).catch_unwind();
    guarded.await.unwrap_or_else(|_| {
        tracing::error!(check = %id, "a check's run panicked");
        let message = "the agent failed to run the check".to_owned();
        Ended { id, run, probe: None, finding: Finding::Unknown { reason: Blindness::Host, message } }
    })
}

async fn run_once(
    id: CheckId,
    run: u64,
    probe: Result<Arc<dyn Probe>, Box<ProbeSpec>>,
    timeout: Duration,
    runner: Arc<dyn CheckRunner>,
) -> Ended {
    let prepared = match probe {
        Ok(probe) => Ok((probe, false)),
        Err(spec) => runner.prepare(&spec.program, &spec.target).await.map(|probe| (probe, true)),
    };
    match prepared {
        Ok((probe, is_new)) => {
            let finding = probe.run(timeout).await;
            Ended { id, run, probe: is_new.then_some(probe), finding }
        }
        Err(error) => {
            let finding = Finding::Unknown { reason: Blindness::Host, message: error.message };
            Ended { id, run, probe: None, finding }
        }
    }
}

#[cfg(test)]
mod tests;
