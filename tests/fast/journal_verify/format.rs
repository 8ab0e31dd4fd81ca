//! `docs/journal-format.md` says what the code does.

use super::*;

fn format_document() -> String {
    fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/journal-format.md"
    ))
    .unwrap()
}

#[test]
fn the_format_document_lists_every_code_and_every_kind() {
    let text = format_document();
    let table = |heading: &str| -> Vec<String> {
        text.split(&format!("\n## {heading}\n"))
            .nth(1)
            .unwrap()
            .lines()
            .take_while(|line| !line.starts_with("## "))
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .map(str::to_owned)
            .collect()
    };
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(table("Problem codes"), codes);
    let kinds: Vec<_> = agp::contracts::event::Kind::ALL
        .iter()
        .map(|kind| kind.as_str())
        .collect();
    assert_eq!(table("Kinds"), kinds);
}

#[test]
fn the_example_in_the_format_document_verifies() {
    let text = format_document();
    let scratch = Scratch::new("example");
    let paths = scratch.paths();
    let key = scratch.dir().join("key.pub");
    fs::write(&paths.log, quoted(&text, "journal").to_owned() + "\n").unwrap();
    fs::write(&paths.head, format!("{:256}", quoted(&text, "head"))).unwrap();
    fs::write(&key, quoted(&text, "key")).unwrap();
    let output = agp_verify(&[paths.log.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim_end(), quoted(&text, "verdict"));
    assert_eq!(output.status.code(), Some(0));

    let signed = quoted(&text, "signed").as_bytes();
    let digest = ring::digest::digest(&ring::digest::SHA256, signed);
    let hash = data_encoding::HEXLOWER.encode(digest.as_ref());
    assert_eq!(support::events(&paths.log)[1]["hash"], json!(hash));
}
