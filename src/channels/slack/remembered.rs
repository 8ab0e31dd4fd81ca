//! What is remembered of what is over: by name, and of the last so many alone.

use std::collections::{HashMap, VecDeque};

use crate::contracts::limits;

/// The last [`limits::SLACK_REMEMBERED`] that were put in.
pub(super) struct Remembered<V> {
    by_name: HashMap<String, V>,
    /// The names in `by_name`, each once, the oldest first.
    order: VecDeque<String>,
}

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<V> Remembered<V> {
    /// Puts it in, and forgets the oldest where there are too many.
    pub(super) fn insert(&mut self, name: String, value: V) {
        if self.by_name.insert(name.clone(), value).is_some() {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > limits::SLACK_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&V> {
        self.by_name.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        self.by_name.get_mut(name)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.by_name.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_remembered_and_the_oldest_is_forgotten_first() {
        let mut remembered = Remembered::default();
        for number in 0..=limits::SLACK_REMEMBERED {
            // What is put in again takes no second place.
            remembered.insert(number.to_string(), 0);
            remembered.insert(number.to_string(), number);
        }
        assert_eq!(remembered.get("0"), None);
        assert_eq!(remembered.get("1"), Some(&1));
        assert_eq!(remembered.values_mut().count(), limits::SLACK_REMEMBERED);
        assert_eq!(remembered.order.len(), limits::SLACK_REMEMBERED);
    }
}
