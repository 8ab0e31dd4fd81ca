//! From a click to the answer that the bridge gets, with 64 requests open; and what the receiver
//! costs while nothing happens.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use agp::channels::slack::{About, Around, Settings, Slack, UncheckedConfig};
use agp::contracts::limits::CALLS_IN_FLIGHT;
use agp::contracts::message::Message;
use agp::contracts::view::Origin;
use agp::gateway::client::{self, Said};
use agp::gateway::server::Server;
use agp::governor::{Governor, GovernorConfig, Questions, ReadingTerms};
use agp::journal::{Journal, Paths, redact};
use serde_json::{Map, json};

use crate::double::{APP_TOKEN, BOT_TOKEN, CHANNEL, Click, SlackDouble};
use crate::gated;
use crate::report::{Figure, Target};
use crate::stock::{self, Stock};
use crate::timing::Durations;
use crate::{Fallible, events};

const POLICY: &[u8] = br#"{"rules":[{"id":"ask","effect":"require","tool":"*"}]}"#;
const APPROVER: &str = "U0APPROVER";
/// Messages are posted one a second: all of them stand there after as many seconds.
const DEADLINE: Duration = Duration::from_secs(300);
/// How long the receiver is watched doing nothing: some pings of both sides.
const IDLE: Duration = Duration::from_secs(20);

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let double = SlackDouble::start();
    let directory = directory()?;
    let paths = Paths::of(&directory.join("audit.log"));
    let screen = stock::screen();
    let (journal, _) = Journal::open(
        &paths,
        Stock::of(work, 100)?.key()?,
        &[],
        Arc::clone(&screen),
    )
    .map_err(|error| error.to_string())?;
    let session = events::call(0)?.session;
    let governor = Arc::new(Governor::new(GovernorConfig {
        reading: ReadingTerms::blind(),
        questions: Questions::new(
            vec![Box::new(slack(&double, session.as_str(), &directory)?)],
            DEADLINE,
            DEADLINE,
        ),
        ..gated::terms(&journal, POLICY)?
    }));
    let idle = idle()?;
    let server = Server::start(
        &directory.join("gate.sock"),
        Arc::clone(&governor) as Arc<_>,
    )?;
    let clicks = clicks(&double, &server)?;
    drop(server);
    drop(governor);
    journal.close();
    fs::remove_dir_all(&directory)?;
    let note = format!(
        "{CALLS_IN_FLIGHT} requests open at once, each clicked in turn; from the frame's writing to the \
         answer on the gateway's socket, journal in memory; p50 {:.2} ms",
        clicks.median() / 1e3
    );
    Ok(vec![
        Figure {
            name: "click to the bridge's answer, p99",
            ours: clicks.quantile(0.99) / 1e3,
            reference: None,
            unit: "ms",
            target: Target::Below(5.0),
            note,
        },
        Figure {
            name: "slack-socket, idle",
            ours: idle,
            reference: None,
            unit: "ms/min",
            target: Target::Below(10.0),
            note: format!(
                "processor time of the thread over {} s, a ping every 2 s included",
                IDLE.as_secs()
            ),
        },
    ])
}

/// In memory where there is such a place: a sync costs nothing there.
fn directory() -> Fallible<std::path::PathBuf> {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let directory = base.join(format!("agp-slack-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&directory)?;
    Ok(directory)
}

fn slack(double: &SlackDouble, session: &str, directory: &Path) -> Fallible<Slack> {
    let given = UncheckedConfig {
        bot_token: Some(BOT_TOKEN.into()),
        app_token: Some(APP_TOKEN.into()),
        channel: Some(CHANNEL.into()),
        approvers: vec![APPROVER.into()],
        required: None,
        mention: None,
        api: Some(double.url()),
    };
    let around = Around {
        about: About {
            origin: Origin {
                session: session.into(),
                ..Origin::default()
            },
            sandbox: "recording".into(),
            egress: "none".into(),
        },
        home: "bench".into(),
        sessions: directory.join("sessions"),
        outbox: directory.join("outbox.json"),
        roots: None,
        is_live: Box::new(|_| true),
        redact: redact::redact_tokens,
        rejected: Box::new(|rejection| crate::complain(&format!("bench: {rejection:?}"))),
        warn: Box::new(|text| crate::complain(&format!("bench: {text}"))),
    };
    let started = Settings::checked(given).and_then(|settings| Slack::start(&settings, around));
    started.map_err(|error| error.problem.into())
}

/// Milliseconds of processor time a minute that the receiver's thread takes.
fn idle() -> Fallible<f64> {
    // It has just begun.
    thread::sleep(Duration::from_secs(1));
    let before = spent()?;
    thread::sleep(IDLE);
    let nanos = spent()? - before;
    Ok(Duration::from_nanos(nanos).as_secs_f64() * 1e3 * 60.0 / IDLE.as_secs_f64())
}

fn spent() -> Fallible<u64> {
    for task in fs::read_dir("/proc/self/task")?.flatten() {
        if fs::read_to_string(task.path().join("comm"))?.trim() == "slack-socket" {
            let spent = fs::read_to_string(task.path().join("schedstat"))?;
            return Ok(spent.split(' ').next().unwrap_or_default().parse()?);
        }
    }
    Err("there is no thread slack-socket".into())
}

fn clicks(double: &SlackDouble, server: &Server) -> Fallible<Durations> {
    let mut waiting = Vec::new();
    for number in 0..CALLS_IN_FLIGHT {
        let mut call = events::call(u64::try_from(number)?)?;
        // What runs tells one card from another.
        let command = format!("echo call-{number}");
        call.args = Map::from_iter([("command".to_owned(), json!(command))]);
        let request = Message::ToolCallRequest {
            id: call.id.clone(),
            session_id: call.session,
            tool: call.tool,
            args: call.args,
            actor: call.actor,
        };
        let governor = client::Governor::at(server.socket());
        let asked = thread::spawn(move || {
            let verdict = client::ask(&governor, &request, DEADLINE);
            (verdict, Instant::now())
        });
        waiting.push((command, asked));
    }
    let all = Duration::from_secs(2 * u64::try_from(CALLS_IN_FLIGHT)?);
    let until = Instant::now() + all;
    while double.cards().len() < CALLS_IN_FLIGHT {
        if Instant::now() > until {
            return Err("not all requests were posted".into());
        }
        thread::sleep(Duration::from_millis(100));
    }
    // What was posted last has its name a moment later.
    thread::sleep(Duration::from_secs(1));
    let cards = double.cards();
    let mut times = Durations::default();
    for (command, asked) in waiting {
        let named = format!("{command}\\n");
        let card = cards.iter().find(|card| card.text().contains(&named));
        let button = card.and_then(|card| card.button("allow"));
        let envelope = double.click(&Click::of(
            &button.ok_or("a request has no button")?,
            APPROVER,
        ));
        let (verdict, answered) = asked.join().map_err(|_| "an asking thread panicked")?;
        if matches!(verdict.map_err(|error| error.to_string())?, Said::Deny(_)) {
            return Err("a call was not allowed".into());
        }
        let sent = double.sent(&envelope).ok_or("a click was not sent")?;
        times.add(answered.duration_since(sent));
    }
    Ok(times)
}
