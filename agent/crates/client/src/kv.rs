//! The key-value store.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::{Client, Failure, Parameters};

/// An entry of the key-value store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Entry {
    /// Its full path.
    pub key: String,
    /// Its content.
    #[serde(deserialize_with = "base64_or_null")]
    pub value: Vec<u8>,
    /// A number of the client's.
    pub flags: u64,
    /// How often it has been locked.
    pub lock_index: u64,
    /// The session that holds its lock.
    pub session: String,
    /// The Raft index at which it was created.
    pub create_index: u64,
    /// The Raft index of its last change.
    pub modify_index: u64,
}

fn base64_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

/// How to write an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// Its flags.
    pub flags: u64,
    /// Only if its modify index is this.
    pub cas: Option<u64>,
    /// Lock it with this session.
    pub acquire: String,
    /// Unlock it with this session.
    pub release: String,
}

impl Client {
    /// One entry.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn kv_get(&self, key: &str) -> Result<Option<Entry>, Failure> {
        Ok(self.entries(key, Parameters::default()).await?.into_iter().next())
    }

    /// All entries below a prefix.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn kv_list(&self, prefix: &str) -> Result<Vec<Entry>, Failure> {
        self.entries(prefix, Parameters::default().flag("recurse", true)).await
    }

    async fn entries(&self, path: &str, parameters: Parameters) -> Result<Vec<Entry>, Failure> {
        let answer = self.get(&format!("/v1/kv/{path}"), parameters).await?;
        if answer.status == 404 { Ok(Vec::new()) } else { answer.json() }
    }

    /// The paths below a prefix.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn kv_keys(&self, prefix: &str, separator: &str) -> Result<Vec<String>, Failure> {
        let parameters = Parameters::default().flag("keys", true).unless_empty("separator", separator);
        let answer = self.get(&format!("/v1/kv/{prefix}"), parameters).await?;
        if answer.status == 404 { Ok(Vec::new()) } else { answer.json() }
    }

    /// Writes an entry. Returns whether its condition held.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn kv_put(&self, key: &str, value: Vec<u8>, options: &PutOptions) -> Result<bool, Failure> {
        let mut parameters = Parameters::default()
            .unless_empty("acquire", &options.acquire)
            .unless_empty("release", &options.release);
        if options.flags != 0 {
            parameters = parameters.value("flags", options.flags);
        }
        if let Some(index) = options.cas {
            parameters = parameters.value("cas", index);
        }
        self.put(&format!("/v1/kv/{key}"), parameters, value).await?.json()
    }

    /// Writes entries together: all of them, or none. Only key, value and flags count.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn kv_put_all(&self, entries: &[Entry]) -> Result<(), Failure> {
        let operations: Vec<_> = entries
            .iter()
            .map(|entry| {
                let value = STANDARD.encode(&entry.value);
                json!({"KV": {"Verb": "set", "Key": entry.key, "Value": value, "Flags": entry.flags}})
            })
            .collect();
        let body = serde_json::to_vec(&operations).map_err(|error| Failure::Garbled(error.to_string()))?;
        self.put("/v1/txn", Parameters::default(), body).await.map(drop)
    }

    /// Deletes an entry. Returns whether its condition held.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn kv_delete(&self, key: &str, cas: Option<u64>) -> Result<bool, Failure> {
        let parameters = match cas {
            None => Parameters::default(),
            Some(index) => Parameters::default().value("cas", index),
        };
        self.delete(&format!("/v1/kv/{key}"), parameters).await?.json()
    }

    /// Deletes all entries below a prefix.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn kv_delete_tree(&self, prefix: &str) -> Result<bool, Failure> {
        let parameters = Parameters::default().flag("recurse", true);
        self.delete(&format!("/v1/kv/{prefix}"), parameters).await?.json()
    }
}
