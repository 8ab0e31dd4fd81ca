//! Commands that are as long as any that is read. Each took a minute or more where what one line costs grew with the
//! lines before it.

use super::at;
use crate::contracts::limits;
use crate::reading::disk::NoDisk;
use crate::reading::walk::command;

/// Lines made of their numbers, as many as `bytes` hold.
fn lines(bytes: usize, line: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for number in 0.. {
        let line = line(number);
        if text.len() + line.len() > bytes {
            break;
        }
        text.push_str(&line);
    }
    text
}

#[test]
fn what_a_line_costs_does_not_grow_with_those_before_it() {
    const HALF: usize = limits::COMMAND_BYTES / 2;
    let set = lines(HALF, |n| format!("v{n}=1\n"));
    let words = "a ".repeat(HALF / 2);
    let repeated = |line: &str| line.repeat((HALF - 100) / line.len());
    for (text, is_read) in [
        // Each chain's changes are joined once.
        (lines(2 * HALF - 1, |n| format!("v{n}=1||")) + "x", true),
        (
            format!(
                "case $x in {}esac",
                lines(HALF, |n| format!("{n}) v{n}=1;;\n"))
            ),
            true,
        ),
        (
            format!(
                "if x; then y\n{}fi",
                lines(HALF, |n| format!("elif x;then v{n}=1\n"))
            ),
            true,
        ),
        // `$1` and so on are not copied.
        (
            format!("set -- {words}\nf() {{ :; }}\n{}", repeated("f\n")),
            false,
        ),
        (format!("set -- {words}\n{}", repeated("(shift)\n")), false),
        (format!("set -- {words}\n{}", repeated("sh -c :\n")), false),
        // No more is done for a shell that is not read.
        (format!("{set}{}", repeated("sh -c x\n")), false),
        (format!("{set}{}", repeated("trap x 1\n")), false),
        (
            lines(HALF, |n| format!("f{n}() {{ :; }}\n")) + &repeated("sh -c x\n"),
            false,
        ),
        // What grows is paid for.
        (format!("A=(a)\n{}", repeated("A+=(a)\n")), false),
        (
            lines(HALF, |n| format!(">f{}\n", n % 200)) + &repeated("./f0\n"),
            false,
        ),
    ] {
        assert!(text.len() <= limits::COMMAND_BYTES);
        let reading = command(&text, &at(), &NoDisk);
        let start: String = text.chars().take(40).collect();
        assert_eq!(
            reading.unread.is_empty(),
            is_read,
            "{start}: {:?}",
            reading.unread
        );
    }
}
