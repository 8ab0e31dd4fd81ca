//! What the confinement of agp's threads costs: entering every profile, and a call that a confined
//! worker sees through against one by a worker that is not.

use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use agp::confine::{self, Places, Profile};
use agp::contracts::call::{Actor, ToolCall};
use agp::contracts::ids::MessageId;
use agp::contracts::message::Message;
use agp::gateway::server::{Decided, Gate, Peer, Server};
use agp::gateway::{client, frame};
use agp::governor::{Governor, Terms};
use agp::policy::Policy;

use crate::hook::Nobody;
use crate::report::{Figure, Target};
use crate::stock::{self, Stock};
use crate::timing::Durations;
use crate::{Fallible, events};

const ENTRIES: u64 = 50;
const TURNS: u64 = 60;
const BLOCK: u64 = 25;
const PATIENCE: Duration = Duration::from_secs(5);
const POLICY: &[u8] = br#"{"rules":[{"id":"shell","effect":"allow","tool":"Bash"}]}"#;

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    Ok(vec![entering(work)?, call(work)?])
}

/// All profiles, one after the other, each on a new thread; the threads' own start does not count.
fn entering(work: &Path) -> Fallible<Figure> {
    let mut all = Durations::default();
    let mut slowest = (Duration::ZERO, "");
    for _ in 0..ENTRIES {
        let mut sum = Duration::ZERO;
        for profile in Profile::ALL {
            let own = work.to_owned();
            let entered = in_a_thread(move || entered(profile, &own))??;
            sum += entered;
            slowest = slowest.max((entered, profile.terms().thread));
        }
        all.add(sum);
    }
    Ok(Figure {
        name: "entering every profile, p50",
        ours: all.median() / 1e3,
        reference: None,
        unit: "ms",
        target: Target::Below(5.0),
        note: format!(
            "{} profiles, with their Landlock rules and seccomp programs; p99 {:.2} ms, the slowest of \
             all {} with {:.2} ms",
            Profile::ALL.len(),
            all.quantile(0.99) / 1e3,
            slowest.1,
            slowest.0.as_secs_f64() * 1e3
        ),
    })
}

fn in_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Fallible<T> {
    let joined = thread::spawn(work).join();
    Ok(joined.map_err(|_| "a thread panicked")?)
}

fn entered(profile: Profile, own: &Path) -> std::io::Result<Duration> {
    if let Some(starter) = profile.terms().within {
        // As in a session: it is under its starter's already.
        entered(starter, own)?;
    }
    let mut places = Places::none().port(443);
    for ground in profile.terms().files {
        places = places.with(ground.place, own);
    }
    let begun = Instant::now();
    confine::enter(profile, &places)?;
    Ok(begun.elapsed())
}

/// A question and its durable answer, through the gateway and through one of the same parts whose
/// workers are not confined, in turns.
fn call(work: &Path) -> Fallible<Figure> {
    let stock = Stock::of(work, 100)?;
    let journal = stock.open()?;
    let governor = Arc::new(Governor::new(Terms {
        session: events::call(0)?.session,
        policy: Policy::parse(POLICY)?,
        journal: journal.handle(),
        screen: stock::screen(),
        channel: Box::new(Nobody),
        approval_deadline: Duration::from_secs(1),
        own_file: Box::new(|_| false),
        gate_unchanged: Box::new(|| Ok(())),
        watched: true,
        sandbox: None,
        notices: Box::new(|_| {}),
        broken: Box::new(|broken| crate::complain(&format!("bench: {broken}"))),
    }));
    let directory = std::env::temp_dir().join(format!("agp-figures-c-{}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
    let server = Server::start(
        &directory.join("gate.sock"),
        Arc::clone(&governor) as Arc<_>,
    )?;
    let plain = plain(&directory, &governor)?;
    let sockets = [server.socket().to_owned(), plain];
    let mut times = [(); 2].map(|()| Durations::default());
    let mut number = 0;
    for _ in 0..TURNS {
        for (socket, times) in sockets.iter().zip(&mut times) {
            for _ in 0..BLOCK {
                number += 1;
                let question = question(&governor, number)?;
                let answer = times.time(|| client::ask(socket, &question, PATIENCE));
                drop(answer.map_err(|error| error.to_string())?);
            }
        }
    }
    drop(server);
    drop(governor);
    journal.close();
    std::fs::remove_dir_all(&directory)?;
    stock.put_back()?;
    let [ours, reference] = times;
    Ok(Figure {
        name: "call through a confined worker, p50",
        ours: ours.median(),
        reference: Some(reference.median()),
        unit: "us",
        target: Target::RatioAtMost(1.05),
        note: format!(
            "from the connection to the durable verdict; against a gateway of the same parts whose workers \
             enter no profile; {} calls each, in turns; means {:.0} and {:.0} us",
            TURNS * BLOCK,
            ours.mean(),
            reference.mean()
        ),
    })
}

fn question(governor: &Governor, number: u64) -> Fallible<Message> {
    let call = events::call(number)?;
    Ok(Message::ToolCallRequest {
        id: MessageId::new(format!("confinement-{number}"))?,
        session_id: governor.session().clone(),
        tool: call.tool,
        args: call.args,
        actor: Actor::ClaudeProcess,
    })
}

/// A gateway whose workers are not confined.
fn plain(directory: &Path, governor: &Arc<Governor>) -> Fallible<PathBuf> {
    let socket = directory.join("plain.sock");
    let listener = UnixListener::bind(&socket)?;
    let governor = Arc::clone(governor);
    let (ready, begun) = sync_channel(1);
    thread::Builder::new().name("plain".into()).spawn(move || {
        let _ = ready.send(());
        for stream in listener.incoming().flatten() {
            let governor = Arc::clone(&governor);
            let worker = move || drop(answer(&stream, &governor));
            // One that is not started answers nobody, and the client says so.
            let _ = thread::Builder::new().name("call".into()).spawn(worker);
        }
    })?;
    begun.recv()?;
    Ok(socket)
}

fn answer(stream: &UnixStream, governor: &Governor) -> Result<(), frame::FrameError> {
    let credentials = rustix::net::sockopt::socket_peercred(stream)
        .map_err(|error| frame::FrameError::Io(error.into()))?;
    let Message::ToolCallRequest {
        id,
        session_id,
        tool,
        args,
        actor,
    } = frame::read(stream, PATIENCE)?
    else {
        return Ok(());
    };
    let call = ToolCall {
        id: id.clone(),
        session: session_id.clone(),
        tool,
        args,
        actor,
    };
    let peer = Peer {
        pid: credentials.pid.as_raw_nonzero().get(),
        uid: credentials.uid.as_raw(),
    };
    match governor.request(call, peer) {
        Ok(Decided::Verdict(verdict)) => frame::write(
            stream,
            &Message::PolicyVerdict {
                id,
                session_id,
                verdict,
            },
        ),
        _ => Ok(()),
    }
}
