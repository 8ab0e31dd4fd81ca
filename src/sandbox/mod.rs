//! Where agp runs the calls that it executes itself.

pub mod recording;
