//! What is left to walk: a stack instead of recursion.

use std::rc::Rc;

use super::Walker;
use super::positional::Positional;
use super::simple::Prepared;
use super::start::Start;
use super::state::{Dirs, Mark, Value};
use super::stream::Stream;
use crate::shell::ast::{self, NodeId, Operation, Part};

/// PATH as the command sets it; `None` where it is left alone.
pub(super) type SearchPath = Option<Rc<Vec<(String, bool)>>>;

/// What a subshell's end takes back.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) mark: Mark,
    pub(super) dirs: Dirs,
    pub(super) previous: Dirs,
    pub(super) feed: Rc<Stream>,
    pub(super) script: usize,
    pub(super) ifs: bool,
    pub(super) path: SearchPath,
    pub(super) functions_exported: bool,
    pub(super) all_exported: bool,
    pub(super) activated: bool,
    pub(super) returned: bool,
    pub(super) leaves: usize,
}

/// One step.
#[derive(Debug)]
pub(super) enum Task {
    /// A node of the script at hand.
    Visit(NodeId),
    /// That node, once the substitutions in its words have been walked.
    Expanded(NodeId),
    /// Another script is at hand again.
    BackTo(usize),
    /// The next command of a list; where what the ones before it changed is noted, and whether an `||` was among them.
    List {
        node: NodeId,
        next: usize,
        mark: Mark,
        after_or: bool,
    },
    /// Behind `&&`: a failure before it ends here, too.
    OrFailed(Dirs),
    /// Behind `||`: a success before it ends here, too.
    OrSucceeded(Dirs),
    /// The next command of a pipeline.
    Stage(Box<StageTask>),
    /// `!`.
    Swap,
    /// The end of a subshell.
    Leave(Box<Scope>),
    /// A substitution, of a command or of a process.
    Substitution { body: NodeId, process: bool },
    /// The end of a substitution.
    Substituted {
        node: NodeId,
        scope: Box<Scope>,
        product: Box<Stream>,
    },
    /// The body of a branch or loop, where its condition held.
    Then(NodeId),
    /// After the body of an `if`'s branch.
    If(Box<IfTask>),
    /// After a condition of an `if`.
    Condition(Box<IfTask>),
    /// The next arm of a `case`.
    Case(Box<CaseTask>),
    /// A pass over a loop's body.
    Loop(Box<LoopTask>),
    /// After such a pass.
    Again(Box<LoopTask>),
    /// The next value of a `for` loop's variable, and the body with it.
    Bind {
        node: NodeId,
        body: NodeId,
        values: Rc<Vec<Value>>,
        next: usize,
    },
    /// What was changed since may not have been; the loop or branch goes on in any of the directories.
    Join(Mark),
    /// Redirections of a compound command end.
    Redirected(Box<Prepared>),
    /// The next assignment of a simple command.
    Assign {
        prepared: Box<Prepared>,
        next: usize,
    },
    /// That assignment, once the substitutions in it have been walked.
    Assigned {
        prepared: Box<Prepared>,
        next: usize,
    },
    /// The end of a simple command.
    Done(Box<Prepared>),
    /// The end of a function.
    Return {
        positional: Option<Positional>,
        script: usize,
        mark: Mark,
        returned: bool,
    },
    /// A program, in this shell or handed on.
    Start(Box<Start>),
    /// What was known of the output of programs that hand on; and of `xargs`, how many commands have written when it
    /// begins and when each of its own has: they then list the same paths.
    Taint {
        written: Box<Stream>,
        leaves: Option<(usize, usize)>,
    },
}

/// Where a pipeline is.
#[derive(Debug)]
pub(super) struct StageTask {
    pub(super) node: NodeId,
    pub(super) next: usize,
    pub(super) dirs: Dirs,
    /// Standard input of the whole.
    pub(super) feed: Rc<Stream>,
    /// What was written before it, by how many commands.
    pub(super) product: Stream,
    pub(super) leaves: usize,
}

/// Where an `if` is.
#[derive(Debug)]
pub(super) struct IfTask {
    pub(super) node: NodeId,
    /// The branch that comes next.
    pub(super) next: usize,
    pub(super) mark: Mark,
    /// Where no condition so far held.
    pub(super) otherwise: Dirs,
    pub(super) ok: Dirs,
    pub(super) failed: Dirs,
}

/// Where a `case` is.
#[derive(Debug)]
pub(super) struct CaseTask {
    pub(super) node: NodeId,
    pub(super) next: usize,
    pub(super) mark: Mark,
    pub(super) dirs: Dirs,
    pub(super) ok: Dirs,
    pub(super) failed: Dirs,
}

/// Where a loop is.
#[derive(Debug)]
pub(super) struct LoopTask {
    pub(super) node: NodeId,
    /// Of a `for`: the values of its variable.
    pub(super) values: Option<Rc<Vec<Value>>>,
    /// It may run more often than there are values.
    pub(super) again: bool,
    pub(super) pass: usize,
    pub(super) mark: Mark,
    pub(super) dirs: Dirs,
}

impl Walker<'_> {
    /// Walks the substitutions in words, and then goes on with a task.
    pub(super) fn substitutions_first<'w>(
        &mut self,
        words: impl IntoIterator<Item = &'w ast::Word>,
        then: Task,
    ) {
        let mut bodies: Vec<Task> = Vec::new();
        let mut defaults: Vec<&str> = Vec::new();
        let mut rest: Vec<&ast::Word> = words.into_iter().collect();
        rest.reverse();
        while let Some(word) = rest.pop() {
            self.spend(word.parts.len());
            for part in &word.parts {
                match part {
                    Part::Command { body, .. } | Part::Process { body } => {
                        let process = matches!(part, Part::Process { .. });
                        bodies.extend(body.map(|body| Task::Substitution { body, process }));
                    }
                    Part::Arithmetic { expression, .. } => rest.push(expression),
                    Part::Parameter { parameter, .. } => {
                        rest.extend(&parameter.subscript);
                        match &parameter.operation {
                            Operation::Assign(word) => {
                                defaults.push(&parameter.name);
                                rest.push(word);
                            }
                            Operation::Default(word)
                            | Operation::Alternative(word)
                            | Operation::Error(word)
                            | Operation::Edit(word)
                            | Operation::Substring(word) => rest.push(word),
                            Operation::Plain | Operation::Length | Operation::Transform(_) => {}
                        }
                    }
                    Part::Literal(_) | Part::Quoted(_) | Part::Tilde(_) | Part::Glob(_) => {}
                }
            }
        }
        for name in defaults {
            if self.lookup(name).known().is_none_or(str::is_empty) {
                self.set_with_effects(name, Value::Any);
            }
        }
        self.tasks.push(then);
        self.tasks.extend(bodies.into_iter().rev());
    }
}
