//! What the confinement of agp's threads costs: entering every profile, and a call that a confined
//! worker sees through against one by a worker that is not.

use std::io::Write;
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
use agp::gateway::answer::Answer;
use agp::gateway::server::{Decided, Gate, Peer, Server};
use agp::gateway::{client, frame};
use agp::governor::Governor;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;

use crate::gated::{self, SHELL};
use crate::report::{Figure, Target};
use crate::stock::Stock;
use crate::timing::Durations;
use crate::{Fallible, events};

const ENTRIES: u64 = 50;
/// Short turns: what else the machine does burdens both alike.
const TURNS: u64 = 400;
const BLOCK: u64 = 5;
const WRITES: u64 = 400;
const PATIENCE: Duration = Duration::from_secs(5);

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
    let governor = Arc::new(Governor::new(gated::terms(&journal, SHELL)?));
    let directory = gated::socket_directory("c")?;
    let server = Server::start(
        &directory.join("gate.sock"),
        Arc::clone(&governor) as Arc<_>,
    )?;
    let plain = plain(&directory, &governor)?;
    let sockets = [server.socket(), &plain].map(client::Governor::at);
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
    let [writes, plain_writes] = writes(work)?;
    Ok(Figure {
        name: "call through a confined worker, p50",
        ours: ours.median(),
        reference: Some(reference.median()),
        unit: "us",
        target: Target::RatioAtMost(1.05),
        note: format!(
            "from the connection to the durable verdict; against a gateway of the same parts whose worker \
             enters no profile; {} calls each, in turns; means {:.0} and {:.0} us. Both have a confined journal \
             thread: two calls that do nothing take {:.2} us under its filter, {:.2} without",
            TURNS * BLOCK,
            ours.mean(),
            reference.mean(),
            writes,
            plain_writes
        ),
    })
}

/// Two calls that do next to nothing, on a thread under the journal's profile and on one under
/// none: us each, on average.
fn writes(work: &Path) -> Fallible<[f64; 2]> {
    let mut sums = [Duration::ZERO; 2];
    for turn in 0..2 * TURNS {
        let confined = turn % 2 == 0;
        let places = Places::none().with(confine::Place::Journal, work);
        let took = in_a_thread(move || -> std::io::Result<Duration> {
            let mut file = std::fs::File::options().write(true).open("/dev/null")?;
            if confined {
                confine::enter(Profile::Journal, &places)?;
            }
            let begun = Instant::now();
            for _ in 0..WRITES {
                file.write_all(b"line")?;
                file.metadata()?;
            }
            Ok(begun.elapsed())
        })??;
        let [under, free] = &mut sums;
        *(if confined { under } else { free }) += took;
    }
    let calls = (TURNS * WRITES) as f64;
    Ok(sums.map(|sum| sum.as_secs_f64() * 1e6 / calls))
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

/// A gateway whose worker is not confined: one, that stays, which is what a client that asks one question
/// after the other has of the real one.
fn plain(directory: &Path, governor: &Arc<Governor>) -> Fallible<PathBuf> {
    let socket = directory.join("plain.sock");
    let listener = UnixListener::bind(&socket)?;
    let governor = Arc::clone(governor);
    let (hand, handed) = sync_channel::<UnixStream>(1);
    thread::Builder::new().name("plain".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // A worker that is gone answers nobody, and the client says so.
            let _ = hand.send(stream);
        }
    })?;
    let answer_all = move || {
        for stream in handed {
            drop(answer(&stream, &governor));
        }
    };
    thread::Builder::new()
        .name("plain-call".into())
        .spawn(answer_all)?;
    Ok(socket)
}

fn answer(stream: &UnixStream, governor: &Governor) -> Result<(), frame::FrameError> {
    let credentials =
        getsockopt(stream, PeerCredentials).map_err(|error| frame::FrameError::Io(error.into()))?;
    let ((question, _), _) = frame::read(stream, PATIENCE)?;
    let Message::ToolCallRequest {
        id,
        session_id,
        tool,
        args,
        actor,
    } = question
    else {
        return Ok(());
    };
    let call = ToolCall {
        id,
        session: session_id,
        tool,
        args,
        actor,
    };
    let peer = Peer {
        pid: credentials.pid(),
        uid: credentials.uid(),
    };
    match governor.request(call, peer) {
        Ok(Decided::Released(permit, grounds)) => {
            frame::answer(stream, &Answer::allow(permit, grounds), None)
        }
        _ => Ok(()),
    }
}
