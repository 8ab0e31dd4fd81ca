//! Scripts that a command writes and runs.

use super::at;
use crate::reading::disk::NoDisk;
use crate::reading::walk::command;

#[test]
fn a_script_is_unread_where_nobody_knows_what_the_command_writes_into_it() {
    for text in [
        "cat a b > x.sh; . ./x.sh",
        "cat a b > x.sh; chmod +x x.sh; ./x.sh",
        "cat a b > x.sh; timeout 9 env sh x.sh",
        "cat a b > x.sh; bash < x.sh",
        "cat a b > x.sh; BASH_ENV=x.sh bash -c true",
        "export BASH_ENV=x.sh; cat a b > x.sh; bash -c true",
        "base64 -d f > x; sh x",
        "printf 'cr- mr' | rev > x.sh; bash x.sh",
        "echo 'rm -r src' >> x.sh; bash x.sh",
        "cat a b &> x.sh; bash x.sh",
        "cat a b >& x.sh; bash x.sh",
        "cat a b 3>&1 >&2 2> x.sh; bash x.sh",
        "exec 3> x.sh; echo rm -r src >&3; bash x.sh",
        "exec > x.sh; echo rm -r src; bash x.sh",
        "cat a b 1<> x.sh; bash x.sh",
        "cat a b | tee x.sh; bash x.sh",
        "dd if=a of=x.sh; bash x.sh",
        "sort a -o x.sh; bash x.sh",
        "sed -i s/a/b/ x.sh; bash x.sh",
        "git diff --output=x.sh; bash x.sh",
        "split a x.; bash x.aa",
        "split a; bash xaa",
        "csplit a 1 2; bash xx00",
        // The text is not that of the last command.
        "(echo 'rm \\'; echo '-r src') > x.sh; bash x.sh",
        "{ echo ls; cat a; } > x.sh; bash x.sh",
        "for i in 1 2; do echo a; done > x.sh; bash x.sh",
        "trap 'echo rm -r src' DEBUG; { echo ls; } > x.sh; bash x.sh",
        "type f > x.sh; bash x.sh",
        "sh -c 'echo \"#\\\\nls\" > x.sh'; bash x.sh",
        // What is left of a text is not the text.
        "{ head -c 2; cat > x.sh; } <<< '# rm -r src'; bash x.sh",
        "{ x=$(head -c 2); bash; } <<< '# rm -r src'",
        "{ read -n 2; bash; } <<< '# rm -r src'",
        "echo ls | { cat a b > >(cat > x.sh); }; bash x.sh",
        // By another name, or in another order.
        "ln -s y.sh x.sh; cat a b > x.sh; bash y.sh",
        "ln -s src d; cat a b > d/x.sh; bash src/x.sh",
        "cat a b > x.sh; cp x.sh y.sh; mv y.sh z.sh; bash z.sh",
        "cat a b > d/x.sh; mv d e; bash e/x.sh",
        "cat a b > x.sh; cp x.sh d; bash d/x.sh",
        "cat a b > x.sh; tar cf t.tar x.sh; tar xf t.tar -C d; bash d/x.sh",
        "base64 -d t | tar x; bash x.sh",
        "bash x.sh & cat a b > x.sh",
        "while true; do bash x.sh; cat a b > x.sh; done",
        "f() { bash x.sh; }; cat a b > x.sh; f",
    ] {
        let reading = command(text, &at(), &NoDisk);
        assert!(!reading.unread.is_empty(), "{text}");
    }
}

#[test]
fn a_script_is_read_where_its_text_stands_in_the_command() {
    for text in [
        "cat > x.sh <<'E'\nrm -r src\nE\nbash x.sh",
        "cat <<'E' > x.sh\nrm -r src\nE\nchmod +x x.sh && ./x.sh",
        "printf 'rm -r src\\n' > x.sh; . ./x.sh",
        "echo rm -r src | tee x.sh; sh x.sh",
        "echo rm -r src > x.sh; cp x.sh d; sh d/x.sh",
        "echo rm -r src > x.sh; mv x.sh y.sh; sh y.sh",
        "bash x.sh; echo rm -r src > x.sh",
        "echo rm -r src > x.sh; BASH_ENV=x.sh bash -c true",
    ] {
        let reading = command(text, &at(), &NoDisk);
        assert_eq!(reading.unread, Vec::<String>::new(), "{text}");
        let line = super::line(&reading);
        assert!(line.contains("w:/r/src/**"), "{text}: {line}");
    }
}

#[test]
fn what_a_build_makes_or_git_checks_out_is_code_and_not_unread() {
    for text in [
        "gcc -o x a.c && ./x",
        "go build -o x && ./x",
        "git checkout main && ./run.sh",
        "git stash; bash run.sh; git stash pop",
        "npm run build && sh dist/run.sh",
        "cp run.sh /tmp/s/run.sh && bash /tmp/s/run.sh",
        "tar xf vendor.tar && ./vendor/configure",
        "chmod +x run.sh && ./run.sh",
        "make > build.log 2>&1; bash run.sh",
        "split big part.; bash run.sh",
        "sed -i s/a/b/ x.py && python3 x.py",
    ] {
        let reading = command(text, &at(), &NoDisk);
        assert_eq!(reading.unread, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_value_that_may_be_nothing_or_come_twice_is_not_known() {
    for text in [
        "rm -r \"$(case $X in a) echo build;; esac)/src\"",
        "rm -r \"$(for i in $X; do echo build; done)/src\"",
        "X=$(umask); rm -r \"$X/src\"",
        "rm -r \"$(dirs)/src\"",
    ] {
        let line = super::read(text);
        assert!(line.contains("w:anywhere/**"), "{text}: {line}");
    }
}
