//! The gateway's call workers: threads that stay, so that each is confined once, as its first act, and
//! not once for each call. One takes a connection, sees it through and waits for the next.

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::contracts::limits;
use crate::contracts::lock::{held, locked};

/// Where connections are handed to workers.
#[derive(Debug, Default)]
pub(super) struct Desk {
    state: Mutex<PoolState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    /// Workers that are there: no more than [`limits::CALLS_IN_FLIGHT`] that have a connection, and
    /// [`limits::IDLE_CALL_WORKERS`] that wait for one.
    workers: usize,
    /// Those that wait, and that no connection was handed to.
    idle: usize,
    /// Connections for those that wait: one each.
    handed: VecDeque<UnixStream>,
    closed: bool,
}

/// What becomes of a connection.
pub(super) enum Handed {
    /// A worker that was waiting has it.
    Over,
    /// A worker is to be started for it, at this place.
    ToStart(UnixStream, WorkerSlot),
    /// Too many are under way.
    Full(UnixStream),
}

impl Desk {
    /// Hands a connection to a worker that waits, if there is one.
    pub(super) fn hand(self: &Arc<Self>, stream: UnixStream) -> Handed {
        let mut state = self.state();
        if state.idle > 0 {
            state.idle -= 1;
            state.handed.push_back(stream);
            self.changed.notify_one();
            return Handed::Over;
        }
        // None is idle: each has a connection.
        if state.workers >= limits::CALLS_IN_FLIGHT {
            return Handed::Full(stream);
        }
        state.workers += 1;
        Handed::ToStart(stream, WorkerSlot(Arc::clone(self)))
    }

    /// The next connection of a worker that is done with its last, once there is one; none when enough
    /// others wait already, or nothing more comes.
    pub(super) fn next(&self) -> Option<UnixStream> {
        let mut state = self.state();
        if state.closed || state.idle >= limits::IDLE_CALL_WORKERS {
            return None;
        }
        state.idle += 1;
        loop {
            if let Some(stream) = state.handed.pop_front() {
                return Some(stream);
            }
            if state.closed {
                state.idle -= 1;
                return None;
            }
            state = held(self.changed.wait(state));
        }
    }

    /// Sends the workers home: those that wait at once, the others when they are done. Waits for them
    /// for so long.
    pub(super) fn close(&self, within: Duration) {
        let mut state = self.state();
        state.closed = true;
        self.changed.notify_all();
        let some_left = |state: &mut PoolState| state.workers > 0;
        drop(self.changed.wait_timeout_while(state, within, some_left));
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        locked(&self.state)
    }
}

/// A worker's place at the desk, given back also when it panics.
pub(super) struct WorkerSlot(Arc<Desk>);

impl WorkerSlot {
    /// The desk that it is at.
    pub(super) fn desk(&self) -> &Desk {
        &self.0
    }
}

impl Drop for WorkerSlot {
    fn drop(&mut self) {
        self.0.state().workers -= 1;
        // Whoever closes the desk waits for the last.
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn connection() -> UnixStream {
        UnixStream::pair().unwrap().0
    }

    fn place(desk: &Arc<Desk>) -> WorkerSlot {
        match desk.hand(connection()) {
            Handed::ToStart(_, place) => place,
            _ => panic!("nobody waits, and there is room"),
        }
    }

    #[test]
    fn workers_are_started_up_to_the_bound_and_few_stay_idle() {
        let desk = Arc::new(Desk::default());
        let places: Vec<WorkerSlot> = (0..limits::CALLS_IN_FLIGHT).map(|_| place(&desk)).collect();
        assert!(matches!(desk.hand(connection()), Handed::Full(_)));
        let (ended, ends) = channel();
        for place in places {
            let ended = ended.clone();
            thread::spawn(move || {
                while place.desk().next().is_some() {}
                drop(place);
                let _ = ended.send(());
            });
        }
        for _ in limits::IDLE_CALL_WORKERS..limits::CALLS_IN_FLIGHT {
            ends.recv_timeout(PATIENCE).unwrap();
        }
        assert_eq!(desk.state().workers, limits::IDLE_CALL_WORKERS);
        // Those that stay take every connection, and go when there will be none.
        for _ in 0..1000 {
            while !matches!(desk.hand(connection()), Handed::Over) {
                thread::yield_now();
            }
        }
        desk.close(PATIENCE);
        for _ in 0..limits::IDLE_CALL_WORKERS {
            ends.recv_timeout(PATIENCE).unwrap();
        }
        let state = desk.state();
        assert_eq!((state.workers, state.idle, state.handed.len()), (0, 0, 0));
    }

    #[test]
    fn a_desk_that_closes_waits_for_who_is_busy_but_not_for_ever() {
        let desk = Arc::new(Desk::default());
        let busy = place(&desk);
        desk.close(Duration::from_millis(1));
        assert_eq!(desk.state().workers, 1);
        let done = thread::spawn(move || busy.desk().next().is_none());
        desk.close(PATIENCE);
        assert!(done.join().unwrap());
        assert_eq!(desk.state().workers, 0);
    }
}
