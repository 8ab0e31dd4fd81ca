//! Many starts at once.

use std::sync::Barrier;
use std::thread;

use super::{Held, card};

#[test]
fn of_many_that_start_at_once_one_gets_each_entry() {
    let held = Held::named("once");
    for number in 0..40 {
        let session = format!("s-{}", number % 10);
        held.outbox
            .put(card(&number.to_string(), &session))
            .unwrap();
    }
    let all = Barrier::new(8);
    let mut claimed: Vec<String> = thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|number| {
                let (all, held) = (&all, &held);
                scope.spawn(move || {
                    all.wait();
                    let claimer = format!("starts-{number}");
                    let is_live = |session: &str| session.starts_with("starts");
                    let claimed = held.outbox.left_behind(&claimer, &is_live).unwrap();
                    claimed
                        .into_iter()
                        .map(|entry| entry.id)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let starts = starts.into_iter();
        starts.flat_map(|start| start.join().unwrap()).collect()
    });
    claimed.sort_by_key(|id| id.parse::<u32>().unwrap());
    let each: Vec<String> = (0..40).map(|number: u32| number.to_string()).collect();
    assert_eq!(claimed, each);
}
