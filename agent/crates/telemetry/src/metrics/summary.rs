//! What came together of a figure.

/// Counts and sums, in the unit of the figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// How often.
    pub count: u64,
    /// All together.
    pub sum: f64,
    /// The squares of all together.
    pub squares: f64,
    /// The least; 0 if there is none.
    pub min: f64,
    /// The most; 0 if there is none.
    pub max: f64,
}

impl Summary {
    /// Something that was counted so often.
    #[must_use]
    pub fn counted(count: u64) -> Self {
        let (sum, each) = (count as f64, f64::from(u8::from(count > 0)));
        Self { count, sum, squares: sum, min: each, max: each }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.count, other.count) {
            (_, 0) => self,
            (0, _) => other,
            _ => Self {
                count: self.count + other.count,
                sum: self.sum + other.sum,
                squares: self.squares + other.squares,
                min: self.min.min(other.min),
                max: self.max.max(other.max),
            },
        }
    }

    /// What each came to, on average.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// The standard deviation of a sample; 0 for fewer than two.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let count = self.count as f64;
        let spread = count * self.squares - self.sum * self.sum;
        // Rounding may leave less than nothing.
        (spread.max(0.0) / (count * (count - 1.0))).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_a_whole() {
        let one =
            |value: f64| Summary { count: 1, sum: value, squares: value * value, min: value, max: value };
        let all = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]
            .map(one)
            .into_iter()
            .fold(Summary::default(), Summary::and);
        assert_eq!((all.count, all.min, all.max, all.mean()), (8, 2.0, 9.0, 5.0));
        assert!((all.deviation() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(Summary::default().and(all), all);
        assert_eq!((one(3.0).deviation(), Summary::default().mean()), (0.0, 0.0));
    }
}
