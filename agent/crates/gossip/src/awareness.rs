//! How much this node trusts itself: health awareness in the manner of Lifeguard.
//!
//! A node that is starved of processor time or network misses answers, and takes the others for
//! dead. Such a node can know: its own probes fail while those it asked for help say nothing
//! either, others suspect it, or its own timers ring late. Each of these raises its score. The
//! higher the score, the longer it waits, for answers and before it declares anybody failed.

use std::time::Duration;

/// The worst score.
const WORST: u32 = 8;

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awareness {
    enabled: bool,
    score: u32,
}

impl Awareness {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, score: 0 }
    }

    /// 0 is well, 8 is as bad as can be.
    pub(crate) fn score(&self) -> u32 {
        self.score
    }

    pub(crate) fn worse(&mut self, by: u32) {
        if self.enabled {
            self.score = self.score.saturating_add(by).min(WORST);
        }
    }

    pub(crate) fn better(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// A time, as long as this node needs for it now.
    pub(crate) fn stretch(&self, time: Duration) -> Duration {
        time.saturating_mul(self.score + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_grow_with_the_score_which_has_bounds() {
        let mut awareness = Awareness::new(true);
        let second = Duration::from_secs(1);
        assert_eq!(awareness.stretch(second), second);
        awareness.worse(2);
        assert_eq!(awareness.stretch(second), second * 3);
        awareness.worse(100);
        assert_eq!((awareness.score(), awareness.stretch(second)), (8, second * 9));
        for _ in 0..10 {
            awareness.better();
        }
        assert_eq!(awareness.score(), 0);
        let mut unaware = Awareness::new(false);
        unaware.worse(3);
        assert_eq!(unaware.stretch(second), second);
    }
}
