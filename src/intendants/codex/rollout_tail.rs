//! Files that a harness writes while it runs, read line by line as they grow.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::contracts::limits;

/// Directories between the top and the files: year, month and day.
const DEPTH: usize = 3;
/// Bytes taken from a file at a time.
const BLOCK: usize = 64 << 10;

/// Something that was seen of the files.
pub(crate) enum Growth<'a> {
    /// A whole line, without its newline; `None` when it was longer than a line may be.
    Line(Option<&'a [u8]>),
    /// What nobody can follow any more; says why.
    Lost(&'static str),
}

/// Follows the `.jsonl` files below `top`, those to come included, until `ended`; then reads what
/// is left of them.
pub(crate) fn follow(top: &Path, ended: &AtomicBool, see: &mut dyn FnMut(Growth<'_>)) {
    let begun = Instant::now();
    let mut files: HashMap<PathBuf, Tail> = HashMap::new();
    loop {
        // Asked before the files are read, so that the last look comes after the end.
        let last = ended.load(Ordering::SeqCst);
        let mut paths = Vec::new();
        below(top, DEPTH, &mut paths);
        for path in paths {
            if files.contains_key(&path) {
                continue;
            }
            if files.len() >= limits::WITNESS_FILES {
                return see(Growth::Lost("it writes too many rollout files"));
            }
            match File::open(&path) {
                Ok(file) => drop(files.insert(path, Tail::of(file))),
                Err(_) => return see(Growth::Lost("cannot read its rollout")),
            }
        }
        for tail in files.values_mut() {
            match tail.read(see) {
                Ok(true) => {}
                Ok(false) => return see(Growth::Lost("its rollout was truncated")),
                Err(_) => return see(Growth::Lost("cannot read its rollout")),
            }
        }
        if last {
            return;
        }
        if files.is_empty() && begun.elapsed() > limits::WITNESS_PATIENCE {
            return see(Growth::Lost("it writes no rollout"));
        }
        std::thread::sleep(limits::WITNESS_REST);
    }
}

/// The `.jsonl` files within `depth` directories. What is a link is not the harness's own.
fn below(directory: &Path, depth: usize, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let path = entry.path();
        if kind.is_dir() && depth > 0 {
            below(&path, depth - 1, paths);
        } else if kind.is_file() && path.extension().is_some_and(|end| end == "jsonl") {
            paths.push(path);
        }
    }
}

/// The unread end of one file.
struct Tail {
    file: File,
    taken: u64,
    line: Vec<u8>,
    whole: bool,
}

impl Tail {
    fn of(file: File) -> Self {
        Self {
            file,
            taken: 0,
            line: Vec::new(),
            whole: true,
        }
    }

    /// Reads what has been added; false when the file has become shorter.
    fn read(&mut self, see: &mut dyn FnMut(Growth<'_>)) -> io::Result<bool> {
        let length = self.file.metadata()?.len();
        if length < self.taken {
            return Ok(false);
        }
        while self.taken < length {
            let mut block = [0; BLOCK];
            let got = match self.file.read(&mut block) {
                Ok(0) => return Ok(false),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.taken += got as u64;
            let mut rest = block.get(..got).unwrap_or_default();
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                self.add(rest.get(..end).unwrap_or_default(), see);
                if self.whole {
                    see(Growth::Line(Some(&self.line)));
                }
                self.line.clear();
                self.whole = true;
                rest = rest.get(end + 1..).unwrap_or_default();
            }
            self.add(rest, see);
        }
        Ok(true)
    }

    fn add(&mut self, bytes: &[u8], see: &mut dyn FnMut(Growth<'_>)) {
        if !self.whole {
            return;
        }
        if self.line.len() + bytes.len() > limits::STREAM_LINE_BYTES {
            self.whole = false;
            see(Growth::Line(None));
        } else {
            self.line.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_whole_and_a_cut_is_told() {
        let path = std::env::temp_dir().join(format!("agp-growing-{}", std::process::id()));
        let mut writer = File::create(&path).unwrap();
        let mut tail = Tail::of(File::open(&path).unwrap());
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut read = |tail: &mut Tail| {
            let kept = tail.read(&mut |growth| match growth {
                Growth::Line(line) => lines.push(line.unwrap_or(b"(giant)").to_vec()),
                Growth::Lost(why) => panic!("{why}"),
            });
            (kept.unwrap(), std::mem::take(&mut lines))
        };
        writer.write_all(b"a\nb").unwrap();
        assert_eq!(read(&mut tail), (true, vec![b"a".to_vec()]));
        writer.write_all(b"c\n\n").unwrap();
        assert_eq!(read(&mut tail), (true, vec![b"bc".to_vec(), b"".to_vec()]));
        writer
            .write_all(&vec![b'x'; limits::STREAM_LINE_BYTES + 1])
            .unwrap();
        writer.write_all(b"\nd\n").unwrap();
        assert_eq!(
            read(&mut tail),
            (true, vec![b"(giant)".to_vec(), b"d".to_vec()])
        );
        writer.set_len(1).unwrap();
        assert_eq!(read(&mut tail), (false, Vec::new()));
        fs::remove_file(&path).unwrap();
    }
}
