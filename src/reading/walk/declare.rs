//! `declare` and its like, and `unset`.

use super::Walker;
use super::expand::is_name;
use super::simple::shown;
use super::state::{Value, Variable};
use crate::reading::atoms::Source;
use crate::reading::word::{Piece, Word};

impl Walker<'_> {
    pub(super) fn declare(&mut self, name: &str, arguments: &[Word]) {
        let mut exports = name == "export";
        let mut integer = false;
        let mut map = false;
        let mut global = false;
        let mut functions = false;
        let mut options = true;
        for word in arguments {
            if let (true, Some(text)) = (options, word.known()) {
                if text == "--" {
                    options = false;
                    continue;
                }
                if let Some(letters) = text.strip_prefix(['-', '+']) {
                    for letter in letters.chars() {
                        match letter {
                            'x' => exports = true,
                            'i' => integer = true,
                            'A' => map = true,
                            'g' => global = true,
                            'f' | 'F' => functions = true,
                            'n' if name == "export" => {}
                            'a' | 'r' | 'p' | 't' => {}
                            _ => {
                                self.unread(format!(
                                    "{name} {text} changes what a name stands for"
                                ));
                            }
                        }
                    }
                    continue;
                }
            }
            options = false;
            if functions {
                self.functions_exported |= exports;
                continue;
            }
            self.declare_one(name, word, exports, integer, map, global);
        }
    }

    fn declare_one(
        &mut self,
        builtin: &str,
        word: &Word,
        exports: bool,
        integer: bool,
        map: bool,
        global: bool,
    ) {
        let beginning = word.beginning().to_owned();
        let (name, value) = match beginning.split_once('=') {
            Some((name, rest)) => {
                let mut pieces = vec![Piece::Text(rest.to_owned())];
                pieces.extend(word.pieces.iter().skip(1).cloned());
                pieces.retain(|piece| *piece != Piece::Text(String::new()));
                (name, Some(Word { pieces }))
            }
            None if word.known().is_some() => (beginning.as_str(), None),
            None => ("", None),
        };
        let (name, append) = match name.strip_suffix('+') {
            Some(name) => (name, true),
            None => (name, false),
        };
        if !is_name(name) {
            return self.unread(format!("{builtin} sets what `{}` names", shown(word)));
        }
        let old = self.state.variable(name).cloned();
        let local = builtin == "local"
            || (!global && matches!(builtin, "declare" | "typeset") && !self.locals.is_empty());
        if local && let Some(locals) = self.locals.last_mut() {
            locals.entry(name.to_owned()).or_insert_with(|| old.clone());
        }
        if integer {
            self.integers.insert(name.to_owned());
        }
        if let Some(word) = value {
            self.no_secret_in(&word);
            let mut value = match append || word.pieces.contains(&Piece::Fields) {
                true => Value::Any,
                false => Value::of(word.clone()),
            };
            if integer {
                self.arithmetic_word(&word);
                value = Value::Number;
            }
            // `declare -a 'x=(a b)'`: of an array, the text is expanded again.
            if word.beginning().starts_with('(') {
                let runs = |text: &str| text.contains(['$', '`', '<', '>']);
                if word.known().is_none_or(runs) {
                    self.unread(format!("{builtin} expands what the text of `{name}` holds"));
                }
                value = Value::Any;
            }
            let effects = self.effects(name, &value);
            for (kind, dangers) in effects {
                self.push(kind, None, Source::Environment, dangers);
            }
            self.set_variable(name, value);
        } else if integer || local {
            self.set_variable(name, if integer { Value::Number } else { Value::Any });
        }
        if map {
            let variable = Variable {
                value: Value::Any,
                exported: false,
                map: true,
            };
            self.state.set(name, variable);
        }
        if exports {
            let value = self.lookup(name);
            let effects = match old.is_some() {
                true => self.effects(name, &value),
                false => Vec::new(),
            };
            for (kind, dangers) in effects {
                self.push(kind, None, Source::Environment, dangers);
            }
            self.export(name);
        }
    }

    pub(super) fn unset(&mut self, arguments: &[Word]) {
        let mut functions = false;
        for word in arguments {
            match word.known().map(str::to_owned) {
                Some(text) if text == "-f" => functions = true,
                Some(text) if text == "-v" => {}
                Some(name) if is_name(&name) => {
                    if functions || self.state.function(&name).is_some() {
                        self.state.define(&name, None);
                    }
                    if !functions {
                        if super::environment::effect(&name).is_some() && name != "IFS" {
                            self.path = None;
                        }
                        if !self.integers.contains(&name) {
                            self.set_variable(&name, Value::Any);
                        }
                        self.state.assign(&name, Value::Unset);
                    }
                }
                Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {}
                _ => self.unread(format!("unset takes `{}` apart", shown(word))),
            }
        }
    }
}
