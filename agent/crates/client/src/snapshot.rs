//! The whole replicated state as one file.

use std::fs::File;
use std::time::Duration;

use crate::{Client, Failure, Parameters, Stream, innermost};

/// How long a snapshot may take to be restored.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(3600);
const PATH: &str = "/v1/snapshot";

impl Client {
    /// Saves the state; the file comes as it is written.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn snapshot_save(&self) -> Result<Stream, Failure> {
        self.stream(PATH, Parameters::default().flag("stale", self.options.stale)).await
    }

    /// Puts a saved state in place.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn snapshot_restore(&self, file: File) -> Result<(), Failure> {
        let (url, request) = self.request(reqwest::Method::PUT, PATH, Parameters::default());
        let unreachable = |error: &reqwest::Error| Failure::Unreachable {
            method: "Put",
            url: url.clone(),
            reason: innermost(error),
        };
        let request = request.timeout(RESTORE_TIMEOUT).body(tokio::fs::File::from_std(file));
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let message = response.text().await.map_err(|error| unreachable(&error))?;
        if status == 200 {
            return Ok(());
        }
        Err(Failure::Refused { status, message: message.trim_end().to_owned() })
    }
}
