//! Watches and event handlers: who is told when an answer changes or an event arrives.
//!
//! This room is a door so far: no handler runs in this build, and configuration that asks for one
//! is answered with a warning. What will live here speaks to the
//! [`Backend`](lictor_model::seam::Backend) like every other edge, keeps a cursor per watch, and
//! must never let a slow handler hold anything up.
