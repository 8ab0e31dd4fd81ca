//! Many calls, and their output.

use super::*;
use agp::contracts::call::{Actor, ToolCall};
use agp::contracts::ids::{MessageId, SessionId};
use agp::contracts::secret::Secret;
use agp::governor::Sandbox;

/// A container for calls that agp itself makes.
fn container(daemon: &Dockerd, world: &World) -> Docker {
    container_with(daemon, world, Secrets::default())
}

/// The same with secrets for those that name them.
fn container_with(daemon: &Dockerd, world: &World, secrets: Secrets) -> Docker {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = world.root().join(format!("run{number}"));
    fs::create_dir(&directory).unwrap();
    let setup = ContainerConfig {
        daemon: daemon.socket(),
        image: BUSYBOX.into(),
        bridge: env!("CARGO_BIN_EXE_agp-bridge").into(),
        session: format!("s-lib-{}-{number}", std::process::id()),
        name: format!("agp-s-lib-{}-{number}", std::process::id()),
        home: world.agp_home(),
        directory,
        shown: BOX,
        repository: world.repo(),
        repository_writable: true,
        at_own_path: false,
        user: (INSIDE, INSIDE),
        network: Network::Off,
        bounds: Bounds::default(),
        spawner: Spawner::start().unwrap(),
        secrets,
        mounts: Vec::new(),
        login: None,
        environment: vec![("GIVEN".into(), "as it is".into())],
        protected: vec![world.agp_home()],
        sockets: vec![daemon.socket()],
        netcheck: true,
        output: Arc::new(|_| {}),
        stopped: Arc::new(|| false),
        lost: Arc::new(|_| {}),
        left: Arc::new(|_| {}),
    };
    Docker::prepare(setup).unwrap()
}

fn errand(words: &[&str], input: &[u8]) -> Errand {
    Errand {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        input: input.to_vec(),
        deadline: Duration::from_secs(60),
        quiet: false,
    }
}

#[test]
fn many_calls_one_after_the_other_and_at_once() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let docker = container(daemon, &world);
    let ask = |number: usize| {
        let word = number.to_string();
        let input = word.repeat(100_000);
        let script = "echo $1 $(wc -c) $GIVEN; exit $(( $1 % 100 ))";
        let words = ["/bin/sh", "-c", script, "sh", &word];
        let ran = docker
            .run(errand(&words, input.as_bytes()), &mut |_| {})
            .unwrap();
        let said = String::from_utf8(ran.output).unwrap();
        assert_eq!(said, format!("{number} {} as it is\n", input.len()));
        assert_eq!(
            ran.ended,
            Told::Exited(i32::try_from(number % 100).unwrap())
        );
    };
    for number in 0..200 {
        ask(number);
    }
    thread::scope(|scope| {
        for worker in 0..16 {
            scope.spawn(move || (0..4).for_each(|round| ask(worker * 4 + round)));
        }
    });
}

#[test]
fn output_is_bounded_and_its_digest_is_of_all() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let docker = container(daemon, &world);
    let words = [
        "/bin/sh",
        "-c",
        "dd if=/dev/zero bs=1M count=64 2>/dev/null",
    ];
    let ran = docker.run(errand(&words, b""), &mut |_| {}).unwrap();
    assert_eq!(ran.output.len(), 1 << 20);
    assert_eq!(ran.output_bytes, 64 << 20);
    let zeros = "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351";
    assert_eq!(ran.output_sha256.to_hex(), zeros);
    // A program that is not there, an argument that cannot be one: told apart from a failure of the
    // container.
    let ran = docker.run(errand(&["/none"], b""), &mut |_| {}).unwrap();
    assert!(matches!(ran.ended, Told::NotStarted(_)), "{ran:?}");
    let ran = docker
        .run(errand(&["/bin/echo", "a\0b"], b""), &mut |_| {})
        .unwrap();
    assert!(matches!(ran.ended, Told::NotStarted(_)), "{ran:?}");
}

#[test]
fn a_call_has_no_other_calls_secrets_memory_or_descriptors() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let value = "one-of-the-values";
    let docker = container_with(
        daemon,
        &world,
        Secrets::of(vec![Secret::new("TOKEN", value)]),
    );
    let permits = Permits::new(world.root());
    let run = |id: &str, command: &str| {
        let args = json!({"command": command});
        let call = ToolCall {
            id: MessageId::new(id).unwrap(),
            session: SessionId::new("s").unwrap(),
            tool: "Bash".into(),
            args: args.as_object().unwrap().clone(),
            actor: Actor::ClaudeProcess,
        };
        docker.exec(permits.of(&call)).unwrap().output
    };
    let reversed: String = value.chars().rev().collect();
    thread::scope(|scope| {
        let holding = scope.spawn(|| {
            let shown = "echo {{secret:TOKEN}} | rev; touch held";
            run(
                "a",
                &format!("{shown}; while [ ! -e let-go ]; do sleep 0.1; done"),
            )
        });
        wait_for("the other call", || world.get("held"));
        // Backwards, as what is looked for in an output is not found.
        let look = "for p in /proc/[0-9]*; do tr '\\0' '\\n' <$p/environ | rev; ls $p/fd/; \
                    grep -l held $p/cmdline; done 2>/dev/null; touch let-go";
        let said = run("b", look);
        assert!(holding.join().unwrap().contains(&reversed));
        assert!(said.contains("/cmdline"), "it was there: {said}");
        assert!(!said.contains(&reversed), "{said}");
    });
}
