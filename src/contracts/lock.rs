//! One way to take a lock, whoever panicked while they held it.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// Takes a lock, also one whose holder panicked.
///
/// A panic in any thread ends the session (`session/panic_hook.rs`), so a lock is poisoned only while the
/// session ends. What that takes must work on: to kill the harness, to say why, to take the buttons from
/// Slack's messages. Nothing is allowed on the strength of what lies behind such a lock: a call goes on
/// only with a durable record of the journal's, whose file has one owner and no lock of this kind.
pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    held(mutex.lock())
}

/// The same of one that a [`std::sync::Condvar`] gives back.
pub fn held<T>(locked: LockResult<T>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::locked;

    #[test]
    fn what_a_panic_left_locked_is_worked_on_with() {
        let mutex = Mutex::new(1);
        thread::scope(|scope| {
            let holder = scope.spawn(|| {
                *locked(&mutex) = 2;
                let _held = locked(&mutex);
                panic!("as it was told to");
            });
            assert!(holder.join().is_err());
        });
        assert!(mutex.is_poisoned());
        assert_eq!(*locked(&mutex), 2);
    }
}
