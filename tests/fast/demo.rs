//! The README's picture is what agp shows today.
#![allow(
    clippy::unwrap_used,
    reason = "a script that cannot be started fails the test"
)]

use std::path::Path;
use std::process::Command;

use crate::support::journal::have;

#[test]
fn the_picture_is_what_agp_shows_today() {
    if !have("python3", Command::new("python3").arg("--version")) {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/demo/render");
    let mut check = Command::new("python3");
    check.arg(script).arg("--check");
    let output = check
        .args(["--agp", env!("CARGO_BIN_EXE_agp")])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
