//! What a harness's own record says about a call that has run: its post-tool hook does not tell
//! whether a command failed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::contracts::limits;

/// How often the record is looked at; it is written by another thread of the harness's.
const LOOKS: u32 = 5;
/// The rest between two looks.
const REST: Duration = Duration::from_millis(4);

/// Whether the record says that this call's command failed. What it does not say did not.
pub(super) fn failed(record: &Path, id: &str) -> bool {
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(REST);
        }
        if let Some(failed) = look_up(record, id) {
            return failed;
        }
    }
    false
}

fn look_up(record: &Path, id: &str) -> Option<bool> {
    let mut file = File::open(record).ok()?;
    let length = file.metadata().ok()?.len();
    let from = length.saturating_sub(limits::RECORD_TAIL_BYTES);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut tail = Vec::new();
    file.take(limits::RECORD_TAIL_BYTES)
        .read_to_end(&mut tail)
        .ok()?;
    told_in(&tail, id)
}

/// What the end of a record says of a call.
pub(super) fn told_in(tail: &[u8], id: &str) -> Option<bool> {
    let lines = tail.rsplit(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .find_map(|line| {
            let item = line.pointer("/payload/item")?;
            let own = line.pointer("/payload/type")? == "item_completed" && item.get("id")? == id;
            own.then(|| item.get("status").is_some_and(|status| status == "failed"))
        })
}
