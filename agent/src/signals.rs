//! What the operating system tells the agent.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals the agent listens to.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// Nobody waits for it; that somebody could makes a write beyond a limit of the operating
    /// system fail, like one to a full disk, instead of ending the process in the midst of things.
    _file_limit: Signal,
}

/// The number of SIGXFSZ, which has no name in reach.
const FILE_LIMIT: i32 = 25;

/// A signal, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    Hangup,
}

impl Signals {
    /// Listens from now on; until then signals have their usual effect.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            _file_limit: signal(SignalKind::from_raw(FILE_LIMIT))?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Interrupt,
            _ = self.terminate.recv() => Told::Terminate,
            _ = self.hangup.recv() => Told::Hangup,
        }
    }
}
