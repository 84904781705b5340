//! Access control.

use serde_json::Value;

use crate::{Client, Failure, Parameters};

impl Client {
    /// The tokens, as the API writes them.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn tokens(&self) -> Result<Value, Failure> {
        self.get("/v1/acl/tokens", Parameters::default()).await?.json()
    }

    /// Makes the first token, which may do everything.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn bootstrap_acl(&self) -> Result<Value, Failure> {
        self.put("/v1/acl/bootstrap", Parameters::default(), Vec::new()).await?.json()
    }
}
