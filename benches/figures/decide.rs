//! A decision inside the governor, without the disk.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use agp::gateway::server::Peer;
use agp::governor::{CallOutcome, Effect, Governor, GovernorConfig, ReadingTerms};
use agp::journal::redact::{Screen, journaled_args};
use agp::journal::{self, Journal, Paths};
use agp::policy::{Conditions, Policy};
use agp::reading::disk::NoDisk;
use agp::reading::surroundings::Surroundings;
use agp::reading::tools;

use crate::gated::{self, SHELL};
use crate::report::{Figure, Target};
use crate::stock::{self, Stock};
use crate::timing::Durations;
use crate::{Fallible, events};

const RULES: usize = 1_000;
const DECISIONS: u64 = 20_000;
const MEMORY: &str = "/dev/shm";

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let policy = Policy::parse(thousand_rules().as_bytes())?;
    let screen = stock::screen();
    let mut figures = vec![in_memory(&policy, &screen)?];
    if Path::new(MEMORY).is_dir() {
        figures.push(on_memory_disk(&Stock::of(work, 100)?, policy, screen)?);
    }
    Ok(figures)
}

/// Rules that all are looked at: the one that matches ranks last.
fn thousand_rules() -> String {
    let mut text = String::from(r#"{"rules":["#);
    for number in 1..RULES {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            r#"{{"id":"r{number}","effect":"deny","tool":"mcp__s{number}__*_delete"}},"#
        );
    }
    text.push_str(r#"{"id":"shell","effect":"allow","tool":"*"}]}"#);
    text
}

fn in_memory(policy: &Policy, screen: &Screen) -> Fallible<Figure> {
    let mut times = Durations::default();
    let (around, declared, none) = (Surroundings::default(), policy.declared(), BTreeSet::new());
    for number in 0..DECISIONS {
        let call = events::call(number)?;
        let decided = times.time(|| {
            let secret = screen.secret_in(&call.args).is_some();
            let digest = journal::args_sha256(&call.args);
            let kept = journaled_args(&call.args);
            let reading = tools::read(&call.tool, &call.args, &around, &NoDisk, &declared);
            let at = Conditions {
                tool: &call.tool,
                args: &call.args,
                actor: call.actor,
                around: &around,
                directory: None,
                branch: None,
                confined: false,
                today: None,
                secrets: &none,
                memory: None,
                disk: &NoDisk,
            };
            (secret, digest, kept, policy.judge(&reading, &at))
        });
        let _ = black_box(decided);
    }
    Ok(Figure {
        name: "decision, 1,000 rules, p99",
        ours: times.quantile(0.99),
        reference: None,
        unit: "us",
        target: Target::Below(100.0),
        note: format!(
            "screening, arguments' digest, what is kept of them, reading and the policy; {DECISIONS} calls, \
             median {:.1} us",
            times.median()
        ),
    })
}

/// The whole main path with its journal in memory, where a sync costs nothing: two events signed,
/// chained and written, two threads woken.
fn on_memory_disk(stock: &Stock, policy: Policy, screen: Arc<Screen>) -> Fallible<Figure> {
    let directory = Path::new(MEMORY).join(format!("agp-figures-{}", std::process::id()));
    let paths = Paths::of(&directory.join("audit.log"));
    let (journal, _) = Journal::open(&paths, stock.key()?, &[], Arc::clone(&screen))
        .map_err(|error| error.to_string())?;
    let governor = Governor::new(GovernorConfig {
        reading: ReadingTerms::blind(),
        policy,
        screen,
        ..gated::terms(&journal, SHELL)?
    });
    let peer = Peer {
        pid: i32::try_from(std::process::id())?,
        uid: rustix::process::geteuid().as_raw(),
    };
    let mut times = Durations::default();
    for number in 0..DECISIONS / 4 {
        let call = events::call(number)?;
        let outcome = times.time(|| governor.run_call(call, &Effect::Release(peer)))?;
        if !matches!(outcome, CallOutcome::Released(..)) {
            return Err("a call was not released".into());
        }
    }
    drop(governor);
    journal.close();
    std::fs::remove_dir_all(&directory)?;
    Ok(Figure {
        name: "decision recorded on a memory disk, p50",
        ours: times.median(),
        reference: None,
        unit: "us",
        target: Target::None,
        note: format!(
            "the whole main path, two events signed and written to {MEMORY}; p99 {:.0} us",
            times.quantile(0.99)
        ),
    })
}
