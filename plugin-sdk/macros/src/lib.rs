//! The attribute macros of the plugin SDK
