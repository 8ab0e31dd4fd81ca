//! What commands write, where it is known before they run.

use std::rc::Rc;

use super::state::{Dir, Dirs};
use super::stream::Stream;
use super::text::Text;
use super::{BASH, Walker, places};
use crate::reading::disk::FileKind;
use crate::reading::paths;
use crate::reading::programs::Invocation;
use crate::reading::word::{Piece, Word};

/// Bytes of an output that are followed.
const KEPT: usize = crate::contracts::limits::COMMAND_BYTES;

impl Walker<'_> {
    pub(super) fn echo(&self, arguments: &[Word]) -> Stream {
        let mut words = arguments;
        let mut newline = true;
        let mut escapes = false;
        while let Some((first, rest)) = words.split_first()
            && let Some(letters) = first.known().and_then(|text| text.strip_prefix('-'))
            && !letters.is_empty()
            && letters.bytes().all(|letter| b"neE".contains(&letter))
        {
            for letter in letters.bytes() {
                match letter {
                    b'n' => newline = false,
                    b'e' => escapes = true,
                    _ => escapes = false,
                }
            }
            words = rest;
        }
        let mut text = Text::default();
        for (position, word) in words.iter().enumerate() {
            if position > 0 {
                text.push(" ");
            }
            text.word(word);
        }
        if newline {
            text.push("\n");
        }
        let mut stream = text.stream();
        let escaped = words.iter().any(|word| {
            word.pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Text(text) if text.contains('\\')))
        });
        if escapes && escaped {
            stream.text = None;
            stream.decoded = Some("echo -e".to_owned());
        } else if escaped && self.shell() != BASH {
            // Other shells make bytes of it.
            stream.text = None;
        }
        stream.taint(&self.taint);
        stream
    }

    pub(super) fn printf(&self, arguments: &[Word]) -> Stream {
        let arguments = match arguments.first().and_then(Word::known) {
            Some("--") => arguments.get(1..).unwrap_or_default(),
            _ => arguments,
        };
        let mut stream = match arguments.split_first() {
            Some((format, rest)) if self.lists_words(format, rest) => Stream {
                listing: Some(Rc::new(rest.to_vec())),
                ..Stream::default()
            },
            Some((format, rest)) => match format.known() {
                Some(format) => formatted(format, rest),
                None => Stream::default(),
            },
            None => Stream::of(Word::default()),
        };
        stream.taint(&self.taint);
        stream
    }

    /// `printf '%s\n' *.c`: names that are known, or that a pattern matches now without blanks in them.
    fn lists_words(&self, format: &Word, words: &[Word]) -> bool {
        let is_glob = |word: &Word| {
            word.pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Glob(_)))
        };
        let plain = |word: &Word| match word.known() {
            Some(text) => !text.is_empty() && !text.contains(char::is_whitespace),
            None => is_glob(word) && self.names_are_plain(word),
        };
        matches!(format.known(), Some("%s\\n" | "%s\\0"))
            && words.iter().any(is_glob)
            && words.iter().all(plain)
    }

    pub(super) fn pwd(&self) -> Stream {
        match self.dirs.one() {
            Some(Dir::At(dir)) => Stream::of(Word::text(format!("{dir}\n"))),
            Some(Dir::Below(dir)) => Stream {
                whole: true,
                ..Stream::of(Word {
                    pieces: vec![Piece::Text(format!("{dir}/")), Piece::Below],
                })
            },
            None => Stream::default(),
        }
    }

    /// What a program writes.
    pub(super) fn output(&self, words: &[Word], read: &Invocation, dirs: &Dirs) -> Stream {
        let mut stream = self.known_output(words, read, dirs);
        stream.given = true;
        stream.taint(&self.feed);
        stream
    }

    fn known_output(&self, words: &[Word], read: &Invocation, dirs: &Dirs) -> Stream {
        let name = words.first().and_then(Word::known).unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        let arguments = words.get(1..).unwrap_or_default();
        let nothing = Stream::default();
        match name {
            "cat" => match arguments {
                [] => self.feed.passed_on(),
                [one] if one.known() == Some("-") => self.feed.passed_on(),
                [one] if !super::builtins::maybe(one, "-") && !one.splits() => Stream {
                    file: Some(one.clone()),
                    ..nothing
                },
                _ => nothing,
            },
            "tee" => self.feed.passed_on(),
            "mktemp" => self.mktemp(arguments),
            "which" => self.which(arguments),
            "echo" => self.echo(arguments),
            "printf" => self.printf(arguments),
            "pwd" => self.pwd(),
            "git" if is(arguments, &["rev-parse", "--show-toplevel"]) => self.toplevel(dirs),
            "dirname" | "basename" => match arguments {
                [one] => part_of(name, one),
                // A name that `*` matches begins with no dot, and is no `..` without its end.
                [one, end] if end.known().is_some() && is_matched(one) => part_of(name, one),
                _ => nothing,
            },
            "nproc" => number(),
            "ps" => Stream {
                parent: arguments
                    .iter()
                    .any(|word| word.known().is_none_or(|text| text.contains("ppid"))),
                ..nothing
            },
            "seq" if arguments.iter().all(is_number) => Stream {
                listing: Some(Rc::new(vec![Word {
                    pieces: vec![Piece::Below],
                }])),
                ..nothing
            },
            "date" if is(arguments, &["+%s"]) => number(),
            "id" if is(arguments, &["-u"]) || is(arguments, &["-g"]) => number(),
            "wc" if self.feed.given && (is(arguments, &["-l"]) || is(arguments, &["-c"])) => {
                number()
            }
            "grep" if self.feed.given && has(arguments, "-c") && arguments.len() == 2 => number(),
            "find" | "fd" | "fdfind" | "ls" | "rg" | "grep" | "git" => {
                let listing = self.listing(name, arguments, read);
                match (listing, name) {
                    (None, "grep" | "rg") if self.keeps_lines(arguments) => self.passed(),
                    (listing, _) => Stream {
                        listing: listing.map(Rc::new),
                        ..nothing
                    },
                }
            }
            "head" | "tail" | "sort" | "uniq" | "shuf" if self.keeps_lines(arguments) => {
                self.passed()
            }
            "base64" | "base32" | "basenc" | "xxd" | "openssl" | "uudecode" => {
                let decodes = ["-d", "-D", "--decode", "-r", "-di", "-rp", "-d -i"];
                let any = arguments.iter().any(|word| {
                    word.known().is_none_or(|text| {
                        decodes.contains(&text)
                            || text.starts_with("--d")
                            || (text.starts_with('-')
                                && !text.starts_with("--")
                                && text.contains(['d', 'D', 'r']))
                    })
                });
                Stream {
                    decoded: (any || name == "uudecode").then(|| name.to_owned()),
                    ..nothing
                }
            }
            "tr" | "rev" | "sed" | "awk" | "perl" | "python3" | "python" | "cut"
                if self.feed.text.is_some() =>
            {
                Stream {
                    decoded: Some(name.to_owned()),
                    ..nothing
                }
            }
            _ => nothing,
        }
    }

    /// A filter of lines gives whole lines on.
    fn keeps_lines(&self, arguments: &[Word]) -> bool {
        let cuts = |text: &str| {
            text.strip_prefix('-').is_some_and(|letters| {
                !letters.starts_with('-')
                    && letters.contains(['o', 'c', 'n', 'b', 'H'])
                    && !letters
                        .bytes()
                        .all(|byte| byte.is_ascii_digit() || byte == b'n')
            }) || [
                "--only",
                "--count",
                "--line",
                "--byte",
                "--with",
                "--replace",
            ]
            .iter()
            .any(|option| text.starts_with(option))
        };
        self.feed.listing.is_some()
            && arguments
                .iter()
                .all(|word| word.known().is_some_and(|text| !cuts(text)))
    }

    fn passed(&self) -> Stream {
        Stream {
            listing: self.feed.listing.clone(),
            ..Stream::default()
        }
    }

    /// A file or directory that was not there, below the session's own temporary directory. Elsewhere it may fail.
    fn mktemp(&self, arguments: &[Word]) -> Stream {
        let nothing = Stream::default();
        let temporary = self.at.temporary.as_str();
        let mut template = None;
        let mut below = false;
        for word in arguments {
            match word.known() {
                Some("-d" | "-q" | "-qd" | "-dq" | "--directory" | "--quiet") => {}
                Some("-t" | "-dt" | "-td") => below = true,
                Some(text) if template.is_none() && !text.starts_with('-') => {
                    template = Some(text);
                }
                _ => return nothing,
            }
        }
        let another = self.path.is_some() || self.state.variable("TMPDIR").is_some();
        if another || temporary.is_empty() {
            return nothing;
        }
        let name = match template.map(|template| template.rsplit_once('/').ok_or(template)) {
            None => "tmp.XXXXXXXXXX",
            Some(Err(name)) if below => name,
            Some(Ok((parent, name))) if !below && parent == temporary => name,
            Some(_) => return nothing,
        };
        match paths::fresh(name, self.fresh.get()) {
            Some(name) => {
                self.fresh.set(self.fresh.get().saturating_add(1));
                Stream::of(Word::text(format!("{temporary}/{name}\n")))
            }
            None => nothing,
        }
    }

    /// The first file of a name in the directories of PATH, as far as they are the session's own.
    fn which(&self, arguments: &[Word]) -> Stream {
        let nothing = Stream::default();
        let [Some(name)] = arguments.iter().map(Word::known).collect::<Vec<_>>()[..] else {
            return nothing;
        };
        if self.path.is_some() || name.contains('/') || name.starts_with('-') || name.is_empty() {
            return nothing;
        }
        for (directory, _) in &self.at.path {
            let file = places::join(directory, name);
            match self.disk.resolve(&file).map(|lies| lies.kind) {
                Some(None) if self.made_at(&file).is_none() => {}
                Some(Some(FileKind::File)) => return Stream::of(Word::text(format!("{file}\n"))),
                _ => return nothing,
            }
        }
        nothing
    }

    fn toplevel(&self, dirs: &Dirs) -> Stream {
        let repository = self.at.repository.as_str();
        match dirs.one() {
            Some(Dir::At(dir)) if !repository.is_empty() && paths::within(dir, repository) => {
                Stream::of(Word::text(format!("{repository}\n")))
            }
            _ => Stream::default(),
        }
    }
}

/// Whether a word's last name is one that `*` matches.
fn is_matched(word: &Word) -> bool {
    let mut text = String::new();
    for piece in &word.pieces {
        match piece {
            Piece::Glob(glob) if places::Listed::of(glob).is_some() => return false,
            Piece::Text(piece) | Piece::Glob(piece) => text.push_str(piece),
            Piece::Unknown | Piece::Below | Piece::Fields => return false,
        }
    }
    let name = text.rsplit('/').next().unwrap_or_default();
    name.starts_with('*')
}

fn is_number(word: &Word) -> bool {
    match word.known() {
        Some(text) => text.bytes().all(|byte| byte.is_ascii_digit()),
        None => word.pieces == [Piece::Below],
    }
}

fn number() -> Stream {
    Stream {
        number: true,
        ..Stream::default()
    }
}

fn is(words: &[Word], texts: &[&str]) -> bool {
    words.len() == texts.len()
        && words
            .iter()
            .zip(texts)
            .all(|(word, text)| word.known() == Some(text))
}

fn has(words: &[Word], text: &str) -> bool {
    words.iter().any(|word| word.known() == Some(text))
}

fn part_of(name: &str, word: &Word) -> Stream {
    let Some(text) = word.known() else {
        // The name of what was matched.
        return match name == "basename" && places::stays(word) {
            true => Stream::of(Word {
                pieces: vec![Piece::Below],
            }),
            false => Stream::default(),
        };
    };
    let path = text.trim_end_matches('/');
    if path.is_empty() || path.starts_with('-') {
        return Stream::default();
    }
    let part = match (name, path.rsplit_once('/')) {
        ("basename", Some((_, last))) => last,
        ("basename", None) => path,
        (_, Some(("", _))) => "/",
        (_, Some((parent, _))) => parent,
        (_, None) => ".",
    };
    Stream::of(Word::text(format!("{part}\n")))
}

/// The output of `printf`.
fn formatted(format: &str, arguments: &[Word]) -> Stream {
    let mut text = Text::default();
    let mut rest = arguments.iter();
    let mut decoded = None;
    loop {
        let before = rest.len();
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => text.push("\n"),
                    Some('t') => text.push("\t"),
                    Some('\\') => text.push("\\"),
                    Some('"') => text.push("\""),
                    Some(_) => {
                        decoded = Some("printf".to_owned());
                        text.unknown();
                    }
                    None => text.push("\\"),
                },
                '%' => match chars.next() {
                    Some('%') => text.push("%"),
                    Some('s') => {
                        if let Some(word) = rest.next() {
                            text.word(word);
                        }
                    }
                    Some('b' | 'c') => {
                        rest.next();
                        decoded = Some("printf".to_owned());
                        text.unknown();
                    }
                    _ => {
                        // Flags and widths: the rest is not followed.
                        text.unknown();
                        return Stream {
                            decoded,
                            ..text.stream()
                        };
                    }
                },
                c => text.push(c.encode_utf8(&mut [0; 4])),
            }
            if text.bytes > KEPT {
                return Stream::default();
            }
        }
        // The format is used again until no argument is left.
        if rest.len() == 0 || rest.len() == before {
            break;
        }
    }
    Stream {
        decoded,
        ..text.stream()
    }
}
