//! The file: what it takes, whose its entries are, and that it never grows past what is read again.

mod starts;

use super::*;

/// An outbox in a directory of its own, which goes with it.
struct Held {
    directory: PathBuf,
    outbox: Outbox,
}

impl Held {
    fn named(name: &str) -> Self {
        let name = format!("agp-outbox-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let outbox = Outbox::at(directory.join("outbox.json"));
        Self { directory, outbox }
    }

    fn hold(&self, text: &str) {
        std::fs::write(self.directory.join("outbox.json"), text).unwrap();
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.directory.join("outbox.json")).unwrap()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn card(id: &str, session: &str) -> OutboxEntry {
    OutboxEntry {
        id: id.into(),
        session: session.into(),
        channel: "C1".into(),
        ts: Some("1.2".into()),
        thread: None,
        text: None,
        claimed_by: None,
    }
}

fn message(id: &str, bytes: usize) -> OutboxEntry {
    OutboxEntry {
        ts: None,
        text: Some("x".repeat(bytes)),
        ..card(id, "s-1")
    }
}

fn ids(entries: &[OutboxEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.id.as_str()).collect()
}

#[test]
fn an_outbox_never_grows_past_what_is_read_again() {
    let held = Held::named("grows");
    let outbox = &held.outbox;
    let large = usize::try_from(limits::OUTBOX_BYTES).unwrap() / 3;
    outbox.put(message("a", large)).unwrap();
    outbox.put(message("b", large)).unwrap();
    assert!(outbox.put(message("c", large)).is_err());
    // What was there before is there still, and there is room for what fits.
    outbox.put(message("d", 10)).unwrap();
    let kept = outbox.left_behind("s-9", &|_| false).unwrap();
    assert_eq!(ids(&kept), ["a", "b", "d"]);
    outbox.remove("a").unwrap();
    outbox.put(message("c", large)).unwrap();
    // One that is too long as it stands, by whoever's hand, is read by nobody.
    let blanks = " ".repeat(usize::try_from(limits::OUTBOX_BYTES).unwrap());
    held.hold(&format!(r#"{{"entries":[]}}{blanks}"#));
    assert!(outbox.left_behind("s-9", &|_| false).is_err());
}

#[test]
fn messages_leave_room_for_cards_and_the_same_id_is_the_same_entry() {
    let held = Held::named("room");
    let many = (0..limits::OUTBOX_MESSAGES).map(|number| message(&number.to_string(), 1));
    held.hold(std::str::from_utf8(&written(many.collect()).unwrap()).unwrap());
    assert!(held.outbox.put(message("one more", 1)).is_err());
    held.outbox.put(message("0", 2)).unwrap();
    for number in limits::OUTBOX_MESSAGES..limits::OUTBOX_ENTRIES {
        if number % 64 == 0 {
            held.outbox.put(card(&format!("c{number}"), "s-1")).unwrap();
        }
    }
    let all = (0..limits::OUTBOX_ENTRIES).map(|number| message(&number.to_string(), 1));
    held.hold(std::str::from_utf8(&written(all.collect()).unwrap()).unwrap());
    assert!(held.outbox.put(card("one more", "s-1")).is_err());
}

/// The longest texts that agp puts in fit, all of them.
#[test]
fn a_full_outbox_is_within_its_bytes() {
    let text = "\"".repeat(limits::OUTBOX_TEXT_BYTES);
    let long = "x".repeat(128);
    let many = (0..limits::OUTBOX_ENTRIES).map(|number| OutboxEntry {
        id: format!("{number:032}"),
        text: (number < limits::OUTBOX_MESSAGES).then(|| text.clone()),
        claimed_by: Some(long.clone()),
        ..card("", &long)
    });
    assert!(written(many.collect()).is_ok());
}

#[test]
fn what_is_put_stays_until_it_is_removed_and_live_sessions_keep_theirs() {
    let held = Held::named("stays");
    held.outbox.put(card("a", "s-1")).unwrap();
    held.outbox.put(card("b", "s-2")).unwrap();
    let again = Outbox::at(held.directory.join("outbox.json"));
    let claimed = again.left_behind("s-3", &|session| session == "s-2");
    assert_eq!(ids(&claimed.unwrap()), ["a"]);
    again.remove("a").unwrap();
    let claimed = again.left_behind("s-3", &|_| false).unwrap();
    assert_eq!(ids(&claimed), ["b"]);
    held.hold("{");
    assert!(again.put(card("c", "s")).is_err());
}

#[test]
fn a_file_of_an_earlier_version_is_read() {
    let held = Held::named("earlier");
    held.hold(
        r#"{"entries":[{"id":"a","session":"s-1","channel":"C1","ts":"1.2","thread":null,"text":null},
        {"id":"b","session":"s-1","channel":"C1","ts":null,"thread":"1.1","text":"said"}]}"#,
    );
    let claimed = held.outbox.left_behind("s-2", &|_| false).unwrap();
    assert_eq!(ids(&claimed), ["a", "b"]);
    held.outbox.remove("a").unwrap();
    held.outbox.remove("b").unwrap();
    assert_eq!(held.text(), r#"{"entries":[]}"#);
}

#[test]
fn a_claim_lasts_as_long_as_its_claimer_and_is_of_all_that_a_session_left() {
    let held = Held::named("claims");
    for number in 0..=limits::OUTBOX_CLAIMS {
        held.outbox
            .put(card(&number.to_string(), "s-dead"))
            .unwrap();
    }
    held.outbox.put(card("other", "s-dead-too")).unwrap();
    let live = |session: &str| ["s-a", "s-b"].contains(&session);
    let first = held.outbox.left_behind("s-a", &live).unwrap();
    assert_eq!(first.len(), limits::OUTBOX_CLAIMS);
    assert!(first.iter().all(|entry| entry.session == "s-dead"));
    // What the first did not take of that session comes behind what it took: it is nobody else's.
    let second = held.outbox.left_behind("s-b", &live).unwrap();
    assert_eq!(ids(&second), ["other"]);
    assert!(held.outbox.left_behind("s-c", &live).unwrap().is_empty());
    // The first has died. Whatever it had claimed is free again.
    let third = held.outbox.left_behind("s-c", &|session| session == "s-b");
    assert_eq!(ids(&third.unwrap()), ids(&first));
}

#[test]
fn nobody_waits_without_end_for_a_lock_that_is_held() {
    let held = Held::named("lock");
    let outbox = &held.outbox;
    let lock = outbox.lock();
    let error = held.outbox.put(card("a", "s-1")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    held.outbox.put(card("a", "s-1")).unwrap();
}
