//! The real bash as the reference.
