//! Appending: against the same bytes written and synced by hand, from many threads, and late in
//! a long journal.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use agp::journal::{Handle, Journal};

use crate::report::{Figure, Target};
use crate::stock::Stock;
use crate::timing::{Durations, count, median};
use crate::{Fallible, events};

/// Appends in a row before the other side has its turn.
const BLOCK: u64 = 100;
const TURNS: u64 = 30;
const THREADS: u64 = 8;
/// How long the threads append in one turn.
const BURST: Duration = Duration::from_millis(500);
const BURSTS: u64 = 6;

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let small = Stock::of(work, 100)?;
    let bare = Bare::beside(work, line_bytes(&small)?)?;
    let one = one_thread(&small, &bare)?;
    let many = many_threads(&small, &bare)?;
    let late = late_and_early(work, &small)?;
    small.put_back()?;
    Ok(vec![one, many, late])
}

/// What an append cannot go below: its bytes, one write, one `fdatasync`.
struct Bare {
    file: File,
    line: Vec<u8>,
}

impl Bare {
    fn beside(work: &Path, bytes: usize) -> Fallible<Self> {
        let path = work.join("bare");
        let _ = fs::remove_file(&path);
        let file = File::options().create(true).append(true).open(&path)?;
        let mut line = vec![b'x'; bytes];
        if let Some(last) = line.last_mut() {
            *last = b'\n';
        }
        Ok(Self { file, line })
    }

    fn append(&self) -> std::io::Result<()> {
        (&self.file).write_all(&self.line)?;
        self.file.sync_data()
    }

    fn block(&self, times: &mut Durations) -> Fallible<()> {
        for _ in 0..BLOCK {
            times.time(|| self.append())?;
        }
        Ok(())
    }
}

/// Bytes of the line that one append writes.
fn line_bytes(stock: &Stock) -> Fallible<usize> {
    let journal = stock.open()?;
    let before = fs::metadata(stock.paths().log)?.len();
    append(&journal.handle(), 1)?;
    let after = fs::metadata(stock.paths().log)?.len();
    journal.close();
    stock.put_back()?;
    Ok(usize::try_from(after - before)?)
}

fn append(handle: &Handle, number: u64) -> Fallible<()> {
    // The receipt is a licence to act; there is nothing to do here.
    drop(handle.append_one(events::draft(number))?);
    Ok(())
}

fn block(journal: &Journal, times: &mut Durations) -> Fallible<()> {
    let handle = journal.handle();
    for number in 0..BLOCK {
        let draft = events::draft(number);
        drop(times.time(|| handle.append_one(draft))?);
    }
    Ok(())
}

fn one_thread(small: &Stock, bare: &Bare) -> Fallible<Figure> {
    let journal = small.open()?;
    let (mut ours, mut reference) = (Durations::default(), Durations::default());
    for _ in 0..TURNS {
        bare.block(&mut reference)?;
        block(&journal, &mut ours)?;
    }
    journal.close();
    small.put_back()?;
    Ok(Figure {
        name: "append, one thread",
        ours: ours.median(),
        reference: Some(reference.median()),
        unit: "us",
        target: Target::RatioAtMost(1.35),
        note: format!(
            "medians of {} appends of {} bytes against bare write and fdatasync; means {:.0} and \
             {:.0} us, ratio of means {:.2}; p99 {:.0} and {:.0} us",
            BLOCK * TURNS,
            bare.line.len(),
            ours.mean(),
            reference.mean(),
            ours.mean() / reference.mean(),
            ours.quantile(0.99),
            reference.quantile(0.99),
        ),
    })
}

fn many_threads(small: &Stock, bare: &Bare) -> Fallible<Figure> {
    let journal = small.open()?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..BURSTS {
        let (started, mut written) = (Instant::now(), 0);
        while started.elapsed() < BURST {
            bare.append()?;
            written += 1;
        }
        reference.push(count(written) / started.elapsed().as_secs_f64());
        ours.push(burst(&journal)?);
    }
    journal.close();
    small.put_back()?;
    Ok(Figure {
        name: "append, 8 threads",
        ours: median(&ours),
        reference: Some(median(&reference)),
        unit: "events/s",
        target: Target::RatioAtLeast(3.0),
        note: format!(
            "against one thread of bare writes; medians of {BURSTS} bursts of {} ms",
            BURST.as_millis()
        ),
    })
}

/// Events a second of threads that each append one after the other.
fn burst(journal: &Journal) -> Fallible<f64> {
    let started = Instant::now();
    let done: Fallible<Vec<usize>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let handle = journal.handle();
                scope.spawn(move || -> Fallible<usize> {
                    let mut done = 0;
                    while started.elapsed() < BURST {
                        append(&handle, thread)?;
                        done += 1;
                    }
                    Ok(done)
                })
            })
            .collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|done| done.unwrap_or_else(|_| Err("an appending thread panicked".into())))
            .collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    Ok(count(done?.iter().sum()) / seconds)
}

fn late_and_early(work: &Path, small: &Stock) -> Fallible<Figure> {
    let large = Stock::of(work, 1_000_000)?;
    let long = large.open()?;
    let (mut late, mut early) = (Durations::default(), Durations::default());
    for _ in 0..TURNS {
        // Put back after each turn, or the short journal would not be one.
        let short = small.open()?;
        block(&short, &mut early)?;
        short.close();
        small.put_back()?;
        block(&long, &mut late)?;
    }
    long.close();
    large.put_back()?;
    Ok(Figure {
        name: "append, event 1,000,000 against 100",
        ours: late.median(),
        reference: Some(early.median()),
        unit: "us",
        target: Target::RatioAtMost(1.1),
        note: format!("medians of {} appends each", BLOCK * TURNS),
    })
}
