//! The daemon's framing of a container's two output streams in one: eight bytes of head, which
//! say the stream and the length, then the bytes.

use std::io::{self, Read};

/// Which stream a block belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output; by some versions also what went wrong with starting a process.
    Out,
    /// Standard error.
    Error,
    /// The daemon's own words about a stream that failed.
    Daemon,
}

/// Bytes that are handed on at a time, whatever a frame says of its length.
const BLOCK_BYTES: usize = 16 << 10;

/// Takes a multiplexed stream apart until it ends; a frame may be of any length, and comes in blocks.
///
/// # Errors
/// When the stream breaks off within a frame, or is not framed so.
pub fn demultiplex(mut stream: impl Read, take: &mut dyn FnMut(Stream, &[u8])) -> io::Result<()> {
    let mut block = [0; BLOCK_BYTES];
    loop {
        let mut head = [0; 8];
        if !filled(&mut stream, &mut head)? {
            return Ok(());
        }
        let [kind, 0, 0, 0, length @ ..] = head else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "invalid frame"));
        };
        let kind = match kind {
            // 0 is standard input, echoed by nobody.
            0 | 1 => Stream::Out,
            2 => Stream::Error,
            3 => Stream::Daemon,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "unknown stream")),
        };
        let mut left = u32::from_be_bytes(length) as usize;
        while left > 0 {
            let room = left.min(BLOCK_BYTES);
            let part = block.get_mut(..room).unwrap_or_default();
            match stream.read(part) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => {
                    take(kind, block.get(..got).unwrap_or_default());
                    left -= got;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether a head came; an end before its first byte is the stream's.
fn filled(stream: &mut impl Read, head: &mut [u8; 8]) -> io::Result<bool> {
    let mut have = 0;
    while have < head.len() {
        match stream.read(head.get_mut(have..).unwrap_or_default()) {
            Ok(0) if have == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(got) => have += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    type Told = (io::Result<()>, Vec<u8>, Vec<u8>);

    fn taken(bytes: &[u8]) -> Told {
        let (mut out, mut rest) = (Vec::new(), Vec::new());
        // A byte at a time: frames are split anywhere.
        let ended =
            demultiplex(
                BufReader::with_capacity(1, bytes),
                &mut |stream, block| match stream {
                    Stream::Out => out.extend_from_slice(block),
                    _ => rest.extend_from_slice(block),
                },
            );
        (ended, out, rest)
    }

    #[test]
    fn streams_are_told_apart() {
        let frames =
            b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x01!\x01\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\x01?";
        let (ended, out, rest) = taken(frames);
        assert!(ended.is_ok());
        assert_eq!((&out[..], &rest[..]), (&b"ab"[..], &b"!?"[..]));
    }

    #[test]
    fn what_is_not_framed_or_breaks_off_is_an_error() {
        for bytes in [
            &b"plain text that is no frame"[..],
            b"\x01\0\0\0\xff\xff\xff\xffonly this much",
            b"\x01\0\0\0",
            b"\x04\0\0\0\0\0\0\x01a",
        ] {
            assert!(taken(bytes).0.is_err());
        }
    }
}
