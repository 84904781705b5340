//! Benchmarks of Lictor
