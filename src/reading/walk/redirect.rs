//! Redirections (Bash manual, 3.6).

use super::Walker;
use super::places;
use super::simple::Prepared;
use super::stream::Stream;
use crate::reading::atoms::{AtomKind, Category, Danger, Host, PathText, Place};
use crate::reading::hosts;
use crate::reading::word::{Piece, Word};
use crate::shell::ast::{NodeId, Redirection, RedirectionKind};

impl Walker<'_> {
    /// Reads redirections.
    pub(super) fn redirected(&mut self, node: NodeId, redirections: &[Redirection]) -> Prepared {
        let mut prepared = Prepared {
            node: Some(node),
            leaves: self.leaves,
            ..Prepared::default()
        };
        prepared.is_file =
            matches!(redirections, [one] if one.kind == RedirectionKind::Read && is_input(one));
        for redirection in redirections {
            self.redirection(redirection, &mut prepared);
        }
        prepared
    }

    fn redirection(&mut self, of: &Redirection, prepared: &mut Prepared) {
        let target = self.expand_single(&of.target);
        self.no_secret_in(&target);
        // `{name}>` puts the descriptor's number into a variable.
        let name = of
            .descriptor
            .as_deref()
            .and_then(|text| text.strip_prefix('{'));
        if let Some(name) = name.and_then(|text| text.strip_suffix('}')) {
            self.names(&[Word::text(name)]);
        }
        let input = is_input(of);
        let output = matches!(of.descriptor.as_deref(), None | Some("1"));
        match of.kind {
            RedirectionKind::HereDocument => {
                if input {
                    prepared.input = Some(self.tainted_text(target));
                }
            }
            RedirectionKind::HereString => {
                if input {
                    let mut text = target;
                    match text.pieces.last_mut() {
                        Some(Piece::Text(last)) => last.push('\n'),
                        _ => text.pieces.push(Piece::Text("\n".to_owned())),
                    }
                    prepared.input = Some(self.tainted_text(text));
                }
            }
            RedirectionKind::Duplicate => {
                let copies = target.known().is_some_and(|text| {
                    text == "-"
                        || text
                            .trim_end_matches('-')
                            .bytes()
                            .all(|byte| byte.is_ascii_digit())
                });
                if input && copies {
                    prepared.input = Some(Stream {
                        given: true,
                        ..Stream::default()
                    });
                }
                // `>&$x` may be a file. A descriptor's number is known to be none.
                if !copies && !self.is_digits(of) {
                    let places = self.file(&target, true, prepared);
                    prepared.others.extend(places);
                }
            }
            RedirectionKind::Read => {
                let process = self.process(&target);
                if input {
                    prepared.input = Some(match process {
                        Some(stream) => stream,
                        None => Stream {
                            given: true,
                            network: self.fetched_in(&target),
                            file: Some(target.clone()),
                            ..Stream::default()
                        },
                    });
                }
                self.file(&target, false, prepared);
            }
            RedirectionKind::Write | RedirectionKind::Append => {
                let places = self.file(&target, true, prepared);
                if output {
                    let before = prepared.output.replace(places);
                    prepared.others.extend(before.unwrap_or_default());
                    prepared.appends = of.kind == RedirectionKind::Append;
                } else {
                    prepared.others.extend(places);
                }
            }
            RedirectionKind::ReadWrite => {
                if input {
                    prepared.input = Some(Stream {
                        given: true,
                        ..Stream::default()
                    });
                }
                self.file(&target, false, prepared);
                let places = self.file(&target, true, prepared);
                prepared.others.extend(places);
            }
        }
    }

    /// A text that comes from where the values in it do.
    fn tainted_text(&self, text: Word) -> Stream {
        let mut stream = Stream::of(text);
        stream.taint(&self.taint);
        stream
    }

    fn is_digits(&self, of: &Redirection) -> bool {
        let [crate::shell::ast::Part::Parameter { parameter, .. }] = of.target.parts.as_slice()
        else {
            return false;
        };
        parameter.operation == crate::shell::ast::Operation::Plain
            && self.lookup(&parameter.name) == super::state::Value::Number
    }

    fn file(&mut self, target: &Word, write: bool, prepared: &mut Prepared) -> Vec<PathText> {
        let mut files = Vec::new();
        for place in places::places(target, &self.dirs) {
            if let PathText::Known(path) = &place {
                let path = crate::reading::paths::normal(path);
                if places::is_no_file(&path) {
                    continue;
                }
                if let Some((host, port)) = places::connection(&path) {
                    let host = Host {
                        port: port.parse().ok(),
                        ..hosts::host(host)
                    };
                    prepared
                        .redirections
                        .push((AtomKind::Host(host), vec![connects()]));
                    continue;
                }
            }
            if let PathText::Below(path) | PathText::Glob(path, _) = &place
                && (path.starts_with("/dev/tcp") || path.starts_with("/dev/udp"))
            {
                prepared
                    .redirections
                    .push((AtomKind::Host(nobody_knows()), vec![connects()]));
            }
            if place == PathText::Anywhere || place == PathText::Below("/dev".to_owned()) {
                // It may be a connection as well.
                prepared
                    .redirections
                    .push((AtomKind::Host(nobody_knows()), Vec::new()));
            }
            let atom = Place::at(place.clone());
            let kind = match write {
                true => AtomKind::Write(atom),
                false => {
                    let atom = super::uses::listed(atom, target);
                    for link in self.links(&atom, false) {
                        prepared
                            .redirections
                            .push((AtomKind::Read(link), Vec::new()));
                    }
                    AtomKind::Read(atom)
                }
            };
            prepared.redirections.push((kind, Vec::new()));
            files.push(place);
        }
        files
    }

    /// The process substitution that a word names.
    pub(super) fn process(&self, word: &Word) -> Option<Stream> {
        let number: usize = word.known()?.strip_prefix("/dev/fd/")?.parse().ok()?;
        self.processes.get(63_usize.checked_sub(number)?).cloned()
    }
}

/// Standard input is redirected.
fn is_input(of: &Redirection) -> bool {
    matches!(of.descriptor.as_deref(), None | Some("0"))
}

/// `/dev/tcp/HOST/PORT`.
fn connects() -> Danger {
    Danger {
        category: Category::Exfiltration,
        why: "opens a plain connection to another machine".to_owned(),
    }
}

fn nobody_knows() -> Host {
    Host {
        name: None,
        scheme: None,
        port: None,
        path: None,
    }
}
