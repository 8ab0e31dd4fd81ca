//! A Slack to rehearse with: the double of the tests, on this machine, with a person at this terminal.
//!
//! `cargo run --example slack-rehearsal`, then do as it says in another terminal.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a rehearsal talks to whoever started it, and whatever fails here ends it"
)]

#[path = "../tests/support/slack.rs"]
mod slack;

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use slack::{APP_TOKEN, BOT_TOKEN, CHANNEL, Click, SlackDouble};

const COMMANDS: &str = "allow N [USER] | deny N [USER] | deny-with-reason N [USER] | details N [USER] | \
    allow-session N [USER] | allow-pattern N [USER] | send TEXT (fills in the last form) | quit";
/// Who clicks unless somebody else is named.
const USER: &str = "U0ALICE";

fn main() {
    let double = SlackDouble::start();
    let url = double.url();
    println!("In another terminal:\n");
    println!("  export AGP_SLACK_API_URL={url}");
    println!("  export AGP_SLACK_BOT_TOKEN={BOT_TOKEN}");
    println!("  export AGP_SLACK_APP_TOKEN={APP_TOKEN}");
    println!("  export AGP_SLACK_CHANNEL={CHANNEL}\n");
    println!("and in config.json: \"slack\": {{ \"approvers\": [\"{USER}\"] }}");
    println!("\nHere, for message number N: {COMMANDS}\n");
    let (lines, typed) = channel();
    thread::spawn(move || {
        let all = std::io::stdin().lock().lines().map_while(Result::ok);
        all.for_each(|line| drop(lines.send(line)));
    });
    let mut seen = Seen::default();
    loop {
        seen.show(&double);
        match typed.recv_timeout(Duration::from_millis(100)) {
            Ok(line) if line.trim() == "quit" => return,
            Ok(line) => click(&double, &line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn click(double: &SlackDouble, line: &str) {
    if let Some(text) = line.strip_prefix("send ") {
        match double.views().last() {
            Some(form) => drop(double.click(&Click::sent(form, USER, text))),
            None => println!("there is no form"),
        }
        return;
    }
    let mut words = line.split_whitespace();
    let (action, number, user) = (words.next(), words.next(), words.next().unwrap_or(USER));
    let Some(action) = action else {
        return;
    };
    let number = number.and_then(|number| number.parse::<usize>().ok());
    let messages = double.messages();
    let message = number.and_then(|number| messages.get(number));
    match message.and_then(|message| message.button(action)) {
        Some(_) if double.open_sockets() == 0 => println!("nobody is connected"),
        Some(button) => drop(double.click(&Click::of(&button, user))),
        None => println!("there is no such button; {COMMANDS}"),
    }
}

/// What was shown already.
#[derive(Default)]
struct Seen {
    states: HashMap<usize, usize>,
    whispers: usize,
    modals: usize,
    sockets: (usize, usize),
}

impl Seen {
    fn show(&mut self, double: &SlackDouble) {
        let sockets = (double.sockets(), double.open_sockets());
        if self.sockets != sockets {
            self.sockets = sockets;
            println!("== connections: {} open, {} so far", sockets.1, sockets.0);
        }
        for (number, message) in double.messages().iter().enumerate() {
            let states = message.edits.len() + 1;
            let before = self.states.insert(number, states).unwrap_or(0);
            if before < states {
                let what = if before == 0 { "" } else { ", changed" };
                println!("== message {number}{what}");
                draw(&message.now()["blocks"]);
            }
        }
        for whisper in double.ephemerals().iter().skip(self.whispers) {
            println!("== to {} alone: {}", whisper["user"], whisper["text"]);
            self.whispers += 1;
        }
        for modal in double.views().iter().skip(self.modals) {
            println!("== a modal: {}", modal["title"]["text"]);
            draw(&modal["blocks"]);
            self.modals += 1;
        }
        for minded in double.violations() {
            println!("== SLACK WOULD MIND: {minded}");
        }
    }
}

fn draw(blocks: &Value) {
    let nothing = Vec::new();
    let list = |value: &Value| value.as_array().unwrap_or(&nothing).clone();
    for block in list(blocks) {
        let texts = [list(&block["fields"]), list(&block["elements"])].concat();
        let texts = texts.iter().chain(std::iter::once(&block));
        for text in texts {
            let said = text["text"]["text"]
                .as_str()
                .or_else(|| text["text"].as_str());
            let Some(said) = said else { continue };
            match text["action_id"].as_str() {
                Some(action) => println!("   [{said}] ({action})"),
                None => println!("   {}", said.replace('\n', "\n   ")),
            }
        }
    }
}
