//! Words as paths, from each directory that is possible.

use super::state::{Dir, Dirs};
use crate::reading::atoms::PathText;
use crate::reading::paths;
use crate::reading::word::{Piece, Word};

/// What a [`Piece::Glob`] begins with that stands for paths that were listed. No pattern of a command's does: a blank
/// stands in one only within brackets or parentheses.
const LISTED: &str = "** ";

/// Endings of names under which nobody keeps a secret that git ignores.
pub(super) const SOURCES: &[&str] = &[
    "c", "cc", "cpp", "cs", "css", "ex", "exs", "go", "h", "hpp", "html", "java", "js", "jsx",
    "kt", "lua", "md", "mjs", "php", "proto", "py", "rb", "rs", "rst", "scss", "sh", "sql",
    "svelte", "swift", "toml", "ts", "tsx", "vue",
];

/// Paths that a program has listed, one a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Listed {
    /// Without what git ignores.
    pub(super) leaves_out_ignored: bool,
    /// Only files whose path matches this ([`crate::reading::pathname::below_matches`]).
    pub(super) only: Option<String>,
    /// None of them begins with `-`.
    pub(super) no_options: bool,
}

impl Listed {
    /// As a piece of a word.
    pub(super) fn piece(&self) -> Piece {
        let kind = if self.leaves_out_ignored {
            "kept"
        } else {
            "any"
        };
        let sure = if self.no_options { "!" } else { "" };
        let only = self.only.as_deref().unwrap_or_default();
        Piece::Glob(format!("{LISTED}{kind}{sure} {only}"))
    }

    /// As a word: paths below the directory at hand.
    pub(super) fn word(&self) -> Word {
        Word {
            pieces: vec![self.piece()],
        }
    }

    /// What a pattern stands for, where it is a listing.
    pub(super) fn of(glob: &str) -> Option<Self> {
        let (kind, only) = glob.strip_prefix(LISTED)?.split_once(' ')?;
        let sure = kind.strip_suffix('!');
        Some(Self {
            leaves_out_ignored: sure.unwrap_or(kind) == "kept",
            no_options: sure.is_some(),
            only: (!only.is_empty()).then(|| only.to_owned()),
        })
    }
}

/// A word as others see it: a listing is names of any depth.
pub(super) fn plain(word: &Word) -> Word {
    let mut word = word.clone();
    for piece in &mut word.pieces {
        if let Piece::Glob(glob) = piece
            && glob.starts_with(LISTED)
        {
            "**".clone_into(glob);
        }
    }
    word
}

/// The listing that a word is, with no more than a directory before it.
pub(super) fn listing(word: &Word) -> Option<Listed> {
    match word.pieces.as_slice() {
        [Piece::Glob(glob)] => Listed::of(glob),
        [Piece::Text(text), Piece::Glob(glob)] if text.ends_with('/') => {
            let mut listed = Listed::of(glob)?;
            // git was asked about other names.
            listed.leaves_out_ignored &= text == "./";
            Some(listed)
        }
        [Piece::Text(text), rest @ ..] if text.ends_with('/') => sources_below(rest),
        rest => sources_below(rest),
    }
}

/// `**/*.rs`: without `globstar` the first stars are one name, with it any directories. Names of other endings can
/// be links to anything; those of [`SOURCES`] are taken as a search takes them.
fn sources_below(pieces: &[Piece]) -> Option<Listed> {
    let [
        Piece::Glob(any),
        Piece::Text(slash),
        Piece::Glob(star),
        Piece::Text(ending),
    ] = pieces
    else {
        return None;
    };
    let source = ending
        .strip_prefix('.')
        .is_some_and(|ending| SOURCES.contains(&ending));
    (any == "**" && slash == "/" && star == "*" && source).then(|| Listed {
        only: Some(format!("*{ending}")),
        ..Listed::default()
    })
}

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
        Piece::Unknown | Piece::Below | Piece::Fields => false,
    })
}

/// Whether all of a word is known but for names that were matched, and none of its names can be `..`.
pub(super) fn stays(word: &Word) -> bool {
    let mut text = String::new();
    for piece in &word.pieces {
        match piece {
            Piece::Text(piece) | Piece::Glob(piece) => text.push_str(piece),
            Piece::Unknown | Piece::Below | Piece::Fields => return false,
        }
    }
    text.split('/')
        .all(|name| name == "." || !name.starts_with('.'))
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
    let listed = |piece: &Piece| match piece {
        Piece::Glob(glob) => glob.starts_with(LISTED) || glob.contains("**"),
        _ => false,
    };
    let rest_of = word.pieces.get(usize::from(!beginning.is_empty())..);
    let rest_of = rest_of.unwrap_or_default();
    // What is not known may climb. Behind it, what is known may.
    if word.pieces.contains(&Piece::Unknown) {
        return PathText::Anywhere;
    }
    let below = |piece: &Piece| listed(piece) || *piece == Piece::Below;
    if word.pieces.iter().any(below) {
        let climbs = rest_of.iter().any(|piece| match piece {
            Piece::Text(text) => text.split('/').any(|name| name == ".."),
            _ => false,
        });
        return match climbs {
            true => PathText::Anywhere,
            false => PathText::Below(parent),
        };
    }
    let mut pattern = escaped(rest);
    for piece in rest_of {
        match piece {
            Piece::Text(text) => pattern.push_str(&escaped(text)),
            Piece::Glob(glob) => pattern.push_str(glob),
            Piece::Unknown | Piece::Below | Piece::Fields => return PathText::Below(parent),
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
