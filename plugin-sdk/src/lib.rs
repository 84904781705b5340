//! Write health checks for Lictor as WebAssembly components
