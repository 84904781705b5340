//! Durations as users write them: Go's notation, such as `1h15m`, `300ms` or `1.5s`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The longest duration Go can express, in nanoseconds (about 292 years).
const MAX_NANOS: u128 = i64::MAX as u128;

/// A duration that reads and writes Go's notation; plain numbers are nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub Duration);

impl GoDuration {
    /// Whether no time was given.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

/// Parses Go's notation.
///
/// # Errors
/// A message in the wording of Go's `time.ParseDuration`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() || unsigned.starts_with('-') {
        return Err(invalid());
    }
    let mut rest = unsigned;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        if !number.bytes().any(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let unit_length = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        total = total.saturating_add(scaled(number, *scale).ok_or_else(invalid)?);
        if total > MAX_NANOS {
            return Err(invalid());
        }
        rest = tail;
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| invalid())
}

/// `number`, which may have a fraction, times `scale` nanoseconds.
fn scaled(number: &str, scale: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
        return None;
    }
    let mut nanos = if whole.is_empty() { 0 } else { whole.parse::<u128>().ok()? } * u128::from(scale);
    let mut unit = u128::from(scale);
    for digit in fraction.bytes().take(18) {
        unit /= 10;
        nanos += unit * u128::from(digit - b'0');
    }
    Some(nanos)
}

/// Writes Go's notation, as `time.Duration.String` does.
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return format!("{}µs", with_fraction(nanos, 1_000));
    }
    if nanos < 1_000_000_000 {
        return format!("{}ms", with_fraction(nanos, 1_000_000));
    }
    let minutes = nanos / 60_000_000_000;
    let seconds = with_fraction(nanos % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn with_fraction(nanos: u128, unit: u128) -> String {
    let whole = nanos / unit;
    let fraction = nanos % unit;
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format(self.0))
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Nanoseconds(i64),
            Fraction(f64),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) if text.is_empty() => Ok(Self::default()),
            Written::Text(text) => parse(&text).map(Self).map_err(serde::de::Error::custom),
            Written::Nanoseconds(nanos) => u64::try_from(nanos)
                .map(|nanos| Self(Duration::from_nanos(nanos)))
                .map_err(|_| serde::de::Error::custom("a duration must not be negative")),
            Written::Fraction(nanos) if nanos.is_finite() && (0.0..9.2e18).contains(&nanos) => {
                Ok(Self(Duration::from_secs_f64(nanos / 1e9)))
            }
            Written::Fraction(_) => Err(serde::de::Error::custom("a duration must not be negative")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_go_reads() {
        assert_eq!(parse("1h15m30.918s"), Ok(Duration::from_millis(4_530_918)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse(".5s"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        assert_eq!(parse("10"), Err("time: missing unit in duration \"10\"".to_owned()));
        assert_eq!(parse("1x"), Err("time: unknown unit \"x\" in duration \"1x\"".to_owned()));
        assert_eq!(parse(""), Err("time: invalid duration \"\"".to_owned()));
        assert!(parse("9999999999h").is_err());
    }

    #[test]
    fn writes_what_go_writes() {
        assert_eq!(format(Duration::from_secs(5400)), "1h30m0s");
        assert_eq!(format(Duration::from_millis(200)), "200ms");
        assert_eq!(format(Duration::from_micros(1500)), "1.5ms");
        assert_eq!(format(Duration::ZERO), "0s");
    }

    proptest! {
        #[test]
        fn round_trips(nanos in 0u64..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
