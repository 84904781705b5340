//! Notices that configuration files have changed.
//!
//! Files are looked at again and again instead of having the system tell: that works on every file
//! system, and for files that are replaced, linked or not there yet.

use std::time::Duration;

use lictor_config::Sources;
use lictor_config::source::{self, Seen};
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

/// How often files are looked at.
const PERIOD: Duration = Duration::from_millis(500);

/// What has been seen of the files.
struct Watch {
    /// What the running configuration was read from.
    loaded: Seen,
    /// What was seen last.
    last: Seen,
}

impl Watch {
    fn new(seen: Seen) -> Self {
        Self { loaded: seen.clone(), last: seen }
    }

    /// Whether to reload: the files have changed and have been left alone since the last look, so
    /// that nothing half written is read.
    fn look(&mut self, seen: Seen) -> bool {
        let is_settled = seen == self.last;
        self.last = seen;
        if !is_settled || self.last == self.loaded {
            return false;
        }
        self.loaded = self.last.clone();
        true
    }
}

/// Says so whenever files have changed.
pub(crate) async fn run(sources: Sources, changed: Sender<()>, stop: CancellationToken) {
    let look = |sources: Sources| tokio::task::spawn_blocking(move || source::look(&sources.paths));
    let Ok(first) = look(sources.clone()).await else { return };
    let mut watch = Watch::new(first);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
        let Ok(seen) = look(sources.clone()).await else { return };
        // One that waits already is enough.
        if watch.look(seen) {
            let _ = changed.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_that_have_settled_are_loaded_once() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().to_owned()];
        let look = || source::look(&paths);
        let mut watch = Watch::new(look());
        assert!(!watch.look(look()));
        fs::write(directory.path().join("a.json"), "{}").unwrap();
        assert!(!watch.look(look()), "it may still be written to");
        assert!(watch.look(look()));
        assert!(!watch.look(look()));
        fs::write(directory.path().join("a.json"), "{ }").unwrap();
        assert!(!watch.look(look()));
        fs::write(directory.path().join("a.json"), "{  }").unwrap();
        assert!(!watch.look(look()), "it is written to again");
        assert!(watch.look(look()));
        fs::remove_file(directory.path().join("a.json")).unwrap();
        assert!(!watch.look(look()));
        assert!(watch.look(look()));
    }
}
