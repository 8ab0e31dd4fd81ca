//! Words as paths, from each directory that is possible.

use super::state::{Dir, Dirs};
use crate::reading::atoms::PathText;
use crate::reading::paths;
use crate::reading::word::{Piece, Word};

/// Names of any depth, where a word stands for paths that were listed.
pub(super) const LISTED: &str = "**";

/// Where a word leads, from each directory.
pub(super) fn places(word: &Word, dirs: &Dirs) -> Vec<PathText> {
    let absolute = word.beginning().starts_with('/');
    let free = matches!(word.pieces.first(), Some(Piece::Unknown | Piece::Fields));
    if word.pieces.contains(&Piece::Fields) || free {
        return vec![PathText::Anywhere];
    }
    if absolute {
        return vec![from("/", word)];
    }
    let Some(dirs) = &dirs.0 else {
        return vec![PathText::Anywhere];
    };
    let mut places = Vec::new();
    for dir in dirs.iter() {
        let place = match dir {
            Dir::At(directory) => from(directory, word),
            // What climbs may leave it.
            Dir::Below(_) if climbs(word) => PathText::Anywhere,
            Dir::Below(directory) => PathText::Below(directory.clone()),
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Whether a `..` stands in what is known of a word.
pub(super) fn climbs(word: &Word) -> bool {
    word.pieces.iter().any(|piece| match piece {
        Piece::Text(text) | Piece::Glob(text) => text.split('/').any(|name| name == ".."),
        Piece::Unknown | Piece::Fields => false,
    })
}

fn from(directory: &str, word: &Word) -> PathText {
    if let Some(text) = word.known() {
        return PathText::Known(join(directory, text));
    }
    let beginning = word.beginning();
    let (parent, rest) = match beginning.rfind('/') {
        Some(at) => (
            beginning.get(..=at).unwrap_or_default(),
            beginning.get(at + 1..).unwrap_or_default(),
        ),
        None => ("", beginning),
    };
    let parent = join(directory, parent);
    // A name that is cut behind `..` may climb.
    if rest == ".." || rest == "." {
        return PathText::Anywhere;
    }
    if let [Piece::Glob(glob)] | [Piece::Text(_), Piece::Glob(glob)] = word.pieces.as_slice()
        && glob == LISTED
    {
        return PathText::Below(parent);
    }
    let mut pattern = escaped(rest);
    for piece in word.pieces.iter().skip(usize::from(!beginning.is_empty())) {
        match piece {
            Piece::Text(text) => pattern.push_str(&escaped(text)),
            Piece::Glob(glob) => pattern.push_str(glob),
            Piece::Unknown | Piece::Fields => return PathText::Below(parent),
        }
    }
    PathText::Glob(parent, pattern)
}

/// A path from a directory, without `.` at its ends, which say nothing.
pub(super) fn join(directory: &str, path: &str) -> String {
    let mut path = path;
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    let path = if path == "." { "" } else { path };
    let joined = paths::join(directory, path);
    match joined.trim_end_matches('/') {
        "" => "/".to_owned(),
        joined => joined.to_owned(),
    }
}

/// A text as a pathname pattern that matches only itself.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(
            c,
            '*' | '?' | '[' | ']' | '\\' | '(' | ')' | '|' | '!' | '+' | '@'
        ) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Where a word leads as directories to be in.
pub(super) fn directories(word: &Word, dirs: &Dirs, logical: bool) -> Dirs {
    let mut result = Dirs::unreached();
    for place in places(word, dirs) {
        let dir = match place {
            PathText::Known(path) | PathText::Below(path) | PathText::Glob(path, _)
                if path.len() > paths::PATH_BYTES =>
            {
                Dirs::unknown()
            }
            PathText::Known(path) if logical => Dirs::at(&paths::normal(&path)),
            PathText::Known(path) => Dirs::at(&path),
            PathText::Below(path) | PathText::Glob(path, _) => Dirs::of(Dir::Below(path)),
            PathText::Anywhere => Dirs::unknown(),
        };
        result = result.or(&dir);
    }
    result
}

/// A path's descriptor in `/dev/fd`, `/dev/stdin`, or a device that keeps nothing: no file.
pub(super) fn is_no_file(path: &str) -> bool {
    matches!(
        path,
        "/dev/null" | "/dev/stdin" | "/dev/stdout" | "/dev/stderr" | "/dev/tty"
    ) || path.strip_prefix("/dev/fd/").is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// `/dev/tcp/HOST/PORT`, which bash connects to: host and port.
pub(super) fn connection(path: &str) -> Option<(&str, &str)> {
    let rest = path
        .strip_prefix("/dev/tcp/")
        .or_else(|| path.strip_prefix("/dev/udp/"))?;
    rest.split_once('/')
}
