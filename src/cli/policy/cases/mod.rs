//! Cases with expected verdicts: what `agp policy test` and the corpus in `tests/policy` run. Nothing of a case is run
//! but the policy; the files that a header names are made in a directory of their own.

mod ground;
mod lines;
mod run;

pub use lines::NotCases;
pub use run::{Failing, Report, run};
