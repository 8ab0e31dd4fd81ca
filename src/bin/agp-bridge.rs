//! The governor's command line.
fn main() {}
