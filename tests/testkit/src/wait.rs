//! Waiting for something to become true: the only way in which tests wait.

use std::time::{Duration, Instant};

/// How often is looked.
const EVERY: Duration = Duration::from_millis(15);
/// How long is waited on machines that are busy with other tests.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until `look` finds something and returns it.
///
/// # Panics
/// If that takes longer than any healthy agent needs; shows what was seen last.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    eventually_within(PATIENCE, what, look)
}

/// Waits until `look` finds something, for at most `patience`.
///
/// # Panics
/// If that takes longer; shows what was seen last.
#[track_caller]
pub fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => {
                assert!(Instant::now() < deadline, "{what}: not within {patience:?}; last seen: {seen}");
            }
        }
        std::thread::sleep(EVERY);
    }
}
