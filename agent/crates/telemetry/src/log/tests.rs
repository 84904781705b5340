use std::io;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use futures::StreamExt;
use serde_json::Value;

use super::*;

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<String>>>);

impl Written {
    fn sink(&self, json: bool) -> Sink {
        let written = self.clone();
        let write = move |_: Level, line: &[u8]| {
            written.0.lock().unwrap().push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        };
        Sink::start("test", json, Box::new(write)).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn logged(log: &Log, say: impl FnOnce()) {
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), say);
}

#[test]
fn lines_have_the_form_that_operators_look_for() {
    let written = Written::default();
    let log = Log::new(Level::INFO, false, false, vec![written.sink(false)]);
    logged(&log, || {
        tracing::warn!(target: "lictor_agent::reporter", check = %"web", why = "no answer", runs = 3, "Check is now critical");
        tracing::debug!(target: "lictor_agent", "not worth it");
        tracing::info!(target: "library", "nor this");
    });
    log.close();
    let lines = written.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let (_, line) = lines[0].split_once(' ').unwrap();
    assert_eq!(line, "[WARN]  agent: Check is now critical: check=web why=\"no answer\" runs=3\n");
}

#[test]
fn json_lines_have_the_keys_of_the_reference() {
    let written = Written::default();
    let log = Log::new(Level::INFO, true, false, vec![written.sink(true)]);
    logged(&log, || tracing::info!(target: "lictor_http", port = 8500, ready = true, "listening"));
    log.close();
    let line: Value = serde_json::from_str(&written.lines()[0]).unwrap();
    assert_eq!(line["@level"], "info");
    assert_eq!(line["@message"], "listening");
    assert_eq!(line["@module"], "http");
    assert!(line["@timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    assert_eq!((&line["port"], &line["ready"]), (&Value::from(8500), &Value::from(true)));
}

#[test]
fn the_level_changes_while_it_runs() {
    let written = Written::default();
    let log = Log::new(Level::WARN, false, false, vec![written.sink(false)]);
    logged(&log, || {
        let say = |what: &'static str| tracing::debug!(target: "lictor_agent", "{what}");
        say("before");
        log.set_level(Level::DEBUG);
        say("while");
        log.set_level(Level::INFO);
        say("after");
    });
    log.close();
    let lines = written.lines();
    assert!(lines.len() == 1 && lines[0].ends_with("while\n"), "{lines:?}");
}

#[test]
fn a_sink_that_takes_nothing_holds_nobody_up_and_says_what_was_lost() {
    let (permit, permits) = sync_channel::<bool>(0);
    let written = Written::default();
    let lines = written.clone();
    let write = move |_: Level, line: &[u8]| {
        if permits.recv() == Ok(false) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        lines.0.lock().unwrap().push(String::from_utf8(line.to_vec()).unwrap());
        Ok(())
    };
    let log = Log::new(Level::INFO, false, false, vec![Sink::start("disk", false, Box::new(write)).unwrap()]);
    logged(&log, || {
        for number in 0..10_000 {
            tracing::info!(target: "lictor_agent", number, "line");
        }
    });
    // The first fails, like a full disk; then there is room again.
    permit.send(false).unwrap();
    drop(permit);
    log.close();
    let lines = written.lines();
    assert!(lines[0].contains("log lines were lost: lines="), "{}", lines[0]);
    assert!(lines[1].contains("number=1"), "{}", lines[1]);
    assert!(lines.len() < 5_000, "{}", lines.len());
}

#[test]
fn who_watches_has_a_level_of_their_own_and_hears_of_what_they_missed() {
    let log = Log::new(Level::WARN, false, false, Vec::new());
    let mut lines = log.watch(Level::DEBUG, false);
    logged(&log, || {
        for number in 0..600 {
            tracing::debug!(target: "lictor_agent", number, "line");
        }
    });
    let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
    let mut seen = Vec::new();
    while let std::task::Poll::Ready(Some(line)) = lines.poll_next_unpin(context) {
        seen.push(String::from_utf8(line.to_vec()).unwrap());
    }
    assert_eq!(seen.len(), 513);
    assert!(seen[511].ends_with("line: number=511\n"), "{}", seen[511]);
    assert!(seen[512].ends_with("log lines were lost: lines=88\n"), "{}", seen[512]);
    drop(lines);
    logged(&log, || tracing::warn!(target: "lictor_agent", "nobody watches"));
    assert_eq!(log.0.watchers.most(), 0);
}

#[test]
fn unknown_levels_are_answered_with_the_known_ones() {
    assert_eq!(level("warn"), Ok(Level::WARN));
    assert!(level("bogus").unwrap_err().contains("[TRACE DEBUG INFO WARN ERR ERROR]"));
}
