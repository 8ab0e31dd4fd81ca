//! Paths that one program lists and another takes.

use super::read;

#[test]
fn a_path_that_was_listed_is_one_of_the_listing() {
    for (text, expected) in [
        (
            "for f in $(git diff --name-only); do head \"$f\"; done",
            "git diff --name-only | head <**> | r:/r/** kept",
        ),
        (
            "git ls-files | while read f; do wc -l \"$f\"; done",
            "git ls-files | wc -l <**> | r:/r/** kept",
        ),
        (
            "git ls-files '*.rs' | while IFS= read -r f; do wc -l \"$f\"; done",
            "git ls-files *.rs | wc -l <**> | r:/r/** kept only *.rs",
        ),
        (
            "git grep -l foo | xargs head -5",
            "git grep -l foo | r:/r/** kept | head -5 <**> | r:/r/** kept",
        ),
        (
            "ls *.rs | while read -r f; do head \"$f\"; done",
            "ls <*>.rs | head <**> | r:/r/**",
        ),
        ("ls | xargs head", "ls | head <**> | r:/r/** only */[!.]*"),
        ("ls -A | xargs head", "ls -A | head <**> | r:/r/**"),
        (
            "ls -a | xargs -I{} head {}",
            "ls -a | head <**> | r:/r/** | head .. | r:/r/..",
        ),
        (
            "find . -name '*.rs' -not -path './target/*' | xargs head -1",
            "find . -name *.rs -not -path ./target/* | head -1 ./<**> | r:/r/** only *.rs",
        ),
        (
            "find src \\( -name '*.rs' -o -name '*.toml' \\) -type f | xargs head",
            "find src ( -name *.rs -o -name *.toml ) -type f | head src/<**> | r:/r/src/** only {*.rs,*.toml}",
        ),
        (
            "find . -name '*.rs' -exec head {} \\;",
            "find . -name *.rs -exec head {} ; | head ./<**> | r:/r/** only *.rs",
        ),
        (
            "find . -name '*.rs' -exec head {} +",
            "find . -name *.rs -exec head {} + | head ./<**> | r:/r/** only *.rs",
        ),
        (
            "mapfile -t a < <(git ls-files); head \"${a[@]}\"",
            "git ls-files | head <**> | r:/r/** kept",
        ),
        (
            "for f in $(git ls-files '*.rs'); do wc -l < \"$f\"; done",
            "git ls-files *.rs | wc -l | >r:/r/** kept only *.rs",
        ),
        (
            "cat src/**/*.rs",
            "cat src/<**>/<*>.rs | r:/r/src/** only *.rs",
        ),
        // Another ending may be a secret's, another pattern a hidden name.
        ("cat src/**/*.env", "cat src/<**>/<*>.env | r:/r/src/?"),
        ("cat src/**/.*.rs", "cat src/<**>/.<*>.rs | r:/r/src/?"),
        (
            "ls src | xargs -I{} head src/{}",
            "ls src | head src/<**> | r:/r/src/** only */[!.]* | head src/src | r:/r/src/src",
        ),
        (
            "rg -l foo | xargs -I{} head {}",
            "rg -l foo | r:/r/** kept | head <**> | r:/r/** kept only */[!.]*",
        ),
        (
            "f=$(git ls-files | head -1); head \"$f\"",
            "git ls-files | head -1 | head <**> | r:/r/** kept",
        ),
    ] {
        let line = read(text).replace(" | code:repo", "");
        assert_eq!(line, expected, "{text}");
    }
}

#[test]
fn each_path_of_a_listing_may_be_the_last() {
    let line = read("ls a b | xargs -n1 cp x");
    for target in ["w:/r/a", "w:/r/b"] {
        assert!(line.contains(target), "{line}");
    }
    let many: String = (0..30).map(|n| format!(" f{n}")).collect();
    let line = read(&format!("ls{many} | xargs rm"));
    assert!(line.contains("rm … +"), "{line}");
    // `.` and `..` are among them.
    let line = read("ls -a src | xargs -I{} rm -r src/{}");
    assert!(
        line.contains("w:/r/src/..") || line.contains("w:/r/**"),
        "{line}"
    );
}

#[test]
fn a_listing_that_could_hold_more_is_not_narrowed() {
    for (text, expected) in [
        // Ignored files, stages, both names.
        ("git ls-files -o | xargs head", "r:/r/** kept"),
        ("git ls-files -io --exclude-standard | xargs head", "kept"),
        ("git diff --no-index --name-only /a /b | xargs head", "kept"),
        ("git grep --no-index -l x | xargs head", "kept"),
        // What does not have the name, or any other.
        ("find . ! -name '*.rs' | xargs head", "only"),
        ("find . -not -name '*.rs' | xargs head", "only"),
        ("find . ! \\( -name '*.rs' \\) | xargs head", "only"),
        ("find . -name '*.rs' -o -type f | xargs head", "only"),
        ("find . -type f -o -name '*.rs' | xargs head", "only"),
        ("find . -type f , -name '*.rs' | xargs head", "only"),
        ("find . -name \"$X\" | xargs head", "only"),
        ("rg -l x --hidden | xargs head", "kept only"),
        ("rg -lu x | xargs head", "kept only"),
        ("rg -l x $Y | xargs head", "kept only"),
        ("ls -A | xargs head", "only"),
        ("ls $X | xargs head", "only"),
        // A pathspec's `*` takes a `/`: only the ending is certain.
        ("git ls-files 'src*/a*' | xargs head", "only src"),
        ("git ls-files '*.rs' src | xargs head", "only"),
        // Another name is made of it.
        ("for f in $(git ls-files); do head \".$f\"; done", "kept"),
        ("for f in $(git ls-files); do head \"$f.bak\"; done", "kept"),
        ("for f in $(git ls-files); do head \"x/$f\"; done", "kept"),
        // Anybody may write this.
        ("cat **/**", "kept"),
        ("X='** kept x'; cat $X", "** kept"),
    ] {
        let line = read(text);
        let heads: Vec<&str> = line
            .split(" | ")
            .skip_while(|part| !part.starts_with("head") && !part.starts_with("cat"))
            .collect();
        assert!(!heads.is_empty(), "{text}: {line}");
        assert!(
            heads.iter().all(|part| !part.contains(expected)),
            "{text}: {line}"
        );
    }
    assert_eq!(
        read("for f in $(git ls-files); do head \"$f.bak\"; done"),
        "git ls-files | code:repo | head <**>.bak | r:/r/?"
    );
}
