//! Tables of commands and what they are read as.

use super::super::ast::{Node, RedirectionKind, Simple, Value};
use super::super::{Unparsed, differs_in_sh, parse, quote};
use super::{brief, script};
use crate::contracts::limits::SHELL_DEPTH;

/// Every simple command in the order in which it ended: assignments, words, redirections.
fn simples(text: &str) -> Vec<String> {
    let script = script(text);
    let simple = |node: &Node| match node {
        Node::Simple(simple) => Some(line(simple)),
        _ => None,
    };
    script.nodes.iter().filter_map(simple).collect()
}

fn line(simple: &Simple) -> String {
    let mut out = Vec::new();
    for assignment in &simple.assignments {
        let value = match &assignment.value {
            Value::Scalar(word) => brief(word),
            Value::Array(words) => {
                let words: Vec<String> = words.iter().map(brief).collect();
                format!("({})", words.join(" "))
            }
        };
        let subscript = assignment.subscript.as_ref();
        let subscript = subscript.map_or(String::new(), |word| format!("[{}]", brief(word)));
        let equals = if assignment.append { "+=" } else { "=" };
        out.push(format!("{}{subscript}{equals}{value}", assignment.name));
    }
    out.extend(simple.words.iter().map(brief));
    for redirection in &simple.redirections {
        let operator = match redirection.kind {
            RedirectionKind::Read => "<",
            RedirectionKind::Write => ">",
            RedirectionKind::Append => ">>",
            RedirectionKind::ReadWrite => "<>",
            RedirectionKind::Duplicate => "=&",
            RedirectionKind::HereDocument => "<<",
            RedirectionKind::HereString => "<<<",
        };
        let descriptor = redirection.descriptor.clone().unwrap_or_default();
        out.push(format!(
            "{descriptor}{operator}{}",
            brief(&redirection.target)
        ));
    }
    out.join(" ")
}

#[test]
fn words_quotes_and_escapes() {
    for (text, expected) in [
        ("ls", "ls"),
        ("ls -la  /tmp", "ls -la /tmp"),
        ("'rm' -rf", "'rm' -rf"),
        ("r''m a", "r''m a"),
        (r"r\m a", "r'm' a"),
        ("r\\\nm a", "rm a"),
        (r"$'\x72m' a", "'rm' a"),
        (r"$'\162\155' a", "'rm' a"),
        (r#""a\"b\$c\d" e"#, r#"'a"b$c\d' e"#),
        (r#""a $x b" $y"#, "'a '$qx' b' $y"),
        ("a#b #c", "a#b"),
        ("a\u{a0}b", "a\u{a0}b"),
        ("a\u{3000}b", "a\u{3000}b"),
        ("a\r", "a\r"),
        ("ls *.rs [a-z]x a?b [", "ls <*>.rs <[a-z]>x a<?>b ["),
        ("ls '*' \\*", "ls '*' '*'"),
        ("ls [\"a\"]x", "ls <[>'a'<]>x"),
        ("[ -f x ]", "[ -f x ]"),
        (
            "ls ~ ~/x ~bob/y a~ \"~\" '~'/x",
            "ls ~ ~/x ~bob/y a~ '~' '~'/x",
        ),
        ("echo a=~ --b=~", "echo a=~ --b=~"),
        ("PATH=~/a:~/b:c ls", "PATH=~/a:~/b:c ls"),
        ("echo {a,b}{1..3}", "echo a1 a2 a3 b1 b2 b3"),
        ("echo {a} {} a{,} {a,b", "echo {a} {} a a {a,b"),
        ("{rm,-rf,x}", "rm -rf x"),
        ("echo \"{a,b}\" {\"a,b\",c}", "echo '{a,b}' 'a,b' c"),
        (
            "echo {1..10..3} {c..a} {01..3}",
            "echo 1 4 7 10 c b a 01 02 03",
        ),
        ("echo *.{a,b}", "echo <*>.a <*>.b"),
        ("echo {~,x}/y", "echo ~/y x/y"),
        ("echo $x${y}$1$@", "echo $x$y$1$@"),
        ("echo $", "echo $"),
        ("echo \"a$\"", "echo 'a$'"),
        ("a=1 b=2 c d=3", "a=1 b=2 c d=3"),
        ("a+=1 b[2]=3 b[$i]+=x", "a+=1 b[2]=3 b[$qi]+=x"),
        ("a=(x 'y z' {1..2})", "a=(x 'y z' 1 2)"),
        ("a=(\n x # c\n y\n)", "a=(x y)"),
        ("declare -a a=(x y) b", "a=(x y) declare -a a b"),
        ("a='x'$y ls", "a='x'$y ls"),
        ("'a'=1", "'a'=1"),
        ("if=1 ls", "if=1 ls"),
    ] {
        assert_eq!(simples(text), [expected], "{text:?}");
    }
}

#[test]
fn redirections_and_here_documents() {
    for (text, expected) in [
        ("a >b 2>&1 <c", "a >b 2=&1 <c"),
        ("a 2>/dev/null >>b", "a 2>/dev/null >>b"),
        (">b a", "a >b"),
        ("a &>b", "a >b"),
        ("a &>>b", "a >>b"),
        ("a >&b", "a >b"),
        ("a >&2b", "a >2b"),
        ("a >&-b", "a b =&-"),
        ("a >|b <>c", "a >b <>c"),
        ("a {fd}>b", "a {fd}>b"),
        ("a 2 >b", "a 2 >b"),
        ("a b2>c", "a b2 >c"),
        ("a <<<x", "a <<<x"),
        ("a <<E\nx $y \\$z\n'q'\nE\n", "a <<'x '$qy' $z\n'q'\n'"),
        ("a <<'E'\nx $y\nE\n", "a <<'x $y\n'"),
        ("a <<\\E >f\nx $y\nE\n", "a <<'x $y\n' >f"),
        ("a <<-E\n\tx\n\tE\n", "a <<'x\n'"),
        ("a <<E\nb\nE ", "a <<'b\nE '"),
        ("a <<A <<B\n1\nA\n2\nB\n", "a <<'1\n' <<'2\n'"),
    ] {
        assert_eq!(simples(text), [expected], "{text:?}");
    }
    assert_eq!(
        simples("cat <<E && ls\nx\nE\npwd"),
        ["cat <<'x\n'", "ls", "pwd"]
    );
    assert_eq!(
        simples("x=\"$(cat <<'E'\n)'\"\nE\n)\"\nls"),
        ["cat <<')'\"\n'", "x=$(q1)", "ls"]
    );
    assert_eq!(simples("cat <<E\n$(rm x)\nE"), ["cat <<$(q3)'\n'", "rm x"]);
}

#[test]
fn every_command_in_a_text_is_there() {
    for (text, expected) in [
        ("a; b & c && d || e | f |& g\nh", "a b c d e f g h"),
        ("(a; b) > x; { c; }", "a b c"),
        ("if a; then b; elif c; then d; else e; fi", "a b c d e"),
        ("while a; do b; done; until c\ndo d\ndone", "a b c d"),
        ("for x in $(a); do b; done", "a b"),
        (
            "for x do a; done; for x; do b; done; for x in 1\ndo c; done",
            "a b c",
        ),
        ("for ((i=$(a); i<1; i++)) { b; }", "a b"),
        ("select x in 1 2; do a; done", "a"),
        ("case x in a|b) a;; (c) b;& *) c;;& esac; d", "a b c d"),
        ("case x in esac) a;; esac", "REFUSED"),
        ("case $(a) in\n x)\n b\n ;;\n y) c\nesac", "a b c"),
        (
            "f() { a; }; function g { b; }; function h() ( c ); f",
            "a b c f",
        ),
        ("! a; time b; time -p c | d; ! ! e", "a b c d e"),
        ("coproc a; coproc N { b; }; coproc { c; }", "a b c"),
        ("`a`; `b \\`c\\``", "a $(1) c b $(4) $(6)"),
        (
            "[[ -n $(a) && ( x == y || ! $(b) =~ (c|d)+ ) ]] && c",
            "a b c",
        ),
        ("(( $(a) + 1 )) && b", "a b"),
        ("${x:-$(a)} ${y//$(b)/$(c)}", "a b c $x $y"),
        ("\"${x:-\"$(a)\"}\"", "a $qx"),
        ("$(case x in a) a;; esac)", "a $(3)"),
        ("$(a # b)\n)", "a $(1)"),
        ("{ { a; } }; if (a) then b; fi", "a a b"),
        ("{ a; } > f | b", "a b"),
        ("a \\\n  && b \\\n | c", "a b c"),
        ("a | # x\n b", "a b"),
        ("\n\n a\n\n", "a"),
    ] {
        let read = match parse(text) {
            Ok(_) => simples(text).join(" "),
            Err(_) => "REFUSED".to_owned(),
        };
        let process = read.replace('\n', " ");
        assert_eq!(process, expected, "{text:?}");
    }
    assert_eq!(simples("diff <(a) >(b)").len(), 3);
    assert!(script("").root.is_none() && script(" # x").root.is_none());
}

#[test]
fn what_bash_refuses_or_nobody_is_certain_of_is_refused() {
    for text in [
        "a &&",
        "a ;; b",
        "; a",
        "a | | b",
        "(",
        ")",
        "{ a }",
        "{ a; ",
        "if a; fi",
        "if ; then a; fi",
        "while a; done",
        "for x in a; a; done",
        "for 1x in a; do b; done",
        "case x a) b;; esac",
        "fi",
        "then a",
        "'a",
        "\"a",
        "`a",
        "$(a",
        "${a",
        "$((1",
        "((1)",
        "[[ a",
        "[[ a b ]]",
        "[[ -n ]]",
        "a >",
        "a > ;",
        "a (b)",
        "f() a",
        "function f a",
        "a=(b",
        "()",
        "echo @(a|b)",
        "!(a)",
        "${x y}",
        "${ a; }",
        "a &; b",
        "a |& | b",
        "| a",
        "& a",
        "((a); (b))",
        "a\0b",
        "a\u{1}",
        "a <<\"$x\"y$z\n",
        "a\u{7f}",
        "a=(x)y",
        "a | ! b",
        "{a,b}>c",
        "> {a,b}",
        "$'\\0'",
        "$'\\u00e9'",
        "$'\\xff'",
        "echo {a,b}${x:-{}",
        "cat <<A $(b\n)\nA",
        "\"${x:-'$(a)'}\"",
        "for x in a; do b; done c",
        "} a",
        "a }; }",
        "esac",
        "[[ a == ]]",
        "[[ ( a ]]",
    ] {
        assert!(parse(text).is_err(), "{text:?}: {:?}", script(text));
    }
}

#[test]
fn depth_is_bounded_and_long_texts_are_read() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    for (open, inner, close) in [
        ("( ", "a", ")"),
        ("{ ", "a", "; }"),
        ("$(", "a", ")"),
        ("${x:-", "a", "}"),
        ("if ", "a", "; then b; fi"),
        ("\"$(", "a", ")\""),
        ("<(", "a", ")"),
        ("$((", "1", "))"),
        ("f() { ", "a", "; }"),
        ("case $(", "x", ") in esac"),
        ("! ", "a", ""),
        ("x=(", "$(a)", ")"),
    ] {
        let deep = nested(open, inner, close, SHELL_DEPTH + 1);
        let deeper = nested(open, inner, close, 40_000);
        for text in [deep, deeper] {
            assert!(parse(&text).is_err(), "{open:?}");
        }
        if open != "x=(" {
            let text = nested(open, inner, close, SHELL_DEPTH / 2);
            assert!(parse(&text).is_ok(), "{text}");
        }
    }
    let deep = parse(&"(".repeat(1000).replace('(', "( "));
    assert!(matches!(deep, Err(Unparsed::TooDeep { .. })), "{deep:?}");
    let long = parse(&format!("echo {}", "{a,b}".repeat(30)));
    assert!(matches!(long, Err(Unparsed::TooLong { .. })), "{long:?}");
    assert!(parse(&"{".repeat(1 << 20)).is_ok());
    assert!(parse("echo {1..999999999}").is_err());
}

#[test]
fn what_another_sh_reads_differently_is_noted() {
    for text in [
        "a &>b",
        "a >&b",
        "a |& b",
        "[[ a ]]",
        "a <(b)",
        "a $'x'",
        "a $\"x\"",
        "a {b,c}",
        "function f { a; }",
        "a <<<b",
        "a=(b)",
        "a+=b",
        "a[1]=b",
        "((1))",
        "echo $((i++))",
        "echo $[1]",
        "echo ${a/b/c}",
        "echo ${a:1}",
        "echo ${a^}",
        "echo ${!a}",
        "echo ${a[1]}",
        "echo ${a@Q}",
        "select x in a; do b; done",
        "coproc a",
        "for ((;;)) do a; done",
        "case x in a) b;& esac",
        "a {fd}>b",
        "a 10>b",
        "time a",
        "ls [^a]",
        "ls ~+",
        "echo a=~",
    ] {
        assert!(differs_in_sh(&script(text)).is_some(), "{text:?}");
    }
    for text in [
        "a | b && c || d; e & f",
        "a >b 2>&1 <<E\n$x\nE",
        "a=1 b=\"$c\" d",
        "if a; then b; fi",
        "(a); { b; }; ! c",
        "for x in a b; do c; done",
        "case x in (a) b;; esac",
        "echo ${a:-b} ${#a} ${a%b} $((1+2)) `c` $(d)",
        "f() { a; }; f",
        "ls *.a ~/x [!a]",
        "a {} \\;",
        "echo \"{a,b}\"",
    ] {
        assert_eq!(differs_in_sh(&script(text)), None, "{text:?}");
    }
}

#[test]
fn a_quoted_text_is_read_as_itself() {
    for text in [
        "a", "", "a b", "it's", "$x", "~", "a=b", "*", "\\", "\n", "é", "#x", "!", "{a,b}",
    ] {
        let script = script(&format!("echo {}", quote(text)));
        let Some(Node::Simple(simple)) = script.nodes.first() else {
            panic!("{text:?}")
        };
        let read = brief(&simple.words[1]);
        let read = read.split('\'').collect::<Vec<_>>().join("");
        assert_eq!(read, text.replace('\'', ""), "{text:?}");
    }
}
