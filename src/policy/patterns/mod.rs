//! What a rule writes to choose atoms: names, paths, hosts, commands. Each is compiled once.

pub(super) mod command;
pub(super) mod host;
pub(super) mod matching;
pub(super) mod name;
mod options;
pub(super) mod path;
mod pattern_error;
pub(super) mod place;
pub(super) mod view;

pub(super) use pattern_error::PatternError;

/// A list of a rule: what it chooses, and what `!` takes out of that whatever the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List<T> {
    /// Empty where the list is of exclusions alone, which begins with everything.
    pub(super) included: Vec<T>,
    pub(super) excluded: Vec<T>,
}

impl<T> List<T> {
    /// Whether something is in the list: `included` and `excluded` say whether a pattern speaks about it.
    pub(super) fn has(
        &self,
        included: impl FnMut(&T) -> bool,
        excluded: impl FnMut(&T) -> bool,
    ) -> bool {
        let chosen = self.included.is_empty() || self.included.iter().any(included);
        chosen && !self.excluded.iter().any(excluded)
    }
}

#[cfg(test)]
mod tests;
