//! `history`: it reads and writes files of commands.

use super::Walker;
use super::simple::shown;
use super::state::Value;
use crate::reading::atoms::{AtomKind, Place, Source};
use crate::reading::word::{Piece, Word};

impl Walker<'_> {
    /// `history -a`, `-w` write the file that is named, or `$HISTFILE`; `-r`, `-n` read it.
    pub(super) fn history(&mut self, arguments: &[Word]) {
        let (mut reads, mut writes) = (false, false);
        let mut file = None;
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let Some(text) = word.known() else {
                if !word.splits() && file.is_none() && (reads || writes) {
                    file = Some(word.clone());
                    break;
                }
                // Options and a file could be among them.
                self.unread(format!("history does what `{}` says", shown(word)));
                return;
            };
            let letters = text.strip_prefix('-').filter(|letters| !letters.is_empty());
            let Some(letters) = letters.filter(|letters| *letters != "-") else {
                file = match letters {
                    Some(_) => words.next().cloned(),
                    None => Some(word.clone()),
                };
                break;
            };
            if letters.contains('p') {
                return self.unless_plain("history", arguments);
            }
            reads |= letters.contains(['r', 'n']);
            writes |= letters.contains(['a', 'w']);
            if letters.contains('s') {
                break;
            }
            if letters.ends_with('d') {
                words.next();
            }
        }
        if !reads && !writes {
            return;
        }
        let file = file.or_else(|| match self.state.variable("HISTFILE")?.value.clone() {
            Value::Known { word, .. } => Some(word),
            Value::Unset => None,
            _ => Some(Word {
                pieces: vec![Piece::Unknown],
            }),
        });
        // A shell that nobody types into has no file of its own.
        let Some(file) = file else {
            return;
        };
        let dirs = self.dirs.clone();
        for place in self.files(&file, &dirs) {
            if writes {
                self.note_foreign(place.clone(), false);
                let write = AtomKind::Write(Place::at(place.clone()));
                self.push(write, None, Source::Redirection, Vec::new());
            }
            if reads {
                let read = AtomKind::Read(Place::at(place));
                self.push(read, None, Source::Redirection, Vec::new());
            }
        }
    }
}
