use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use lictor_model::probe::{Origin, Program, Target, Verdict};
use tokio::sync::Notify;

use super::*;

/// The clock of the paused runtime.
struct PausedClock(tokio::time::Instant);

impl Clock for PausedClock {
    fn now(&self) -> Moment {
        Moment::from_origin(self.0.elapsed())
    }

    fn unix_millis(&self) -> u64 {
        0
    }
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    added: Notify,
}

impl Log {
    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.added.notify_one();
    }

    async fn first(&self, count: usize) -> Vec<String> {
        loop {
            let lines = self.lines.lock().unwrap().clone();
            if lines.len() >= count {
                return lines;
            }
            self.added.notified().await;
        }
    }
}

impl Reporter for Log {
    fn prepared(&self, id: &CheckId, facts: &ProbeFacts) {
        self.add(format!("{id} prepared {}", facts.plugin));
    }

    fn report(&self, id: &CheckId, status: Option<Status>, output: String) {
        self.add(format!("{id} {status:?} {output}"));
    }

    fn expired(&self, id: &CheckId) {
        self.add(format!("{id} expired"));
    }
}

/// Takes `run_time` for each run and counts how many last at once.
struct Slow {
    facts: ProbeFacts,
    run_time: Duration,
    running: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Probe for Slow {
    fn facts(&self) -> &ProbeFacts {
        &self.facts
    }

    fn last_took(&self) -> Duration {
        Duration::ZERO
    }

    async fn run(&self, _timeout: Duration) -> Finding {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        tokio::time::sleep(self.run_time).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        Finding::Verdict(Verdict { status: Status::Passing, summary: "ok".to_owned(), ..Verdict::default() })
    }
}

struct Programs(Option<Arc<Slow>>);

#[async_trait]
impl CheckRunner for Programs {
    async fn prepare(&self, program: &Program, _target: &Target) -> Result<Arc<dyn Probe>> {
        match &self.0 {
            Some(probe) => Ok(Arc::clone(probe) as Arc<dyn Probe>),
            None => Err(Error::invalid(format!("no plugin {}", program.name))),
        }
    }
}

fn slow(run_time: Duration) -> Arc<Slow> {
    let facts = ProbeFacts {
        plugin: "slow".to_owned(),
        version: "1.0.0".to_owned(),
        digest: String::new(),
        grants: Vec::new(),
    };
    Arc::new(Slow { facts, run_time, running: AtomicUsize::new(0), most: AtomicUsize::new(0) })
}

fn probe_spec() -> CheckSpec {
    CheckSpec {
        kind: CheckKind::Probe(Box::new(ProbeSpec {
            program: Program {
                name: "slow.wasm".to_owned(),
                origin: Origin::Api,
                config: serde_json::json!({}),
                allow: serde_json::Value::Null,
                output_limit: 100,
            },
            target: Target::default(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            thresholds: Default::default(),
            unknown_as: Default::default(),
            signed: true,
        })),
        initial: Status::Critical,
    }
}

fn start(runner: Programs) -> (Scheduler, Arc<Log>, CancellationToken, tokio::task::JoinHandle<()>) {
    let (log, stop) = (Arc::new(Log::default()), CancellationToken::new());
    let clock = Arc::new(PausedClock(tokio::time::Instant::now()));
    let reporter = Arc::clone(&log) as Arc<dyn Reporter>;
    let (scheduler, task) = Scheduler::start(Arc::new(runner), reporter, clock, stop.clone());
    (scheduler, log, stop, tokio::spawn(task))
}

#[tokio::test(start_paused = true)]
async fn a_slow_check_runs_again_and_again_but_never_twice_at_once() {
    let probe = slow(Duration::from_millis(2500));
    let (scheduler, log, stop, task) = start(Programs(Some(Arc::clone(&probe))));
    scheduler.insert("c".into(), probe_spec(), None).await.unwrap();
    let lines = log.first(4).await;
    assert_eq!(lines[0], "c prepared slow");
    assert_eq!(lines[1..], ["c Some(Passing) slow 1.0.0: ok"; 3]);
    assert_eq!(probe.most.load(Ordering::SeqCst), 1);
    stop.cancel();
    task.await.unwrap();
    assert!(scheduler.remove("c".into()).await.is_err(), "a stopped scheduler says so");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_cannot_be_loaded_is_named_and_tried_again() {
    let (scheduler, log, stop, task) = start(Programs(None));
    scheduler.insert("c".into(), probe_spec(), None).await.unwrap();
    let expected = "c Some(Critical) slow.wasm: unknown (host): no plugin slow.wasm";
    assert_eq!(log.first(2).await, [expected; 2]);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ttl_check_expires_once_unless_it_is_refreshed() {
    let (scheduler, log, stop, task) = start(Programs(None));
    let spec = CheckSpec { kind: CheckKind::Ttl { ttl: Duration::from_secs(10) }, initial: Status::Passing };
    let begin = tokio::time::Instant::now();
    scheduler.insert("t".into(), spec, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    scheduler.refresh("t".into()).await.unwrap();
    assert_eq!(log.first(1).await, ["t expired"]);
    assert_eq!(begin.elapsed().as_secs(), 16);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(log.first(1).await.len(), 1);
    stop.cancel();
    task.await.unwrap();
}

/// A program that brings the agent's own code down.
struct Panics(ProbeFacts);

#[async_trait]
impl Probe for Panics {
    fn facts(&self) -> &ProbeFacts {
        &self.0
    }

    fn last_took(&self) -> Duration {
        Duration::ZERO
    }

    async fn run(&self, _timeout: Duration) -> Finding {
        panic!("a defect of the host")
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_panics_is_unknown_and_its_check_runs_again() {
    let (scheduler, log, stop, task) = start(Programs(None));
    let probe: Arc<dyn Probe> = Arc::new(Panics(slow(Duration::ZERO).facts.clone()));
    scheduler.insert("c".into(), probe_spec(), Some(probe)).await.unwrap();
    let lines = log.first(3).await;
    assert_eq!(
        lines[1..],
        ["c Some(Critical) slow 1.0.0: unknown (host): the agent failed to run the check"; 2]
    );
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ttl_that_was_refreshed_cannot_end_on_its_old_time() {
    let (scheduler, log, stop, task) = start(Programs(None));
    let spec = CheckSpec { kind: CheckKind::Ttl { ttl: Duration::from_secs(10) }, initial: Status::Passing };
    scheduler.insert("t".into(), spec, None).await.unwrap();
    // The refresh and the end of the time meet: whichever comes first, it has happened by then.
    tokio::time::sleep(Duration::from_secs(10)).await;
    scheduler.refresh("t".into()).await.unwrap();
    let before = log.lines.lock().unwrap().len();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(log.lines.lock().unwrap().len(), before);
    stop.cancel();
    task.await.unwrap();
}
