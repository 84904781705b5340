//! Randomness: seeds for deterministic cores, and jitter that keeps agents out of step.

use std::time::Duration;

use rand::Rng;
use rand::seq::SliceRandom;

/// A seed from the operating system.
#[must_use]
pub fn seed() -> u64 {
    rand::rng().random()
}

/// A duration somewhere in `0..range`, to stagger what would otherwise happen at once.
#[must_use]
pub fn jitter(range: Duration) -> Duration {
    range.mul_f64(rand::rng().random_range(0.0..1.0))
}

/// A secret of 256 bits.
#[must_use]
pub fn secret() -> [u8; 32] {
    rand::rng().random()
}

/// Puts items into a random order.
pub fn shuffle<T>(items: &mut [T]) {
    items.shuffle(&mut rand::rng());
}

/// One of `0..count`, each as likely as the other; 0 if there is none.
#[must_use]
pub fn below(count: usize) -> usize {
    rand::rng().random_range(0..count.max(1))
}
