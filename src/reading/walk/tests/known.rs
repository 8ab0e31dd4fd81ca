//! What is known before it runs: names of `mktemp`, texts in pipes, aliases that nothing uses.

use super::read;

#[test]
fn what_mktemp_makes_has_a_name_of_its_own() {
    for (text, expected) in [
        (
            "t=$(mktemp) && cat \"$t\"",
            "mktemp | cat /tmp/s/tmp.XXXXXXXXXX0 | r:/tmp/s/tmp.XXXXXXXXXX0",
        ),
        (
            "a=$(mktemp); b=$(mktemp); cat $a $b",
            "mktemp | mktemp | cat /tmp/s/tmp.XXXXXXXXXX0 /tmp/s/tmp.XXXXXXXXXX1 | r:/tmp/s/tmp.XXXXXXXXXX0 \
             | r:/tmp/s/tmp.XXXXXXXXXX1",
        ),
        (
            "cat $(mktemp -t a.XXXXXX.env)",
            "mktemp -t a.XXXXXX.env | w:/r/a.XXXXXX.env | cat /tmp/s/a.XXXXXX0.env | r:/tmp/s/a.XXXXXX0.env",
        ),
        (
            "cat $(mktemp /tmp/s/a.XXXXXX)",
            "mktemp /tmp/s/a.XXXXXX | w:/tmp/s/a.XXXXXX | cat /tmp/s/a.XXXXXX0 | r:/tmp/s/a.XXXXXX0",
        ),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    // It may fail, and then gives nothing.
    for text in [
        "d=$(mktemp -d /nowhere/a.XXXXXX); cat \"$d/etc\"",
        "d=$(mktemp -d /tmp/s/a.XX); cat \"$d/etc\"",
        "d=$(mktemp -d /tmp/s/XXXXXX/a); cat \"$d/etc\"",
        "d=$(mktemp -t a/b.XXXXXX); cat \"$d/etc\"",
        "d=$(mktemp a.XXXXXX b.XXXXXX); cat \"$d/etc\"",
        "d=$(mktemp -p /nowhere); cat \"$d/etc\"",
        "d=$(mktemp -u); cat \"$d/etc\"",
        "TMPDIR=/nowhere; d=$(mktemp -d); cat \"$d/etc\"",
        "PATH=/r/bin; d=$(mktemp -d); cat \"$d/etc\"",
    ] {
        let line = read(text);
        assert!(line.ends_with("| r:anywhere"), "{text}: {line}");
    }
}

#[test]
fn a_text_in_a_pipe_is_read_as_if_it_stood_there() {
    for (text, expected) in [
        ("echo ls | bash", "ls"),
        ("printf 'rm -rf a\\n' | sh", "rm -rf a | w:/r/a/** !Delete"),
        ("echo 'cat .env' | bash", "cat .env | r:/r/.env"),
        (
            "echo 'cat $1' | bash -s .env",
            "bash -s .env | cat … | r:anywhere",
        ),
        ("echo $X | bash", "bash | UNREAD"),
        ("eval \"$(echo 'cat .env')\"", "cat .env | r:/r/.env"),
        ("eval \"$(cat .env)\"", "cat .env | r:/r/.env | UNREAD"),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn an_alias_is_unread_only_where_its_name_is_used() {
    for text in [
        "alias ll='ls -la'; ls",
        "alias ll='ls -la' la='ls -a'\nls -la",
        "alias -p; alias ll",
        "alias ll=x; \\ls",
    ] {
        assert!(!read(text).contains("UNREAD"), "{text}");
    }
    for text in [
        "alias ls='rm -rf a'; ls",
        "alias ls='rm -rf a'\nA=b ls",
        "alias ls='rm -rf a'\n! time ls",
        "alias ls='rm -rf a'\neval ls",
        "alias ls='rm -rf a'\n$(ls)",
        "alias f='rm -rf a;'\nf() { :; }",
        "alias if='rm -rf a; if'\nif true; then :; fi",
        "alias \"$X\"",
        "for i in 1 2; do eval ls; alias ls='rm -rf a'; done",
        "f() { alias ls='rm -rf a'; }; f",
        "shopt -s expand_aliases; alias ll=x",
    ] {
        assert!(read(text).contains("UNREAD"), "{text}");
    }
}

#[test]
fn what_bash_sets_itself_is_known() {
    for (text, unread) in [
        ("a | b; test ${PIPESTATUS[0]} -eq 0", false),
        ("a | b; exit ${PIPESTATUS[1]}", false),
        ("PIPESTATUS=$X; test ${PIPESTATUS[0]} -eq 0", true),
        ("test ${PIPESTATUS[$X]} -eq 0", true),
        ("source .venv/bin/activate && make && deactivate", false),
    ] {
        assert_eq!(read(text).contains("UNREAD"), unread, "{text}");
    }
    let line = read("source .venv/bin/activate; deactivate");
    assert!(!line.contains("deactivate"), "{line}");
    for text in [
        "deactivate",
        "(source .venv/bin/activate); deactivate",
        "source .venv/bin/activate; PATH=/r/bin; deactivate",
        "source .venv/bin/activate; deactivate x",
    ] {
        let line = read(text);
        assert!(
            line.contains("deactivate") || line.contains("UNREAD"),
            "{text}: {line}"
        );
    }
}
