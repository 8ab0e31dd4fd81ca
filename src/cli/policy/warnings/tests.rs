//! Rules with the warnings that they deserve.
use super::*;

fn of(text: &str) -> Vec<(&'static str, Option<String>)> {
    let policy = Policy::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
    let document = serde_json::from_str(text).unwrap_or_default();
    let kinds = warnings(
        &policy,
        &document,
        &super::super::places::places(text),
        None,
    );
    kinds
        .into_iter()
        .map(|finding| (finding.kind, finding.rule))
        .collect()
}

#[test]
fn what_is_said_in_vain_or_too_widely_is_found() {
    let allow =
        |when: &str| format!(r#"{{"rules":[{{"id":"a","effect":"allow","when":{when}}}]}}"#);
    for (text, kinds) in [
        (allow(r#"{"command":["cargo test *"]}"#), vec![]),
        (allow(r#"{"command":["*"]}"#), vec!["too-wide"]),
        (allow(r#"{"command":["bash *"]}"#), vec!["too-wide"]),
        (allow(r#"{"command":["bash x.sh"]}"#), vec![]),
        (allow(r#"{"write":["**"]}"#), vec!["too-wide"]),
        (allow(r#"{"write":["${repo}/**"]}"#), vec![]),
        (allow(r#"{"host":["*"]}"#), vec!["too-wide"]),
        (allow(r#"{"code":["fetched"]}"#), vec!["too-wide"]),
    ] {
        let list: Vec<&str> = of(&text).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(list, kinds, "{text}");
    }
    let two = |first: &str, second: &str| {
        let text = format!(r#"{{"rules":[{{"id":"a",{first}}},{{"id":"b",{second}}}]}}"#);
        of(&text)
            .into_iter()
            .map(|(kind, rule)| format!("{kind} {}", rule.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    let deny = r#""effect":"deny","when":{"command":["git push *"]}"#;
    let narrow = r#""effect":"allow","when":{"command":["git push origin *"]}"#;
    assert_eq!(two(deny, narrow), ["unreachable b"]);
    assert_eq!(two(narrow, deny), ["unreachable a"]);
    let wide = r#""effect":"allow","when":{"command":["git *"]}"#;
    assert_eq!(two(wide, narrow), ["shadowed b"]);
    assert!(two(narrow, wide).is_empty());
    let excepted = r#""effect":"deny","when":{"command":["git push *","!git push origin *"]}"#;
    assert!(two(excepted, narrow).is_empty());
    let elsewhere = r#""effect":"deny","when":{"command":["git push *"],"branch":["main"]}"#;
    assert!(two(elsewhere, narrow).is_empty());
    let paths = r#""effect":"deny","when":{"path":["src/**"]}"#;
    assert_eq!(
        two(paths, r#""effect":"allow","when":{"write":["src/a/*"]}"#),
        ["unreachable b"]
    );
    assert!(two(paths, r#""effect":"allow","when":{"write":["srcs/a"]}"#).is_empty());
    assert_eq!(
        two(
            r#""effect":"deny","tool":"*""#,
            r#""effect":"allow","tool":"Read""#
        ),
        ["unreachable b"]
    );
    assert_eq!(
        two(
            r#""effect":"require","tool":"Read","reason":"x""#,
            r#""effect":"require","tool":"Read","reason":"y""#
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        of(r#"{"unread":"allow","rules":[]}"#),
        [("unread-allowed", None)]
    );
    let old = r#"{"rules":[{"id":"a","effect":"allow","tool":"Read","until":"2020-01-01"},{"id":"b","effect":"deny","tool":"Frobnicate"}]}"#;
    let kinds: Vec<&str> = of(old).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["expired", "unknown-tool"]);
}
