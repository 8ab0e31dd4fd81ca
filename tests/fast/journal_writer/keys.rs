//! Keys: rotation, and files that OpenSSL reads.

use super::*;

#[test]
fn a_rotated_journal_is_the_new_keys_alone() {
    let home = Home::with_events("rotate", 3);
    let (old, next) = (home.key.public(), Key::new());
    let journal = home.open().unwrap();
    let handle = journal.handle();
    let _ = handle.append_one(rotation_to(&next.public())).unwrap();
    // The old key has signed its last event, in this process and in any other.
    assert!(matches!(
        handle.append_one(numbered(0)),
        Err(AppendError::Poisoned(_))
    ));
    drop(handle);
    journal.close();
    home.assert_intact(4);
    assert_refused(&home, "hands the journal over to another key");

    let (journal, opened) = open_after(&home.paths(), &next, std::slice::from_ref(&old)).unwrap();
    assert_eq!((opened.seq, opened.recovered), (4, None));
    record(&journal, numbered(5));
    journal.close();
    home.assert_intact(5);
    assert_eq!(home.report().keys, [old.id(), next.public().id()]);
    // From here on the old key is not needed to open.
    open(&home.paths(), &next).unwrap().0.close();
    assert_refused(&home, "signature does not verify");
}

/// The head is not synced: after a power cut it may name an event before the rotation.
#[test]
fn a_head_that_lags_behind_a_rotation_rolls_forward() {
    let home = Home::with_events("rotate-lag", 3);
    let (old, next, other) = (home.key.public(), Key::new(), Key::new());
    let head = fs::read(home.paths().head).unwrap();
    let journal = home.open().unwrap();
    record(&journal, rotation_to(&next.public()));
    journal.close();
    fs::write(home.paths().head, &head).unwrap();
    let (log, retired) = (
        fs::read(home.paths().log).unwrap(),
        std::slice::from_ref(&old),
    );

    let refused = open_after(&home.paths(), &other, retired).unwrap_err();
    assert!(refused.to_string().contains("another key"), "{refused}");
    assert_refused(&home, "hands the journal over to another key");
    assert_eq!(fs::read(home.paths().log).unwrap(), log);

    let (journal, opened) = open_after(&home.paths(), &next, retired).unwrap();
    let expected = json!({"headSeq": 3, "rolledForwardTo": 4});
    assert_eq!(opened.recovered.map(Value::Object), Some(expected));
    record(&journal, numbered(6));
    journal.close();
    home.assert_intact(6);

    // The same with events of the new key beyond the rotation.
    fs::write(home.paths().head, &head).unwrap();
    let (journal, opened) = open_after(&home.paths(), &next, retired).unwrap();
    journal.close();
    let expected = json!({"headSeq": 3, "rolledForwardTo": 6});
    assert_eq!(opened.recovered.map(Value::Object), Some(expected));
    home.assert_intact(7);
}

#[test]
fn another_processes_rotation_stops_a_writer() {
    let home = Home::with_events("rotate-live", 3);
    let (here, there) = (home.open().unwrap(), home.open().unwrap());
    record(&there, rotation_to(&Key::new().public()));
    there.close();
    let before = fs::read(home.paths().log).unwrap();
    assert_poisoned(&here, "rotated the signing key");
    assert_eq!(fs::read(home.paths().log).unwrap(), before);
}

#[test]
fn openssl_reads_both_key_files_and_verifies_an_event() {
    let openssl = || Command::new("openssl");
    if !have("openssl", openssl().arg("version")) {
        return;
    }
    let home = Home::with_events("openssl", 2);
    let at = |name: &str| home.scratch.dir().join(name);
    fs::write(at("pub"), home.key.public().to_pem()).unwrap();
    let derived = openssl()
        .args(["pkey", "-pubout", "-in"])
        .arg(at("key"))
        .output()
        .unwrap();
    assert!(derived.status.success(), "{derived:?}");
    assert_eq!(
        String::from_utf8(derived.stdout).unwrap(),
        home.key.public().to_pem()
    );

    let mut event = events(&home.paths().log).pop().unwrap();
    let text = |value: Option<Value>| value.unwrap().as_str().unwrap().to_owned();
    event.remove("hash");
    let signature = text(event.remove("signature"));
    let mut signed = text(event.get("prevHash").cloned()).into_bytes();
    signed.extend(agp::journal::canonical(&Value::Object(event)));
    let raw = data_encoding::BASE64.decode(signature.as_bytes()).unwrap();
    fs::write(at("signature"), raw).unwrap();
    let verify = |name: &str, message: &[u8]| {
        fs::write(at(name), message).unwrap();
        openssl()
            .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
            .arg(at("pub"))
            .arg("-sigfile")
            .arg(at("signature"))
            .arg("-in")
            .arg(at(name))
            .output()
            .unwrap()
    };
    let good = verify("signed", &signed);
    assert!(good.status.success(), "{good:?}");
    signed[70] ^= 1;
    assert!(!verify("edited", &signed).status.success());
}
