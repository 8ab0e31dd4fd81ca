# What everyone runs (https://just.systems). CONTRIBUTING.md has the same commands for who has no `just`.

# Every rule of gateway, ledger, policy and journal: no harness, no root, no daemon. `just fast gateway::`
fast *filter:
    cargo test --lib --test fast {{filter}}

# Everything. `just test --test claude witness::`
test *words:
    cargo test {{words}}

# Format and lints.
lint:
    cargo fmt --all --check
    cargo clippy --all-targets -- -D warnings

# Changes lines that security rests on, and sees their tests fail. `just mutations --only policy`
mutations *words:
    tests/mutations/run {{words}}

# The figures, beside their limits.
bench *words:
    bench/run {{words}}

# What decides whether a change lands; as root on Debian.
ci:
    .ci/run
