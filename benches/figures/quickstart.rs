//! `agp quickstart` in an empty home, start to end: scaffolded, given a key, attested, played, verified.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Fallible;
use crate::process::{AGP, succeeded};
use crate::report::{Figure, Target};
use crate::timing::Durations;

/// Empty homes.
const TURNS: usize = 15;

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let home = work.join("quickstart");
    let mut durations = Durations::default();
    for _ in 0..TURNS {
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        let mut agp = Command::new(AGP);
        let agp = agp.arg("quickstart").env("AGP_HOME", &home);
        let agp = agp.stdin(Stdio::null()).stdout(Stdio::null());
        let status = durations.time(|| agp.stderr(Stdio::null()).status())?;
        succeeded(status)?;
    }
    fs::remove_dir_all(&home)?;
    Ok(vec![Figure {
        name: "quickstart in an empty home, slowest",
        ours: durations.quantile(1.0) / 1000.0,
        reference: None,
        unit: "ms",
        target: Target::Below(1000.0),
        note: format!(
            "{TURNS} homes, process start to exit; median {:.0} ms",
            durations.median() / 1000.0
        ),
    }])
}
