//! Durations: what a number of them comes to.

use std::time::{Duration, Instant};

/// The durations of one kind of thing.
#[derive(Default)]
pub(crate) struct Durations(Vec<Duration>);

impl Durations {
    /// Times one.
    pub(crate) fn time<T>(&mut self, what: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = what();
        self.0.push(started.elapsed());
        result
    }

    /// Takes in one that was timed elsewhere.
    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// The middle one, in microseconds.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The mean, in microseconds.
    pub(crate) fn mean(&self) -> f64 {
        micros(self.0.iter().sum()) / count(self.0.len())
    }

    /// The smallest duration that the share `q` of all do not exceed, in microseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list that fits memory, from a share between 0 and 1"
    )]
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = (count(sorted.len()) * q).ceil() as usize;
        let found = sorted.get(place.saturating_sub(1)).copied();
        micros(found.unwrap_or_default())
    }
}

/// The middle of some numbers.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// A number of things as a number to calculate with.
pub(crate) fn count(things: usize) -> f64 {
    u32::try_from(things).map_or(f64::INFINITY, f64::from)
}
