//! What is printed of the environment, files of the history, and who is ended.

use super::{at, command, line, read};
use crate::reading::atoms::{AtomKind, Category, CodeClass, Reading};
use crate::reading::disk::NoDisk;

fn reading(text: &str) -> Reading {
    command(text, &at(), &NoDisk)
}

fn has(text: &str, category: Category) -> bool {
    let reading = reading(text);
    let atoms = reading.atoms.iter().chain(&reading.mentioned);
    let mut dangers = atoms.flat_map(|atom| &atom.dangers);
    dangers.any(|danger| danger.category == category)
}

#[test]
fn a_key_of_the_environment_that_is_printed_is_said() {
    for text in [
        "echo $GITHUB_TOKEN",
        "echo \"${AWS_SECRET_ACCESS_KEY}\"",
        "printf '%s' \"${OPENAI_API_KEY:0:4}\"",
        "/bin/echo $GITHUB_TOKEN",
        "command echo $GITHUB_TOKEN",
        "env echo $GITHUB_TOKEN",
        "echo ${DB_PASSWORD:-none}",
        "x=$GITHUB_TOKEN; echo $x",
        "x=GITHUB_TOKEN; echo ${!x}",
        "echo $(echo $GITHUB_TOKEN)",
        "bash -c 'echo $NPM_TOKEN'",
        "cat <<< $GITHUB_TOKEN",
        "cat <<EOF\n$GITHUB_TOKEN\nEOF",
        "echo ${npm_token}",
        "for x in $GITHUB_TOKEN; do echo $x; done",
        "set -- $GITHUB_TOKEN; echo $1",
        "f() { echo \"$1\"; }; f \"$GITHUB_TOKEN\"",
        "f() { g; echo $@; }; g() { :; }; f $GITHUB_TOKEN",
        "export x=$GITHUB_TOKEN; echo $x",
        "read -r x <<< $GITHUB_TOKEN; echo $x",
        "printf -v x %s $GITHUB_TOKEN; echo $x",
        "a=($GITHUB_TOKEN); echo ${a[0]}",
        "set",
        "set | grep SECRET",
        "export",
        "export -p | grep TOKEN",
        "declare -p",
        "declare -x",
        "declare -p OPENAI_API_KEY",
        "readonly -p",
        "typeset -p HOME GITHUB_TOKEN",
    ] {
        assert!(has(text, Category::Credentials), "{text}");
    }
    for text in [
        "echo $HOME $PATH",
        "echo '$GITHUB_TOKEN'",
        "echo ${#GITHUB_TOKEN}",
        "echo ${GITHUB_TOKEN:+set}",
        "test -n \"$GITHUB_TOKEN\" && echo set",
        ": ${GITHUB_TOKEN:?missing}",
        "TOKEN=abc; echo $TOKEN",
        "for token in a b; do echo $token; done",
        "export GITHUB_TOKEN",
        "for x in a b; do echo $x; done; make deploy TOKEN=$GITHUB_TOKEN; echo $x",
        "f() { echo $1; }; f a; gh api x -H \"Authorization: $GITHUB_TOKEN\"",
        "export A=b",
        "declare -a names",
        "declare -f",
        "declare -p PATH",
        "set -euo pipefail",
        "wc -c <<< $GITHUB_TOKEN",
        "curl -H \"Authorization: Bearer $GITHUB_TOKEN\" https://example.com",
    ] {
        assert!(!has(text, Category::Credentials), "{text}");
    }
}

#[test]
fn whoever_started_the_shell_is_not_ended() {
    for text in [
        "kill \"$PPID\"",
        "kill -9 $PPID",
        "p=$PPID; kill $p",
        "kill $(echo $PPID)",
        "kill $(ps -o ppid= -p $$)",
        "pkill -P $PPID",
    ] {
        assert!(has(text, Category::Tampering), "{text}");
    }
    for text in [
        "sleep 9 & kill $!",
        "sleep 9 & p=$!; kill $p",
        "kill %1",
        "ps -p $PPID",
    ] {
        assert!(!has(text, Category::Tampering), "{text}");
    }
    let reading = reading("kill $((PPID))");
    assert!(!reading.unread.is_empty());
}

#[test]
fn files_of_the_history_are_read_and_written() {
    for (text, expected) in [
        ("history", "use"),
        ("history 20", "use"),
        ("history -c; history -d 3", "use"),
        ("history -s x; history -a ~/.bashrc", ">w:/home/me/.bashrc"),
        ("history -w f", ">w:/r/f"),
        ("history -r .env", ">r:/r/.env"),
        ("history -n -- -f", ">r:/r/-f"),
        ("history -aw \"$X\"", ">w:anywhere"),
        ("HISTFILE=.env; history -r", ">r:/r/.env"),
        ("history -a", "use"),
        ("history $X", "use | UNREAD"),
        ("history -p '!1'", "use | UNREAD"),
        ("BASH_ENV=.env bash -c true", "r:/r/.env | code:repo"),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn what_is_copied_from_elsewhere_is_not_the_sessions() {
    let code = |text: &str| {
        let kinds = reading(text).atoms.into_iter().map(|atom| atom.kind);
        let classes = kinds.filter_map(|kind| match kind {
            AtomKind::Code(code) => Some(code.class),
            _ => None,
        });
        classes.max()
    };
    for (text, class) in [
        ("cp /tmp/k.sh tool.sh && bash tool.sh", CodeClass::Unknown),
        ("cp /tmp/k.sh tool.sh && ./tool.sh", CodeClass::Unknown),
        ("cp /opt/k.sh . && bash k.sh", CodeClass::Unknown),
        ("mv /opt/k.sh tool.sh; sh tool.sh", CodeClass::Unknown),
        (
            "install -m 755 /opt/k.sh bin/k && bin/k",
            CodeClass::Unknown,
        ),
        ("ln -sf /opt/k.sh tool.sh; bash tool.sh", CodeClass::Unknown),
        ("cat /opt/k.sh > tool.sh; bash tool.sh", CodeClass::Unknown),
        (
            "cat < /opt/k.sh > tool.sh; bash tool.sh",
            CodeClass::Unknown,
        ),
        ("history -w t.sh; bash t.sh", CodeClass::Unknown),
        ("cp a.sh b.sh && bash b.sh", CodeClass::Inline),
        ("echo ls > t.sh; cp t.sh u.sh; bash u.sh", CodeClass::Inline),
        ("cp a.sh /tmp/x.sh && bash /tmp/x.sh", CodeClass::Inline),
        ("cp /opt/k.json . && bash a.sh", CodeClass::Repo),
    ] {
        assert_eq!(code(text), Some(class), "{text}");
    }
}

#[test]
fn a_text_that_a_program_writes_is_unread() {
    let reading = reading("source <(cat list)");
    assert!(!reading.unread.is_empty(), "{}", line(&reading));
}
