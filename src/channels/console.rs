//! The console channel: the operator approves at the terminal that `agp run` was started from.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::contracts::approver::Approver;
use crate::contracts::channel::{Answer, Channel, Scope, Unreachable};
use crate::contracts::event::ApprovalBinding;
use crate::contracts::lock::locked;
use crate::contracts::plural::count;
use crate::contracts::question::{Asking, Question};

use super::escape;
use super::terminal::{Terminal, Typed};

/// Characters of one argument that a question shows at first; all of them on request.
const SHOWN_CHARS: usize = 400;
/// Characters of all arguments together that it shows at first, whole lines counted: what many small ones
/// would push off the screen must not pass for seen.
const SHOWN_ALL_CHARS: usize = 2000;
/// Columns of a line of the agent's text. It is broken here and not by the terminal, which would
/// leave the rest without a bar, to pass for a line of agp's own.
const LINE_COLUMNS: usize = 64;

/// Asks at a terminal.
pub struct Console {
    terminal: Arc<Terminal>,
    operator: String,
    /// The account that they answer as.
    account: Approver,
    /// One call at a time, until it is answered: the yes that follows a look at the rest of one
    /// call must not meet the question about another.
    turn: Arc<Mutex<()>>,
}

impl Console {
    /// `operator` is who answers at this terminal, for the journal; `account` for rules that name who may approve.
    #[must_use]
    pub fn new(terminal: Arc<Terminal>, operator: String, account: Approver) -> Self {
        Self {
            terminal,
            operator,
            account,
            turn: Arc::default(),
        }
    }
}

impl Channel for Console {
    fn name(&self) -> &'static str {
        "console"
    }

    fn hang_up(&self) {
        self.terminal.hang_up();
    }

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        if let Some(why) = self.terminal.unattended_because() {
            return Err(Unreachable(why.into()));
        }
        let person = std::slice::from_ref(&self.account);
        if let Some(why) = too_few(question.asking(), person) {
            return Err(Unreachable(why));
        }
        let (terminal, turn) = (Arc::clone(&self.terminal), Arc::clone(&self.turn));
        let (operator, question) = (self.operator.clone(), Arc::clone(question));
        let asks = thread::Builder::new().name("console".into());
        asks.spawn(move || {
            let _turn = locked(&turn);
            let answer = put(&terminal, &operator, &question);
            question.settle(answer);
        })
        .map_err(|error| Unreachable(error.to_string()))?;
        Ok(())
    }

    fn over(&self, _: &Question, _: &Answer) {}
}

/// Puts a question at the terminal until it is answered.
fn put(terminal: &Terminal, operator: &str, question: &Question) -> Answer {
    let asking = question.asking();
    let binding = ApprovalBinding::Console;
    question.seen();
    let until = Instant::now() + question.left();
    let mut chars = SHOWN_CHARS;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let (text, hidden) = drawn(asking, chars, left);
        match terminal.ask(&text, until) {
            // The words that the question names, and nothing around them.
            Typed::Line(word) => match word.to_ascii_lowercase().as_str() {
                // A yes is to what was seen: the rest is shown, and asked about, first.
                "y" | "yes" if hidden > 0 => chars = usize::MAX,
                "y" | "yes" => {
                    return Answer::Granted {
                        by: operator.to_owned(),
                        binding,
                        scope: Scope::Once,
                    };
                }
                "n" | "no" => {
                    return Answer::Denied {
                        by: operator.to_owned(),
                        binding,
                        reason: None,
                    };
                }
                "d" | "details" => chars = usize::MAX,
                // Anything else is asked again: neither a yes nor a no was typed.
                _ => {}
            },
            Typed::Nothing => {
                terminal.tell("no answer before the deadline: denied");
                return Answer::TimedOut;
            }
            Typed::Closed => return Answer::Unreachable("the terminal was closed".into()),
            Typed::Over => {
                return Answer::SessionOver("the session ended before an answer".into());
            }
        }
    }
}

/// One person sits at a terminal, or nobody.
pub(super) fn too_few(request: &Asking, people: &[Approver]) -> Option<String> {
    if let Some(why) = request.not_for(people) {
        return Some(why);
    }
    let people = request.terms.required.filter(|people| *people > 1)?;
    Some(format!(
        "the rule needs {}, but a terminal has one: use --channel slack",
        count(people, "approver")
    ))
}

/// The question's text. Everything of the agent's in it is escaped; what agp itself says stands
/// outside the bars. With it comes how many characters of the agent's it does not show.
fn drawn(request: &Asking, chars: usize, left_to_answer: Duration) -> (String, usize) {
    let mut text = String::from("\nApproval needed\n");
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<8} {value}");
    };
    let (tool, mut hidden) = cut(&request.call.tool, chars);
    let mut name = "tool";
    for piece in pieces(&tool) {
        line(name, &piece);
        name = "       |";
    }
    let mut left = match chars {
        usize::MAX => usize::MAX,
        _ => SHOWN_ALL_CHARS,
    };
    let mut unshown = 0;
    for (name, value) in &request.call.args {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if left == 0 {
            unshown += 1;
            hidden += [name, &value]
                .map(|text| escape::line(text).chars().count())
                .iter()
                .sum::<usize>();
            continue;
        }
        let (name, of_name) = cut(name, chars.min(left));
        let (value, of_value) = cut(&value, chars.min(left));
        hidden += of_name + of_value;
        let line_pieces = pieces(&format!("{name}: {value}"));
        left = left.saturating_sub(line_pieces.len() * LINE_COLUMNS);
        let mut bar = "|";
        for piece in line_pieces {
            line("", &format!("{bar} {piece}"));
            bar = "|  ";
        }
    }
    if unshown > 0 {
        line("", &format!("and {}", count(unshown, "more argument")));
    }
    let rule = request.verdict.rule_id.as_deref().unwrap_or("none");
    line("rule", &escape::line(rule));
    let mut name = "reason";
    for piece in folded(&escape::line(&request.verdict.reason)) {
        line(name, &piece);
        name = "";
    }
    line("sha256", &request.args_sha256.to_string());
    line(
        "deadline",
        &format!("{} s left; no answer means Deny", left_to_answer.as_secs()),
    );
    text.push_str("Allow this call once? ");
    if hidden > 0 {
        // Writing to a String cannot fail.
        let hidden = count(hidden, "character");
        let _ = write!(text, "{hidden} hidden: [d]etails, [n]o: ");
    } else {
        text.push_str("[y]es, [n]o: ");
    }
    (text, hidden)
}

/// A text of the agent's on one line of at most so many characters, and how many that leaves out.
fn cut(text: &str, chars: usize) -> (String, usize) {
    let (cut, whole) = (escape::line_max(text, chars), escape::line(text));
    let hidden = match cut == whole {
        true => 0,
        // The mark of the cut is none of them.
        false => whole.chars().count() - cut.chars().count() + 1,
    };
    (cut, hidden)
}

/// Escaped text in pieces of at most [`LINE_COLUMNS`]; what is not ASCII may take two columns.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut columns = 0;
    for c in text.chars() {
        let wide = if c.is_ascii() { 1 } else { 2 };
        if columns + wide > LINE_COLUMNS {
            pieces.push(String::new());
            columns = 0;
        }
        columns += wide;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

/// The same of a sentence: broken between words, where there are any.
fn folded(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let columns = |text: &str| -> usize {
        let wide = |c: char| if c.is_ascii() { 1 } else { 2 };
        text.chars().map(wide).sum()
    };
    for word in text.split(' ') {
        let line = lines
            .last_mut()
            .filter(|line| line.is_empty() || columns(line) + 1 + columns(word) <= LINE_COLUMNS);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines.iter().flat_map(|line| pieces(line)).collect()
}

/// Approves everything, for unattended local trials (`AGP_AUTO_APPROVE=1`). Loud, and the journal
/// says who approved: nobody.
pub struct AutoApprove {
    terminal: Arc<Terminal>,
}

impl AutoApprove {
    /// Shows each approval it gives.
    #[must_use]
    pub fn new(terminal: Arc<Terminal>) -> Self {
        Self { terminal }
    }
}

impl Channel for AutoApprove {
    fn name(&self) -> &'static str {
        "console"
    }

    fn hang_up(&self) {}

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        let request = question.asking();
        if let Some(why) = too_few(request, &[]) {
            return Err(Unreachable(why));
        }
        self.terminal.tell(&format!(
            "WARNING: AGP_AUTO_APPROVE=1: approved {} ({}) automatically",
            escape::line_max(&request.call.tool, 100),
            escape::line(request.verdict.rule_id.as_deref().unwrap_or("no rule")),
        ));
        question.seen();
        question.settle(Answer::Granted {
            by: "AGP_AUTO_APPROVE".into(),
            binding: ApprovalBinding::Console,
            scope: Scope::Once,
        });
        Ok(())
    }

    fn over(&self, _: &Question, _: &Answer) {}
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::contracts::approver::ApproverList;
    use crate::contracts::call::{Actor, ToolCall};
    use crate::contracts::ids::{MessageId, SessionId};
    use crate::contracts::limits;
    use crate::contracts::verdict::{Decision, Verdict};

    fn account(name: &str) -> Approver {
        Approver::Account(name.to_owned())
    }

    fn with_request(tool: &str, args: &Value, test: impl FnOnce(&Asking)) {
        let call = ToolCall {
            id: MessageId::new("m1").unwrap(),
            session: SessionId::new("s1").unwrap(),
            tool: tool.into(),
            args: args.as_object().unwrap().clone(),
            actor: Actor::ClaudeProcess,
        };
        let verdict = Verdict {
            decision: Decision::Require,
            reason: "writes need a person".into(),
            rule_id: Some("ask-writes".into()),
            tier: None,
        };
        test(&Asking {
            deadline: Duration::from_secs(1),
            ..Asking::about(call, verdict)
        });
    }

    /// What a channel answers.
    fn ask(channel: &dyn Channel, asking: &Asking) -> Answer {
        let question = Arc::new(Question::new(asking.clone(), 1));
        if let Err(why) = channel.show(&question) {
            question.gives_up(&why);
        }
        question.wait()
    }

    #[test]
    fn a_question_shows_the_call_and_nothing_of_the_agent_reaches_the_terminal_raw() {
        let args = json!({"file_path": "/r/a\u{1b}[2K\r\nAllow this call", "x\u{202e}": ["\u{7}"]});
        with_request("Wri\u{200b}te", &args, |request| {
            let (text, _) = drawn(request, SHOWN_CHARS, request.deadline);
            for part in [
                "ask-writes",
                "writes need a person",
                "0707",
                "\\u{202e}",
                "\\u{1b}",
            ] {
                assert!(text.contains(part), "{part} in {text}");
            }
            assert!(
                text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)),
                "{text:?}"
            );
            assert_eq!(text.matches("Allow this call once?").count(), 1);
        });
    }

    #[test]
    fn a_question_says_what_it_does_not_show_and_shows_all_of_it_on_request() {
        let command = format!("echo hi{}; tail-of-it", " ".repeat(30_000));
        with_request("Bash", &json!({ "command": command }), |request| {
            let (text, hidden) = drawn(request, SHOWN_CHARS, request.deadline);
            assert!(!text.contains("tail-of-it"));
            assert_eq!(hidden, command.len() - (SHOWN_CHARS - 1));
            assert!(text.contains(&format!("{hidden} characters hidden")));
            assert!(!text.contains("[y]es"));
            let (text, hidden) = drawn(request, usize::MAX, request.deadline);
            assert!(text.contains("tail-of-it") && text.contains("[y]es"));
            assert_eq!(hidden, 0);
        });
    }

    #[test]
    fn a_call_of_a_whole_frame_is_asked_about_and_shown_on_request() {
        let content = "<\u{202e}\n".repeat(limits::FRAME_BYTES / 9);
        with_request("Write", &json!({ "content": content }), |request| {
            let (text, hidden) = drawn(request, SHOWN_CHARS, request.deadline);
            assert!(text.len() < 20_000 && hidden > limits::FRAME_BYTES / 2);
            let (whole, hidden) = drawn(request, usize::MAX, request.deadline);
            assert!(whole.len() > limits::FRAME_BYTES && hidden == 0);
        });
    }

    #[test]
    fn what_many_small_arguments_would_push_off_the_screen_is_not_taken_for_seen() {
        let mut args = Map::new();
        args.insert("command".into(), json!("tail-of-it"));
        args.extend((0..5000).map(|n| (format!("a{n:04}"), json!(1))));
        with_request("Bash", &Value::Object(args.clone()), |request| {
            let (text, hidden) = drawn(request, SHOWN_CHARS, request.deadline);
            assert!(text.lines().count() < 50 && !text.contains("tail-of-it"));
            assert!(text.contains("more argument") && !text.contains("[y]es"));
            let whole: usize = args
                .iter()
                .map(|(name, value)| name.len() + value.to_string().len())
                .sum();
            // Two quotes belong to no text.
            let visible = text
                .lines()
                .filter_map(|line| line.trim_start().strip_prefix("| "));
            let visible: usize = visible.map(|line| line.len() - ": ".len()).sum();
            assert_eq!(hidden, whole - 2 - visible);
            let (text, hidden) = drawn(request, usize::MAX, request.deadline);
            assert!(text.contains("tail-of-it") && text.contains("[y]es"));
            assert_eq!(hidden, 0);
        });
    }

    #[test]
    fn no_line_of_the_agents_is_left_for_the_terminal_to_break() {
        let wide = "\u{65e5} ".repeat(100);
        let spaces = " ".repeat(3 * LINE_COLUMNS - "command: ".len());
        let args = json!({"command": format!("{spaces}  rule     read"), "wide": wide});
        with_request("Bash", &args, |request| {
            let mut request = request.clone();
            let verdict = Verdict::refused("a reason of many words ".repeat(9));
            request.verdict = verdict;
            let (text, _) = drawn(&request, SHOWN_CHARS, request.deadline);
            for line in text.lines() {
                let columns: usize = line.chars().map(|c| 1 + usize::from(!c.is_ascii())).sum();
                assert!(columns < 80, "{line}");
            }
            let fake = text.lines().find(|line| line.contains("rule     read"));
            assert!(fake.unwrap().trim_start().starts_with('|'), "{text}");
        });
    }

    #[test]
    fn a_rule_that_asks_for_two_people_is_not_met_by_one() {
        with_request("Write", &json!({}), |request| {
            let mut request = request.clone();
            request.terms.required = Some(2);
            let auto = AutoApprove::new(Arc::new(Terminal::unattended("nobody is there")));
            assert!(matches!(ask(&auto, &request), Answer::Unreachable(_)));
            assert!(too_few(&request, &[]).unwrap().contains("2 approvers"));
            // A rule that names people, or groups, is not met by whoever sits there.
            request.terms.required = None;
            request.approvers = vec![ApproverList {
                names: vec!["@leads".to_owned()],
                people: vec![account("alice")],
            }];
            assert_eq!(too_few(&request, &[account("alice")]), None);
            assert!(too_few(&request, &[account("bob")]).is_some());
            assert!(
                matches!(ask(&auto, &request), Answer::Unreachable(why) if why.contains("@leads"))
            );
        });
    }

    #[test]
    fn without_a_terminal_nobody_approves() {
        with_request("Write", &json!({}), |request| {
            let console = Console::new(
                Arc::new(Terminal::unattended("nobody is there")),
                "somebody".into(),
                account("somebody"),
            );
            assert!(matches!(ask(&console, request), Answer::Unreachable(_)));
        });
    }

    /// What comes of a question about this command, when somebody types this.
    fn answered(command: &str, typed: &str, stays: bool) -> Answer {
        let (terminal, _typist) = Terminal::typing(typed, stays);
        let console = Console::new(Arc::new(terminal), "somebody".into(), account("somebody"));
        let mut answer = None;
        with_request("Bash", &json!({ "command": command }), |request| {
            let mut request = request.clone();
            request.deadline = Duration::from_millis(300);
            answer = Some(ask(&console, &request));
        });
        answer.unwrap()
    }

    #[test]
    fn a_yes_is_a_yes_to_all_of_it_and_nothing_else_is_one() {
        let granted = |answer: &Answer| matches!(answer, Answer::Granted { .. });
        for yes in ["y\n", "YES\n"] {
            assert!(granted(&answered("ls", yes, true)), "{yes:?}");
        }
        for no in ["n\n", "No\n"] {
            let answer = answered("ls", no, true);
            assert!(matches!(answer, Answer::Denied { .. }), "{no:?}");
        }
        // An empty line is no answer, nor is a line that is not finished.
        // More than the word is no answer, at whatever byte it is cut.
        let spaces = " ".repeat(80);
        let long = [1, 62, 63, 64, 65, 80].map(|more| format!("y{}no\n", &spaces[..more]));
        let padded = ["  y\n", "y \n", "y\t\n", "y\r\n", "y\0\n", "y\u{a0}\n"];
        let nothing = ["", "\n", "maybe\n", "yess\n", "d\n", "y"];
        // What comes of a long line with the last read is none either.
        let late = format!("{}y\n", "x".repeat(128));
        let long = long.iter().chain([&late]).map(String::as_str);
        for nothing in nothing.into_iter().chain(padded).chain(long) {
            let answer = answered("ls", nothing, true);
            assert_eq!(answer, Answer::TimedOut, "{nothing:?}");
        }
        let unseen = "x".repeat(30_000);
        assert_eq!(answered(&unseen, "y\n", true), Answer::TimedOut, "not seen");
        for left in ["", "y"] {
            let answer = answered("ls", left, false);
            let closed = Answer::Unreachable("the terminal was closed".into());
            assert_eq!(answer, closed, "{left:?}");
        }
    }

    #[test]
    fn a_question_that_the_sessions_end_cut_short_says_so() {
        let (terminal, _typist) = Terminal::typing("", true);
        let terminal = Arc::new(terminal);
        let console = Console::new(
            Arc::clone(&terminal),
            "somebody".into(),
            account("somebody"),
        );
        terminal.hang_up();
        with_request("Bash", &json!({ "command": "ls" }), |request| {
            let over = Answer::SessionOver("the session ended before an answer".into());
            assert_eq!(ask(&console, request), over);
        });
    }
}
