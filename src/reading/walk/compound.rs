//! Lists, pipelines, branches, loops and functions: in which directory, with what known, each command runs.

use std::rc::Rc;

use super::Walker;
use super::state::{Dirs, Value};
use super::stream::Stream;
use super::task::{CaseTask, IfTask, StageTask, Task};
use crate::reading::word::Piece;
use crate::shell::ast::{Join, Node, NodeId, Script};

impl Walker<'_> {
    pub(super) fn step(&mut self, task: Task) {
        let Some(script) = self.scripts.get(self.script).map(Rc::clone) else {
            return;
        };
        match task {
            Task::Visit(node) => self.visit(&script, node),
            Task::Expanded(node) => self.expanded(&script, node),
            Task::BackTo(script) => self.script = script,
            Task::List {
                node,
                next,
                mark,
                after_or,
            } => self.list(&script, node, next, mark, after_or),
            Task::OrFailed(dirs) => {
                let failed = std::mem::replace(&mut self.failed, Dirs::unreached());
                self.failed = failed.or(&dirs);
            }
            Task::OrSucceeded(dirs) => {
                let ok = std::mem::replace(&mut self.ok, Dirs::unreached());
                self.ok = ok.or(&dirs);
            }
            Task::Stage(task) => self.stage(&script, task),
            Task::Swap => std::mem::swap(&mut self.ok, &mut self.failed),
            Task::Leave(scope) => self.leave(*scope),
            Task::Substitution { body, process } => self.substitution(body, process),
            Task::Substituted {
                node,
                scope,
                product,
            } => {
                let leaves = self.leaves;
                self.leaves = scope.leaves;
                self.leave(*scope);
                let stream = std::mem::replace(&mut self.product, *product);
                let stream = match leaves {
                    1 => stream.trimmed(),
                    _ => Stream::tainted_by(&stream),
                };
                self.results.insert((self.script, node.0), stream);
            }
            Task::Then(body) => {
                self.go(self.ok.clone());
                self.tasks.push(Task::Visit(body));
            }
            Task::Condition(task) => self.condition(&script, *task),
            Task::If(task) => self.after_branch(&script, *task),
            Task::Case(task) => self.arm(&script, *task),
            Task::Loop(task) => self.pass(&script, *task),
            Task::Again(task) => self.again(*task),
            Task::Bind {
                node,
                body,
                values,
                next,
            } => self.bind(&script, node, body, values, next),
            Task::Join(mark) => {
                self.join(mark);
                let dirs = self.ok.clone().or(&self.failed);
                self.go(dirs);
            }
            Task::Redirected(prepared) => self.done(*prepared, true),
            Task::Assign { prepared, next } => self.assign_next(&script, prepared, next),
            Task::Assigned { prepared, next } => self.assigned(&script, prepared, next),
            Task::Done(prepared) => self.done(*prepared, false),
            Task::Return {
                positional,
                script,
                mark,
                returned,
            } => self.end_call(positional, script, mark, returned),
            Task::Start(start) => self.start(*start),
            Task::Taint { written, leaves } => {
                let mut product = Stream::tainted_by(&self.product);
                if let Some((begin, end)) = leaves
                    && self.leaves == end
                {
                    product.listing = self.product.listing.take();
                    self.leaves = begin;
                }
                product.taint(&written);
                self.product = product;
            }
        }
    }

    /// What follows may write its text never, or more than once.
    pub(super) fn may_write_nothing(&mut self) {
        self.leaves = self.leaves.saturating_add(1);
    }

    /// The next command runs here. One that is not reached is read as if it were, where the shell last was.
    pub(super) fn go(&mut self, dirs: Dirs) {
        if dirs.is_reached() {
            self.dirs = dirs;
        }
    }

    /// A command has ended that changes no directory.
    pub(super) fn stay(&mut self) {
        self.ok = self.dirs.clone();
        self.failed = self.dirs.clone();
    }

    fn visit(&mut self, script: &Rc<Script>, id: NodeId) {
        let Some(node) = node_of(script, id) else {
            return;
        };
        match node {
            Node::List(_) => {
                let mark = self.state.mark();
                self.tasks.push(Task::List {
                    node: id,
                    next: 0,
                    mark,
                    after_or: false,
                });
            }
            Node::Pipeline(_) => {
                let task = StageTask {
                    node: id,
                    next: 0,
                    dirs: self.dirs.clone(),
                    feed: self.feed.clone(),
                    product: std::mem::take(&mut self.product),
                    leaves: self.leaves,
                };
                self.tasks.push(Task::Stage(Box::new(task)));
            }
            Node::Background(body) | Node::Subshell(body) | Node::Coproc(body) => {
                self.tasks.push(Task::Leave(self.scope()));
                self.tasks.push(Task::Visit(*body));
            }
            Node::Not(body) => {
                self.tasks.push(Task::Swap);
                self.tasks.push(Task::Visit(*body));
            }
            Node::Time(body) | Node::Group(body) => self.tasks.push(Task::Visit(*body)),
            Node::Simple(simple) => {
                let redirected = simple.redirections.iter().map(|of| &of.target);
                let words = simple.words.iter().chain(redirected);
                self.substitutions_first(words, Task::Expanded(id));
            }
            Node::If { branches, .. } => {
                let task = IfTask {
                    node: id,
                    next: 0,
                    mark: self.state.mark(),
                    otherwise: self.dirs.clone(),
                    ok: Dirs::unreached(),
                    failed: Dirs::unreached(),
                };
                self.tasks.push(Task::Condition(Box::new(task)));
                if let Some((condition, _)) = branches.first() {
                    self.tasks.push(Task::Visit(*condition));
                }
            }
            Node::Loop { .. } => self.begin_loop(id, None, true),
            Node::For { words, .. } => {
                let words = words.as_deref().unwrap_or_default();
                self.substitutions_first(words, Task::Expanded(id));
            }
            Node::ArithmeticFor { expressions, .. } => {
                self.substitutions_first([expressions], Task::Expanded(id));
            }
            Node::Case { subject, arms } => {
                let patterns = arms.iter().flat_map(|(patterns, _)| patterns);
                let words = std::iter::once(subject).chain(patterns);
                self.substitutions_first(words, Task::Expanded(id));
            }
            Node::Function { name, body } => {
                self.not_aliased(name);
                self.state
                    .define(name, Some(vec![Some((self.script, *body))]));
                self.stay();
            }
            Node::Test { words } => self.substitutions_first(words, Task::Expanded(id)),
            Node::Arithmetic(word) => self.substitutions_first([word], Task::Expanded(id)),
            Node::Redirected { redirections, .. } => {
                let words = redirections.iter().map(|of| &of.target);
                self.substitutions_first(words, Task::Expanded(id));
            }
        }
    }

    fn expanded(&mut self, script: &Rc<Script>, id: NodeId) {
        match node_of(script, id) {
            Some(Node::Simple(simple)) => self.simple(id, simple),
            Some(Node::For {
                words, variable, ..
            }) => {
                self.taint = Stream::default();
                let words = match words {
                    Some(words) => words.iter().flat_map(|word| self.expand(word)).collect(),
                    None => match self.state.positional() {
                        Some(words) => words.words().to_vec(),
                        None => vec![crate::reading::word::Word {
                            pieces: vec![Piece::Fields],
                        }],
                    },
                };
                self.processes.clear();
                self.hand_taint_to(std::iter::once(variable.as_str()));
                let again = words.iter().any(crate::reading::word::Word::splits);
                let values: Vec<Value> = words
                    .into_iter()
                    .map(|word| self.loop_value(word))
                    .collect();
                if values.is_empty() {
                    return self.stay();
                }
                self.begin_loop(id, Some(Rc::new(values)), again);
            }
            Some(Node::ArithmeticFor { expressions, .. }) => {
                self.arithmetic(expressions);
                self.begin_loop(id, None, true);
            }
            Some(Node::Case { .. }) => {
                self.may_write_nothing();
                let task = CaseTask {
                    node: id,
                    next: 0,
                    mark: self.state.mark(),
                    dirs: self.dirs.clone(),
                    ok: self.dirs.clone(),
                    failed: Dirs::unreached(),
                };
                self.tasks.push(Task::Case(Box::new(task)));
            }
            Some(Node::Test { words }) => {
                self.test_command(words);
                self.leaf(Stream::of(crate::reading::word::Word::default()));
                self.stay();
            }
            Some(Node::Arithmetic(word)) => {
                self.arithmetic(word);
                self.leaf(Stream::of(crate::reading::word::Word::default()));
                self.stay();
            }
            Some(Node::Redirected { body, redirections }) => {
                let mut prepared = self.redirected(id, redirections);
                if let Some(input) = prepared.input.take() {
                    prepared.outer = Some(std::mem::replace(&mut self.feed, Rc::new(input)));
                }
                self.tasks.push(Task::Redirected(Box::new(prepared)));
                self.tasks.push(Task::Visit(*body));
            }
            _ => {}
        }
    }

    fn list(
        &mut self,
        script: &Rc<Script>,
        node: NodeId,
        next: usize,
        mark: super::state::Mark,
        after_or: bool,
    ) {
        let Some(Node::List(items)) = node_of(script, node) else {
            return;
        };
        let Some((join, child)) = items.get(next) else {
            // What an `&&` or `||` guarded may not have run.
            if items.len() > 1 {
                self.join_chain(items, next, mark);
            }
            return;
        };
        let mut mark = mark;
        let mut or = after_or;
        let mut then = None;
        match join {
            Join::Then => {
                if next > 0 {
                    self.join_chain(items, next, mark);
                    let dirs = self.ok.clone().or(&self.failed);
                    self.go(dirs);
                }
                mark = self.state.mark();
                or = false;
            }
            Join::And => {
                if after_or {
                    mark = self.join(mark);
                }
                let failed = self.failed.clone();
                self.go(self.ok.clone());
                then = Some(Task::OrFailed(failed));
            }
            Join::Or => {
                mark = self.join(mark);
                let ok = self.ok.clone();
                self.go(self.failed.clone());
                then = Some(Task::OrSucceeded(ok));
                or = true;
            }
        }
        self.tasks.push(Task::List {
            node,
            next: next + 1,
            mark,
            after_or: or,
        });
        self.tasks.extend(then);
        self.tasks.push(Task::Visit(*child));
    }

    /// Ends a chain of `&&` and `||` before an item.
    fn join_chain(&mut self, items: &[(Join, NodeId)], next: usize, mark: super::state::Mark) {
        let guarded = next
            .checked_sub(1)
            .and_then(|last| items.get(last))
            .is_some_and(|(join, _)| *join != Join::Then);
        if guarded {
            self.join(mark);
        }
    }

    fn stage(&mut self, script: &Rc<Script>, mut task: Box<StageTask>) {
        let Some(Node::Pipeline(items)) = node_of(script, task.node) else {
            return;
        };
        if task.next > 0 {
            let mut product = std::mem::take(&mut self.product);
            if self.leaves != 1 {
                product = Stream::tainted_by(&product);
            }
            product.given = true;
            product.taint(&self.feed);
            if task.next == items.len() {
                product.taint(&task.product);
                self.product = product;
                self.leaves = self.leaves.saturating_add(task.leaves);
                self.feed = task.feed;
                self.dirs = task.dirs;
                return self.stay();
            }
            self.feed = Rc::new(product);
        }
        let Some(child) = items.get(task.next) else {
            return;
        };
        self.leaves = 0;
        self.product = Stream::default();
        self.dirs = task.dirs.clone();
        let scope = self.scope();
        task.next += 1;
        self.tasks.push(Task::Stage(task));
        self.tasks.push(Task::Leave(scope));
        self.tasks.push(Task::Visit(*child));
    }

    fn substitution(&mut self, body: NodeId, process: bool) {
        let scope = self.scope();
        if process {
            // `>( )` reads what another command writes.
            self.feed = Rc::new(Stream::tainted_by(&self.feed));
        }
        let product = std::mem::take(&mut self.product);
        self.leaves = 0;
        self.tasks.push(Task::Substituted {
            node: body,
            scope,
            product: Box::new(product),
        });
        self.tasks.push(Task::Visit(body));
    }

    fn condition(&mut self, script: &Rc<Script>, mut task: IfTask) {
        let Some(Node::If { branches, .. }) = node_of(script, task.node) else {
            return;
        };
        let body = branches.get(task.next).map(|(_, body)| *body);
        task.otherwise = self.failed.clone();
        task.next += 1;
        let then = self.ok.clone();
        self.go(then);
        self.tasks.push(Task::If(Box::new(task)));
        self.tasks.extend(body.map(Task::Visit));
    }

    fn after_branch(&mut self, script: &Rc<Script>, mut task: IfTask) {
        let Some(Node::If {
            branches,
            otherwise,
        }) = node_of(script, task.node)
        else {
            return;
        };
        task.mark = self.join(task.mark);
        task.ok = task.ok.or(&self.ok);
        task.failed = task.failed.or(&self.failed);
        self.go(task.otherwise.clone());
        if let Some((condition, _)) = branches.get(task.next) {
            self.tasks.push(Task::Condition(Box::new(task)));
            self.tasks.push(Task::Visit(*condition));
        } else if let Some(body) = otherwise
            && task.next == branches.len()
        {
            task.next += 1;
            task.otherwise = Dirs::unreached();
            self.tasks.push(Task::If(Box::new(task)));
            self.tasks.push(Task::Visit(*body));
        } else {
            self.ok = task.ok.or(&task.otherwise);
            self.failed = task.failed;
        }
    }

    fn arm(&mut self, script: &Rc<Script>, mut task: CaseTask) {
        let Some(Node::Case { arms, .. }) = node_of(script, task.node) else {
            return;
        };
        if task.next > 0 {
            task.mark = self.join(task.mark);
            task.ok = task.ok.or(&self.ok);
            task.failed = task.failed.or(&self.failed);
        }
        // `;&` falls into the next arm from the one before.
        let dirs = task.dirs.clone().or(&task.ok).or(&task.failed);
        self.go(dirs);
        let Some((_, body)) = arms.get(task.next) else {
            self.ok = task.ok;
            self.failed = task.failed;
            return;
        };
        task.next += 1;
        self.stay();
        self.tasks.push(Task::Case(Box::new(task)));
        self.tasks.extend(body.map(Task::Visit));
    }
}

/// A node of a script.
pub(super) fn node_of(script: &Script, id: NodeId) -> Option<&Node> {
    script.nodes.get(usize::try_from(id.0).ok()?)
}
