//! What a confinement that stands already is to run: one JSON line on its keeper's standard input,
//! and behind it what the command reads.

use std::io;

use serde::{Deserialize, Serialize};

/// Bytes of the line: an argument is bounded by Linux at 128 KiB, and escapes to six times as many.
const HEAD_BYTES: usize = 2 << 20;
/// Bytes that a command can be given to read.
const INPUT_BYTES: u64 = 64 << 20;

/// A command to run, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommandOrder {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables that it has besides the keeper's own.
    pub environment: Vec<(String, String)>,
    /// How long it has.
    pub deadline_millis: u64,
    /// How much it is given to read; what reads nothing gets `/dev/null`.
    pub input_bytes: u64,
}

impl CommandOrder {
    /// The order and what its command reads, as they are sent.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub fn sent(&self, input: &[u8]) -> io::Result<Vec<u8>> {
        let mut sent = serde_json::to_vec(self)?;
        sent.push(b'\n');
        sent.extend_from_slice(input);
        Ok(sent)
    }

    /// Reads an order from what has come so far; `None` while it is not all there. Gives with it what
    /// the command reads.
    ///
    /// # Errors
    /// When it is none, or too long.
    pub fn read(come: &[u8]) -> io::Result<Option<(Self, &[u8])>> {
        let invalid = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem);
        let Some(end) = come.iter().position(|byte| *byte == b'\n') else {
            return match come.len() > HEAD_BYTES {
                true => Err(invalid("the job is too long")),
                false => Ok(None),
            };
        };
        let (head, input) = come.split_at(end);
        let job: Self = serde_json::from_slice(head)?;
        if job.input_bytes > INPUT_BYTES {
            return Err(invalid("the job's input is too long"));
        }
        let input = input.get(1..).unwrap_or_default();
        match (input.len() as u64).cmp(&job.input_bytes) {
            std::cmp::Ordering::Less => Ok(None),
            std::cmp::Ordering::Equal => Ok(Some((job, input))),
            std::cmp::Ordering::Greater => Err(invalid("more input than the job announced")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_when_all_of_it_is_there_and_no_sooner() {
        let job = CommandOrder {
            command: vec!["/bin/echo".into(), "a\nb".into()],
            environment: vec![("A".into(), "b".into())],
            deadline_millis: 7,
            input_bytes: 3,
        };
        let sent = job.sent(b"x\ny").unwrap();
        for end in 0..sent.len() {
            assert_eq!(CommandOrder::read(&sent[..end]).unwrap(), None, "{end}");
        }
        let read = CommandOrder::read(&sent).unwrap().unwrap();
        assert_eq!(read, (job.clone(), &b"x\ny"[..]));
        assert!(CommandOrder::read(&[sent, b"z".to_vec()].concat()).is_err());
        assert!(CommandOrder::read(b"{}\n").is_err());
        assert!(CommandOrder::read(&vec![b' '; HEAD_BYTES + 1]).is_err());
        let endless = CommandOrder {
            input_bytes: u64::MAX,
            ..job
        };
        assert!(CommandOrder::read(&endless.sent(b"").unwrap()).is_err());
    }
}
