//! Slots for so many at a time, each given back when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Slots for so many at a time.
#[derive(Debug, Clone)]
pub struct Slots {
    taken: Arc<AtomicUsize>,
    most: usize,
}

impl Slots {
    /// None of them taken.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            taken: Arc::default(),
            most,
        }
    }

    /// Takes one, if one is free.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        // Counted first, so that a slot that is not had is given back like any other.
        let slot = Slot(Arc::clone(&self.taken));
        (self.taken.fetch_add(1, Ordering::SeqCst) < self.most).then_some(slot)
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

/// One of them, given back also when its holder panics.
#[derive(Debug)]
pub struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_said_and_each_comes_back() {
        let slots = Slots::new(2);
        let (one, two) = (slots.take(), slots.take());
        assert!(one.is_some() && two.is_some() && slots.take().is_none());
        assert_eq!(slots.taken(), 2);
        drop(one);
        assert!(slots.take().is_some());
        drop(two);
        assert_eq!(slots.taken(), 0);
    }
}
