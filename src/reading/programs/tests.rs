//! The table is sound, and programs are read as it says.

use super::*;
use crate::reading::word::Piece;

/// Words of a line: `$x` alone is one that splits, `"$x"` one that does not, `*` a pattern; quotes otherwise group.
pub(super) fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut pieces: Option<Vec<Piece>> = None;
    let mut quote = None;
    let mut rest = line.chars().peekable();
    let push = |pieces: &mut Option<Vec<Piece>>, letter: char| {
        let pieces = pieces.get_or_insert_with(Vec::new);
        match pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(letter),
            _ => pieces.push(Piece::Text(letter.to_string())),
        }
    };
    while let Some(letter) = rest.next() {
        match (quote, letter) {
            (None, ' ') => words.extend(pieces.take().map(|pieces| Word { pieces })),
            (None, '\'' | '"') => {
                quote = Some(letter);
                pieces.get_or_insert_with(Vec::new);
            }
            (Some(open), close) if open == close => quote = None,
            (None | Some('"'), '$')
                if rest.peek().is_some_and(|next| next.is_ascii_alphabetic()) =>
            {
                while rest.next_if(|next| next.is_ascii_alphanumeric()).is_some() {}
                let piece = if quote.is_none() {
                    Piece::Fields
                } else {
                    Piece::Unknown
                };
                pieces.get_or_insert_with(Vec::new).push(piece);
            }
            (None, '*') => pieces
                .get_or_insert_with(Vec::new)
                .push(Piece::Glob("*".into())),
            (_, letter) => push(&mut pieces, letter),
        }
    }
    words.extend(pieces.take().map(|pieces| Word { pieces }));
    words
}

/// An invocation in short: sets, then what it does. `!` before a use: an option makes it.
pub(super) fn short(made: &Invocation) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut sets: Vec<String> = made
        .sets
        .iter()
        .map(|set| format!("@{set:?}").to_lowercase())
        .collect();
    sets.sort();
    parts.extend(sets);
    if made.roles.contains(&Role::Turning) {
        parts.push("turned".into());
    }
    if let Some(directory) = &made.directory {
        parts.push(format!("in {}", classify::display(directory)));
    }
    for one in &made.uses {
        let tree = |tree: &bool| if *tree { "/**" } else { "" };
        let name = |word: &Option<Word>| word.as_ref().map_or("?".to_owned(), classify::display);
        let mut text = match &one.kind {
            UseKind::Read {
                path,
                tree: all,
                leaves_out_ignored,
            } => {
                let but = if *leaves_out_ignored { "-ignored" } else { "" };
                format!("r {}{}{but}", classify::display(path), tree(all))
            }
            UseKind::Write {
                path,
                tree: all,
                removes,
            } => {
                let how = if *removes { "rm" } else { "w" };
                format!("{how} {}{}", classify::display(path), tree(all))
            }
            UseKind::Host(host) => format!("host {}", name(host)),
            UseKind::Remote(remote) => format!("remote {}", name(remote)),
            UseKind::Code { class, .. } => format!("code {class:?}").to_lowercase(),
            UseKind::Script(script) => format!("script {}", classify::display(script)),
        };
        if one.turns {
            text.insert(0, '!');
        }
        for danger in &one.dangers {
            text.push_str(&format!(" ({:?})", danger.category).to_lowercase());
        }
        parts.push(text);
    }
    for inner in &made.hands_on {
        parts.push(match inner {
            HandOn::Program {
                words,
                more,
                changed,
                assignments,
                directory,
            } => {
                let mut text: Vec<String> = assignments
                    .iter()
                    .map(|(name, value)| format!("{name}={}", classify::display(value)))
                    .chain(words.iter().map(classify::display))
                    .collect();
                match more {
                    More::No => {}
                    More::Any => text.push("...".into()),
                    More::Below(directory) => {
                        text.push(format!("...{}", classify::display(directory)))
                    }
                }
                let how = if *changed { "changed" } else { "runs" };
                let at = directory
                    .as_ref()
                    .map_or(String::new(), |at| format!(" in {}", classify::display(at)));
                format!("{how}{at} [{}]", text.join(" "))
            }
            HandOn::Shell {
                text,
                arguments,
                other_shell,
            } => {
                let arguments: Vec<String> = arguments.iter().map(classify::display).collect();
                let how = if *other_shell { "sh" } else { "bash" };
                let behind = if arguments.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", arguments.join(" "))
                };
                format!("{how} {{{}}}{behind}", classify::display(text))
            }
            HandOn::Input { shell: true, .. } => "input sh".into(),
            HandOn::Input { shell: false, .. } => "input code".into(),
            HandOn::Source(file) => format!("source {}", classify::display(file)),
            HandOn::Elsewhere => "elsewhere".into(),
        });
    }
    for danger in &made.dangers {
        parts.push(format!("({:?})", danger.category).to_lowercase());
    }
    parts.join("; ")
}

/// Holds lines `command => what is read`.
pub(super) fn holds(context: &dyn Context, table: &str) {
    let mut wrong = String::new();
    for line in table
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (command, expected) = line
            .split_once(" => ")
            .or(line.strip_suffix(" =>").map(|line| (line, "")))
            .unwrap();
        let made = read(&words(command), context);
        assert_eq!(
            made.roles.len(),
            words(command).len(),
            "{command}: {:?}",
            made.roles
        );
        let found = short(&made);
        if found != expected.trim() {
            wrong.push_str(&format!(
                "\n{command}\n    is {found}\n   not {}",
                expected.trim()
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_table_is_sound() {
    let table = table::load(table::FILES).unwrap();
    assert!(table.entries.len() > 20, "{}", table.entries.len());
    assert_eq!(table.names().count(), table::TABLE.names().count());
}

#[test]
fn options_and_operands() {
    holds(
        &NoContext,
        "
        cat a b => @reads; r a; r b
        cat -- -a => @reads; r -a
        head -20 a => @reads; r a
        head -n 5 a => @reads; r a
        head -n5 a => @reads; r a
        grep -rn foo src => @reads; r src/**
        grep -rn foo => @reads; r ./**
        grep foo => @reads
        grep -e foo a => @reads; r a
        grep -efoo a => @reads; r a
        grep --regexp=foo a => @reads; r a
        grep -A 3 foo a => @reads; r a
        sort -u a => @reads; r a
        sort -o b a => turned; !w b; r a
        sort -ob a => turned; !w b; r a
        sort -uob a => turned; !w b; r a
        sort --outp b a => turned; !w b; r a
        sort --output=b a => turned; !w b; r a
        sort --frob a => turned; r a
        sort \"$x\" => turned; r …
        sort -- \"$x\" => @reads; r …
        sort $x => turned; r …
        sort src/$x => turned; r src/…
        sort \"src/$x\" => @reads; r src/…
        sort * => turned; r *
        sort ./* => @reads; r ./*
        cat \"$x\" => @reads; r …
        ls -la /etc => @reads
        rm a => @files; rm a
        rm -rf a b => @files; rm a/** (delete); rm b/** (delete)
        rm a -fr => @files; rm a/** (delete)
        rm --recurs a => turned; rm a/** (delete)
        rm --no-preserve-root -r / => turned; rm //** (delete)
        cp a b => @files; r a; w b; w b/a
        cp a b/ => @files; r a; w b/a
        cp -r a/x b . => @files; r a/x/**; r b/**; w ./x/**; w ./b/**
        cp -t d a b => @files; r a; r b; w d; w d/a; w d/b
        /usr/bin/cat a => @reads; r a
        ./cat a => @build; r a; !script ./cat
        frobnicate -x a => turned; code unknown
        git status -s => @gitlocal; @reads
        git -C x status => @gitlocal; @reads; in x
        git -c core.pager=x status => turned
        git frob => code repo
        git $x => turned; !host ?; code unknown
        git --version =>
        env A=1 B=2 make -j4 => @reads; runs [A=1 B=2 make -j4]
        env -C d make => @reads; runs in d [make]
        env -u X make => @reads; runs [make]
        env \"$x\" make => @reads; runs [… make]
        env -S 'a b' => turned; !code unknown
        env => @reads
        xargs -0 -n 1 rm -f => runs [rm -f ...]
        xargs -I{} cp {} d/{} => runs [cp … d/…]
        xargs --frob rm => turned; runs [… rm ...]
        bash -lc 'a b' x y => bash {a b} (x y)
        sh -c a => sh {a}
        bash a.sh -c b => script a.sh
        bash => input sh
        bash -s a => input sh
        bash -o pipefail -c a => bash {a}
        . ./a => source ./a
        eval a 'b c' => bash {a b c}
    ",
    );
}
