//! Where this node is: a point of a space in which distance is round-trip time.
//!
//! Vivaldi with the additions that Serf has published: heights for what every way from a node
//! takes, an adjustment for what is constantly off, a filter against single slow answers, and a
//! little gravity so that a pool does not drift away from the origin.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use lictor_model::coordinate::Coordinate;
use rand_for_foca::RngExt;

const DIMENSIONS: usize = 8;
const ERROR_MAX: f64 = 1.5;
const ERROR_STEP: f64 = 0.25;
const FORCE_STEP: f64 = 0.25;
const ADJUSTMENT_WINDOW: usize = 20;
const HEIGHT_MIN: f64 = 10.0e-6;
const LATENCY_WINDOW: usize = 3;
const GRAVITY: f64 = 150.0;
/// Below this, in seconds, two things are the same.
const ZERO: f64 = 1.0e-6;
/// Round-trip times beyond this, in seconds, are no measurement.
const LONGEST: f64 = 10.0;
/// For how many others answers are remembered.
const MOST_PEERS: usize = 4096;

/// A node's own point, and what moves it.
pub(crate) struct Vivaldi {
    point: Coordinate,
    adjustments: VecDeque<f64>,
    latencies: HashMap<u64, VecDeque<f64>>,
    /// Where others were when they last answered.
    others: HashMap<u64, Coordinate>,
}

impl Default for Vivaldi {
    fn default() -> Self {
        Self {
            point: start(),
            adjustments: VecDeque::new(),
            latencies: HashMap::new(),
            others: HashMap::new(),
        }
    }
}

fn start() -> Coordinate {
    Coordinate { vec: vec![0.0; DIMENSIONS], error: ERROR_MAX, adjustment: 0.0, height: HEIGHT_MIN }
}

fn is_valid(point: &Coordinate) -> bool {
    point.vec.len() == DIMENSIONS
        && point.vec.iter().chain([&point.error, &point.adjustment, &point.height]).all(|x| x.is_finite())
}

fn raw_distance(a: &Coordinate, b: &Coordinate) -> f64 {
    let squares: f64 = a.vec.iter().zip(&b.vec).map(|(a, b)| (a - b).powi(2)).sum();
    squares.sqrt() + a.height + b.height
}

impl Vivaldi {
    pub(crate) fn point(&self) -> &Coordinate {
        &self.point
    }

    /// Someone else has answered after this time, and says where it is. What makes no sense is
    /// left out of account.
    pub(crate) fn measured(
        &mut self,
        peer: u64,
        other: &Coordinate,
        took: Duration,
        chance: &mut impl RngExt,
    ) {
        let took = took.as_secs_f64();
        if !is_valid(other) || took > LONGEST {
            return;
        }
        if self.others.len() < MOST_PEERS || self.others.contains_key(&peer) {
            self.others.insert(peer, other.clone());
        }
        let took = self.filter(peer, took);
        self.attract(other, took, chance);
        self.adjust(other, took);
        self.fall(chance);
        if !is_valid(&self.point) {
            (self.point, self.adjustments) = (start(), VecDeque::new());
        }
    }

    /// Nothing is asked of this one any more.
    pub(crate) fn forget(&mut self, peer: u64) {
        self.latencies.remove(&peer);
        self.others.remove(&peer);
    }

    /// Where another was when it last answered.
    pub(crate) fn of(&self, peer: u64) -> Option<&Coordinate> {
        self.others.get(&peer)
    }

    /// The middle one of the last measurements with this peer.
    fn filter(&mut self, peer: u64, took: f64) -> f64 {
        if self.latencies.len() >= MOST_PEERS && !self.latencies.contains_key(&peer) {
            return took;
        }
        let recent = self.latencies.entry(peer).or_default();
        recent.push_back(took);
        if recent.len() > LATENCY_WINDOW {
            recent.pop_front();
        }
        let mut sorted: Vec<f64> = recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(took)
    }

    fn attract(&mut self, other: &Coordinate, took: f64, chance: &mut impl RngExt) {
        let took = took.max(ZERO);
        let distance = self.point.distance(other);
        let wrongness = (distance - took).abs() / took;
        let weight = self.point.error / (self.point.error + other.error).max(ZERO);
        let step = ERROR_STEP * weight;
        self.point.error = (step * wrongness + self.point.error * (1.0 - step)).min(ERROR_MAX);
        self.push(FORCE_STEP * weight * (took - distance), other, chance);
    }

    fn adjust(&mut self, other: &Coordinate, took: f64) {
        self.adjustments.push_back(took - raw_distance(&self.point, other));
        if self.adjustments.len() > ADJUSTMENT_WINDOW {
            self.adjustments.pop_front();
        }
        let sum: f64 = self.adjustments.iter().sum();
        self.point.adjustment = sum / (2.0 * ADJUSTMENT_WINDOW as f64);
    }

    fn fall(&mut self, chance: &mut impl RngExt) {
        let origin = start();
        let force = -(origin.distance(&self.point) / GRAVITY).powi(2);
        self.push(force, &origin, chance);
    }

    /// Moves away from the other point with this force; towards it if it is negative.
    fn push(&mut self, force: f64, other: &Coordinate, chance: &mut impl RngExt) {
        let (direction, length) = direction(&self.point.vec, &other.vec, chance);
        for (value, unit) in self.point.vec.iter_mut().zip(direction) {
            *value += unit * force;
        }
        if length > ZERO {
            let height = (self.point.height + other.height) * force / length + self.point.height;
            self.point.height = height.max(HEIGHT_MIN);
        }
    }
}

/// The unit vector from `b` to `a` and how far that is; a random one where they are the same.
fn direction(a: &[f64], b: &[f64], chance: &mut impl RngExt) -> (Vec<f64>, f64) {
    let length_of = |vector: &[f64]| vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    let between: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let length = length_of(&between);
    if length > ZERO {
        return (between.iter().map(|x| x / length).collect(), length);
    }
    let any: Vec<f64> = a.iter().map(|_| chance.random_range(-0.5..0.5)).collect();
    let length = length_of(&any).max(ZERO);
    (any.iter().map(|x| x / length).collect(), 0.0)
}

#[cfg(test)]
mod tests {
    use rand_for_foca::SeedableRng;
    use rand_for_foca::rngs::StdRng;

    use super::*;

    #[test]
    fn points_come_to_tell_the_times_that_were_measured() {
        let mut chance = StdRng::seed_from_u64(3);
        // Nodes in two towns, 40 ms apart; within a town it is 2 ms.
        let time = |a: usize, b: usize| Duration::from_millis(if a % 2 == b % 2 { 2 } else { 40 });
        let mut nodes: Vec<Vivaldi> = (0..10).map(|_| Vivaldi::default()).collect();
        for _ in 0..4000 {
            let (a, b) = (chance.random_range(0..10_usize), chance.random_range(0..10_usize));
            if a != b {
                let other = nodes[b].point().clone();
                nodes[a].measured(b as u64, &other, time(a, b), &mut chance);
            }
        }
        for a in 0..10 {
            for b in (0..10).filter(|b| *b != a) {
                let told = nodes[a].point().distance(nodes[b].point());
                let true_time = time(a, b).as_secs_f64();
                assert!((told - true_time).abs() < 0.006, "{a} to {b}: {told} instead of {true_time}");
            }
        }
    }

    #[test]
    fn nonsense_moves_nothing() {
        let mut chance = StdRng::seed_from_u64(4);
        let mut node = Vivaldi::default();
        let second = Duration::from_secs(1);
        node.measured(1, &Coordinate { vec: vec![0.0; 3], ..start() }, second, &mut chance);
        node.measured(1, &Coordinate { height: f64::NAN, ..start() }, second, &mut chance);
        node.measured(1, &start(), Duration::from_secs(11), &mut chance);
        assert_eq!(node.point(), &start());
        node.measured(1, &start(), second, &mut chance);
        assert_ne!(node.point(), &start());
    }
}
