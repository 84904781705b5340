//! Services and checks as users write them down, in files or over the HTTP API.
//!
//! [`decode`] accepts both spellings: files write `enable_tag_override`, the API
//! `EnableTagOverride` in any case. Both are squashed to one canonical key (lower case, no
//! underscores) before they are read, so that the structs below have one name per field.

mod check;
pub mod decode;
mod service;

pub use check::{CheckDefinition, Thresholds, UnknownPolicy};
pub use service::{AddressDefinition, ServiceDefinition, WeightsDefinition};
