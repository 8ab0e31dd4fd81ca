//! How rules combine.
