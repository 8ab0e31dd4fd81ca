//! Loops: their bodies are walked until no pass changes anything more.

use std::rc::Rc;

use super::Walker;
use super::compound::node_of;
use super::state::{Dirs, Value};
use super::task::{LoopTask, Task};
use crate::shell::ast::{Node, NodeId, Script};

/// Passes over a loop's body until what it changes is taken for unknown.
const PASSES: usize = 2;

impl Walker<'_> {
    pub(super) fn begin_loop(&mut self, node: NodeId, values: Option<Rc<Vec<Value>>>, again: bool) {
        self.may_write_nothing();
        let task = LoopTask {
            node,
            values,
            again,
            pass: 0,
            mark: self.state.mark(),
            dirs: self.dirs.clone(),
        };
        self.tasks.push(Task::Loop(Box::new(task)));
    }

    pub(super) fn pass(&mut self, script: &Rc<Script>, task: LoopTask) {
        let Some(node) = node_of(script, task.node) else {
            return;
        };
        let id = task.node;
        let values = task.values.clone();
        self.go(task.dirs.clone());
        self.tasks.push(Task::Again(Box::new(task)));
        match node {
            Node::For { body, .. } => self.tasks.push(Task::Bind {
                node: id,
                body: *body,
                values: values.unwrap_or_default(),
                next: 0,
            }),
            Node::ArithmeticFor { body, .. } => self.tasks.push(Task::Visit(*body)),
            Node::Loop { condition, body } => {
                self.tasks.push(Task::Then(*body));
                self.tasks.push(Task::Visit(*condition));
            }
            _ => {}
        }
    }

    pub(super) fn bind(
        &mut self,
        script: &Script,
        node: NodeId,
        body: NodeId,
        values: Rc<Vec<Value>>,
        next: usize,
    ) {
        let Some(value) = values.get(next).cloned() else {
            return;
        };
        let mark = self.state.mark();
        if let Some(Node::For { variable, .. }) = node_of(script, node) {
            self.set_with_effects(variable, value);
        }
        self.tasks.push(Task::Bind {
            node,
            body,
            values,
            next: next + 1,
        });
        self.tasks.push(Task::Join(mark));
        self.tasks.push(Task::Visit(body));
    }

    pub(super) fn again(&mut self, mut task: LoopTask) {
        let end = self.ok.clone().or(&self.failed).or(&task.dirs);
        let wider = self.join_wider(task.mark);
        if task.again && (wider || end != task.dirs) {
            task.pass += 1;
            task.mark = self.state.mark();
            task.dirs = end;
            if task.pass > PASSES {
                task.dirs = Dirs::unknown();
            }
            if task.pass > 2 * PASSES {
                self.unread("a loop changes what its own commands are".to_owned());
            } else {
                self.tasks.push(Task::Loop(Box::new(task)));
                return;
            }
            self.go(Dirs::unknown());
        } else {
            self.go(end);
        }
        self.stay();
    }
}
