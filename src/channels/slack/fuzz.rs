//! What must hold of what Slack says, of who clicks, and of an agent's text in a message.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value};
use ureq::Body;
use ureq::http::Response;

use crate::channels::fuzz::acts_or_hides;
use crate::contracts::approver::ApproverList;
use crate::contracts::call::{Actor, ToolCall};
use crate::contracts::channel::{Answer, GrantOffer};
use crate::contracts::ids::{MessageId, SessionId};
use crate::contracts::question::{Asking, Question};
use crate::contracts::verdict::Verdict;
use crate::contracts::view::{CallView, Lead, LineKind, Origin, ViewBlock, ViewLine};
use crate::contracts::{limits, strict_json};

use super::approvals::{Approvals, Effect};
use super::authorization::Authority;
use super::blocks::{self, About, Outcome};
use super::card::{Drawing, Offers, Text};
use super::envelope::{self, Frame};
use super::mrkdwn_escape::{self, Line};
use super::outbox;
use super::relay_line::ClickLine;
use super::request::{self, NewRequest};
use super::web_api::{ApiError, Posted, RETRY_AFTER_MAX, is_code, read_with_scopes};

/// Nothing of an agent's text is live in a message, whether it stands in a fence or beside one, wherever in a view it
/// came from; and Block Kit's limits hold.
pub(crate) fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let max = 40 + usize::from(data.first().copied().unwrap_or(0)) * 8;
    let lines: Vec<Line> = text.split('\n').map(Line::foreign).collect();
    for fence in mrkdwn_escape::fences(&lines, max, usize::MAX) {
        assert!(fence.chars().count() <= max);
        harmless(&fence);
    }
    let plain = mrkdwn_escape::plain(&text, max);
    assert!(!plain.is_empty() && plain.chars().count() <= max && !plain.contains(acts_or_hides));
    let call = ToolCall {
        id: MessageId::known_as(&format!("t{text}")).expect("an id"),
        session: SessionId::new("s1").expect("an id"),
        tool: text.clone().into_owned(),
        args: Map::new(),
        actor: Actor::ClaudeProcess,
    };
    let asking = Asking {
        offer: Some(GrantOffer {
            exact: text.clone().into_owned(),
            pattern: Some(text.clone().into_owned()),
        }),
        approvers: vec![
            ApproverList {
                names: vec![text.clone().into_owned()],
                people: Vec::new(),
            };
            3
        ],
        ..Asking::about(call, Verdict::refused(text.clone()))
    };
    let view = view(&text);
    let about = About {
        origin: view.origin.clone(),
        sandbox: text.clone().into_owned(),
        egress: "none".into(),
    };
    let drawing = Drawing {
        asking: &asking,
        view: &view,
        redacted: true,
        about: &about,
        required: 2,
        mentions: &"<@U0ALICE>".repeat(limits::SLACK_MENTION_CHARS / 10),
    };
    let card = drawing.card("nonce", "block");
    let until = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let outcome = Outcome::new("*Denied*").by(&text).because(Some(&text));
    let mut all = vec![
        blocks::with_deadline(&card.blocks, until),
        blocks::with_outcome(Some(card.body), &outcome),
        blocks::opening(&about, &Map::new()),
        card.inert,
    ];
    if let Some(modal) = card.modal {
        assert!(modal.to_string().len() <= limits::SLACK_MODAL_BYTES);
        all.push(modal);
    }
    for drawn in &all {
        drawn_harmlessly(drawn);
    }
    for said in [
        card.text.until(until),
        outcome.text(&card.text.brief),
        blocks::opening_text(&about.origin),
    ] {
        // What a message's text may have that is edited later.
        assert!(said.chars().count() <= 4000 && !said.contains(acts_or_hides));
        let said = without_own(&said);
        assert!(!said.contains(['<', '>', '`']), "{said:?}");
    }
}

/// A view in which every text is this one.
fn view(text: &str) -> CallView {
    let kinds = [
        LineKind::Command,
        LineKind::Added,
        LineKind::Removed,
        LineKind::Note,
    ];
    let line = |(number, kind): (u64, LineKind)| ViewLine {
        kind,
        number: Some(number),
        text: text.to_owned(),
    };
    let block = |subject: Option<&str>| ViewBlock {
        heading: "runs".into(),
        subject: subject.map(str::to_owned),
        lines: (1..).zip(kinds).map(line).collect(),
    };
    CallView {
        tool: text.to_owned(),
        blocks: vec![block(None), block(Some(text))],
        directory: Some(text.to_owned()),
        leads: vec![Lead {
            path: text.to_owned(),
            real: format!("{text}x"),
            other_names: true,
        }],
        description: Some(text.to_owned()),
        rule: Some(text.to_owned()),
        reason: text.to_owned(),
        atoms: vec![text.to_owned(); 9],
        origin: Origin {
            session: text.to_owned(),
            harness: text.to_owned(),
            task: Some(text.to_owned()),
            repository: text.to_owned(),
            host: text.to_owned(),
            user: text.to_owned(),
        },
        details: vec![(text.to_owned(), text.to_owned())],
    }
}

/// A text without the markup that is agp's own: a mention of an approver, and moments.
fn without_own(text: &str) -> String {
    let mut text = text.replace("<@U0ALICE>", "");
    while let Some(at) = text.find("<!date^") {
        let end = text.get(at..).and_then(|rest| rest.find('>'));
        let end = at + end.expect("the end of a moment");
        let moment = text.get(at..end).expect("a moment");
        let digits = moment.trim_start_matches("<!date^");
        let seconds = digits.trim_start_matches(|c: char| c.is_ascii_digit());
        assert!(
            seconds.starts_with("^{date_short_pretty} at {time}|2"),
            "{moment}"
        );
        text.replace_range(at..=end, "");
    }
    text
}

/// In a fence: no markup, no end of the fence, a bar before every line.
fn harmless(fence: &str) {
    let body = fence
        .strip_prefix("```\n")
        .and_then(|fence| fence.strip_suffix("\n```"));
    for line in body.expect("a fence").split('\n') {
        let mut marks = line.chars();
        let mark = marks.next();
        assert!(mark.is_some_and(|c| "╭│┊┄".contains(c)), "{line:?}");
        // No part of a line looks like the beginning of one, at whatever width it is wrapped.
        assert!(!marks.as_str().contains(['╭', '│', '┊', '┄']), "{line:?}");
        assert!(
            !line.contains(['`', '<', '>']) && !line.contains(acts_or_hides),
            "{line:?}"
        );
        for (at, _) in line.match_indices('&') {
            let entity = line.get(at..).unwrap_or_default();
            assert!(
                ["&amp;", "&lt;", "&gt;"]
                    .iter()
                    .any(|known| entity.starts_with(known))
            );
        }
    }
}

/// What Slack reads as markup is a fence or agp's own words; everything else is plain text.
fn drawn_harmlessly(value: &Value) {
    if value.get("type").is_some_and(|kind| kind == "mrkdwn") {
        let text = value.get("text").and_then(Value::as_str).expect("a text");
        if text.starts_with("```") {
            harmless(text);
        } else {
            // Mentions and moments are all that is live in a request, and agp's own.
            let text = without_own(text);
            assert!(!text.contains(['<', '>', '&']), "{text:?}");
        }
    }
    if let Some(text) = value.as_str() {
        assert!(
            !text.contains(|c: char| c != '\n' && acts_or_hides(c)),
            "{text:?}"
        );
    }
    match value {
        Value::Array(items) => items.iter().for_each(drawn_harmlessly),
        Value::Object(map) => map.values().for_each(drawn_harmlessly),
        _ => {}
    }
}

/// What is read of a frame is short and of visible letters, so that it can be shown and compared.
pub(crate) fn frame(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let short = |text: &str| text.is_empty() || envelope::is_short(text);
    match envelope::read(&text) {
        Some(Frame::Envelope { id, click }) => {
            assert!(envelope::is_short(&id));
            if let Some(click) = click {
                assert!(click.is_bounded() && click.envelope == id);
                let person = request::person(&click.name, "U1");
                assert!(!person.contains(acts_or_hides) && !person.contains(['<', '&', '`']));
                assert!(person.matches(' ').count() == 2 || person == "slack U1");
                // What is handed to another session is read there as it was heard.
                let line = ClickLine {
                    session: "s-1".into(),
                    click: *click,
                };
                let written = line.written();
                let read = written.strip_suffix(b"\n").and_then(ClickLine::read);
                assert_eq!(read, Some(line));
            }
        }
        Some(Frame::Hello { app, .. }) => assert!(short(&app)),
        Some(Frame::Disconnect(_) | Frame::Unknown) | None => {}
    }
}

/// A click decides only if it is the approver's own, on this very message, and says so.
pub(crate) fn click(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(Frame::Envelope {
        click: Some(click), ..
    }) = envelope::read(&text)
    else {
        return;
    };
    let approvals = Approvals::new(Authority {
        team: "T1".into(),
        own_user: "U0".into(),
        app: "A1".into(),
        channel: "C1".into(),
        home: "h1".into(),
        approvers: BTreeSet::from(["U1".to_owned(), "W2".to_owned()]),
        required: 1,
    });
    let call = ToolCall {
        id: MessageId::new("t1").expect("an id"),
        session: SessionId::new("s1").expect("an id"),
        tool: "Bash".into(),
        args: Map::new(),
        actor: Actor::ClaudeProcess,
    };
    let asking = Asking::about(call, Verdict::refused("because"));
    let question = Arc::new(Question::new(asking, 1));
    let request = NewRequest {
        nonce: "n1".into(),
        block: "b1".into(),
        question: Arc::clone(&question),
        modal: Some(Value::Null),
        text: Text::default(),
        offers: Offers::default(),
        blocks: Value::Null,
        body: Value::Null,
        partial: true,
        required: 1,
    };
    approvals.open(request).expect("it is up");
    let posted = Posted {
        channel: "C1".into(),
        ts: "1.2".into(),
    };
    assert!(approvals.posted("n1", posted).is_ok() && approvals.arming("n1").is_some());
    assert!(approvals.armed("n1").is_empty());
    // No card but its own is an agp's to change.
    if let Some(card) = approvals.authority().own_card(&click) {
        assert!(click.app == "A1" && click.author == "U0" && click.block.starts_with("agp.h1."));
        assert!(card.posted.channel == "C1" && card.posted.ts == click.message);
    }
    let from_approver =
        click.app == "A1" && click.team == "T1" && ["U1", "W2"].contains(&click.user.as_str());
    let here = click.channel == "C1" && click.message == "1.2";
    let here = click.block == "b1" && (here || click.form.is_some());
    let valid = from_approver && here && click.value == "n1" && !click.is_bot;
    let decides = match click.form {
        Some(_) => click.action == "send-reason",
        None => ["deny", "details", "deny-with-reason"].contains(&click.action.as_str()),
    };
    match approvals.click(&click) {
        // Nobody has seen all of it, so only a deny can decide.
        Effect::Decided { .. } => {
            assert!(valid && decides && ["deny", "send-reason"].contains(&click.action.as_str()));
        }
        Effect::Details { .. } => assert!(valid && decides && click.action == "details"),
        Effect::Form { .. } => assert!(valid && decides && click.action == "deny-with-reason"),
        Effect::Rejected(_) => assert!(!valid || !decides),
        other => panic!("{other:?}"),
    }
    assert!(
        !matches!(question.answer(), Some(Answer::Granted { .. })),
        "an allow of what nobody had seen"
    );
    // Said twice it is a replay, whatever it says.
    assert!(matches!(approvals.click(&click), Effect::Rejected(_)));
}

/// A reply counts only if it says so itself; how long Slack wants to be left alone is bounded, and
/// nothing of a reply is shown but codes.
pub(crate) fn reply(data: &[u8]) {
    let (status, body) = data
        .split_first()
        .map_or((0, data), |(first, rest)| (*first, rest));
    let status = [200, 200, 429, 500][usize::from(status % 4)];
    let header: String = body
        .iter()
        .take(8)
        .filter(|b| b.is_ascii_graphic())
        .map(|b| char::from(*b))
        .collect();
    let response = Response::builder()
        .status(status)
        .header("retry-after", header)
        .body(Body::builder().data(body.to_vec()))
        .expect("a response");
    match read_with_scopes(Ok(response)) {
        Ok((reply, _)) => {
            assert_eq!(status, 200);
            assert_eq!(reply.get("ok"), Some(&Value::Bool(true)));
            assert_eq!(strict_json::from_slice(body).ok(), Some(reply));
        }
        Err(ApiError::RateLimited(pause)) => {
            assert!((limits::SLACK_PACE..=RETRY_AFTER_MAX).contains(&pause));
        }
        Err(ApiError::Refused(code, needed)) => {
            assert!(is_code(&code) || code == "an unreadable error");
            assert!(needed.is_none_or(|needed| is_code(&needed)));
        }
        Err(ApiError::Unreachable(_) | ApiError::Failed(_) | ApiError::TimedOut) => {}
    }
}

/// What is read is read again from what is written of it, unless that would be too long to be; and what a
/// later start says of it is harmless, whoever wrote it.
pub(crate) fn outbox_file(data: &[u8]) {
    let Ok(entries) = outbox::read(data) else {
        return;
    };
    for entry in &entries {
        let text = entry.text.as_deref().unwrap_or_default();
        drawn_harmlessly(&blocks::notice(
            "agp: delayed message",
            &[("Session", &entry.session), ("What", text)],
        ));
    }
    match outbox::written(entries.clone()) {
        Ok(written) => {
            assert!(written.len() as u64 <= limits::OUTBOX_BYTES);
            assert_eq!(outbox::read(&written).ok(), Some(entries));
        }
        Err(_) => assert!(data.len() as u64 * 6 > limits::OUTBOX_BYTES),
    }
}
