//! A journal as it lies on disk: opening it, verifying it, and what memory that takes.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Instant;

use agp::journal::Journal;
use agp::journal::key::SigningKey;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::report::{Figure, Target};
use crate::stock::{self, Stock};
use crate::timing::{Durations, count, median};
use crate::{Fallible, process};

const OPENINGS: u64 = 20;
/// Events verified in one turn, and turns.
const VERIFIED: u64 = 100_000;
const TURNS: u64 = 5;
/// Bytes around the signed ones in a line: `hash`, `signature`, newline; less the prefix.
const UNSIGNED_BYTES: u64 = 110;

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let million = Stock::of(work, 1_000_000)?;
    let tenth = Stock::of(work, VERIFIED)?;
    let mut figures = vec![opening(&million)?, verifying(&tenth)?];
    figures.extend(memory(&million, &tenth)?);
    Ok(figures)
}

fn opening(stock: &Stock) -> Fallible<Figure> {
    let (mut cold, mut warm) = (Durations::default(), Durations::default());
    for turn in 0..OPENINGS {
        let key = stock.key()?;
        if turn % 2 == 0 {
            let log = File::open(stock.paths().log)?;
            rustix::fs::fadvise(&log, 0, None, rustix::fs::Advice::DontNeed)?;
            open(stock, key, &mut cold)?;
        } else {
            open(stock, key, &mut warm)?;
        }
    }
    Ok(Figure {
        name: "open, 1,000,000 events",
        ours: cold.quantile(1.0) / 1e3,
        reference: None,
        unit: "ms",
        target: Target::Below(20.0),
        note: format!(
            "the slowest of {} with the log dropped from the page cache; median {:.2} ms, with \
             the log cached {:.2} ms",
            OPENINGS / 2,
            cold.median() / 1e3,
            warm.median() / 1e3
        ),
    })
}

fn open(stock: &Stock, key: SigningKey, times: &mut Durations) -> Fallible<()> {
    let opened = times.time(|| Journal::open(&stock.paths(), key, &[], stock::screen()));
    opened.map_err(|error| error.to_string())?.0.close();
    Ok(())
}

fn verifying(stock: &Stock) -> Fallible<Figure> {
    let log = stock.paths().log;
    let line = std::fs::metadata(&log)?.len() / VERIFIED;
    let alone = RingAlone::new(usize::try_from(line - UNSIGNED_BYTES)?)?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    let events = count(usize::try_from(VERIFIED)?);
    let [own_before, children_before] = process::processor_ticks()?;
    for _ in 0..TURNS {
        let started = Instant::now();
        alone.verify()?;
        reference.push(events / started.elapsed().as_secs_f64());
        let started = Instant::now();
        let mut verifier = process::verifier(&log, &stock.public_key());
        process::succeeded(verifier.status()?)?;
        ours.push(events / started.elapsed().as_secs_f64());
    }
    let [own, children] = process::processor_ticks()?;
    let processor = (own - own_before) / (children - children_before);
    Ok(Figure {
        name: "verify",
        ours: median(&ours),
        reference: Some(median(&reference)),
        unit: "events/s",
        target: Target::RatioAtLeast(0.9),
        note: format!(
            "agp-verify, process start and all, on {VERIFIED} events against ring alone verifying \
             as many messages of {} bytes on {} threads; medians of {TURNS} turns; ratio by \
             processor time, which other programs disturb less, {processor:.2}",
            alone
                .messages
                .first()
                .map_or(0, |(message, _)| message.len()),
            alone.threads
        ),
    })
}

/// What a verifier cannot go above: the signatures and nothing else.
struct RingAlone {
    key: Vec<u8>,
    messages: Vec<(Vec<u8>, Vec<u8>)>,
    threads: usize,
}

impl RingAlone {
    fn new(bytes: usize) -> Fallible<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32])
            .map_err(|_| "ring does not take the seed")?;
        let messages = (0..=u8::MAX).map(|filler| {
            let message = vec![filler; bytes];
            let signature = pair.sign(&message).as_ref().to_vec();
            (message, signature)
        });
        Ok(Self {
            key: pair.public_key().as_ref().to_vec(),
            messages: messages.collect(),
            threads: thread::available_parallelism().map_or(1, usize::from),
        })
    }

    fn verify(&self) -> Fallible<()> {
        let each = usize::try_from(VERIFIED)? / self.threads;
        let verified: bool = thread::scope(|scope| {
            let run = || {
                let key = UnparsedPublicKey::new(&ED25519, &self.key);
                let mut messages = self.messages.iter().cycle().take(each);
                messages.all(|(message, signature)| key.verify(message, signature).is_ok())
            };
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(run)).collect();
            let mut joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
            joined.all(|verified| matches!(verified, Ok(true)))
        });
        if verified {
            return Ok(());
        }
        Err("ring does not verify what it signed".into())
    }
}

fn memory(million: &Stock, tenth: &Stock) -> Fallible<Vec<Figure>> {
    let peak = |stock: &Stock| {
        let mut verifier = process::verifier(&stock.paths().log, &stock.public_key());
        process::peak_memory(&mut verifier)
    };
    // Also proves that the journals, which were not made by the journal thread, are sound.
    let small = peak(tenth)?;
    let large = peak(million)?;
    let figure = |name, ours, note: &str| Figure {
        name,
        ours,
        reference: None,
        unit: "MiB",
        target: Target::Below(16.0),
        note: note.to_owned(),
    };
    Ok(vec![
        figure(
            "verify, peak memory, 1,000,000 events",
            large,
            "VmHWM of agp-verify",
        ),
        figure("verify, peak memory, 100,000 events", small, ""),
    ])
}
