//! A shell program as bash reads it, in one flat arena: nothing recurses over foreign text, neither to make
//! it nor to drop it. Terms are those of the Bash Reference Manual, section 3.

/// A place in [`Script::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId(pub u32);

/// A whole program: [`Script::root`] is a [`Node::List`]. Bodies of substitutions lie in the same arena.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// All nodes; children come before their parents, but for those in a here-document. Where braces made several
    /// words of one, a substitution in it is in each of them.
    pub nodes: Vec<Node>,
    /// Where to begin; `None` of an empty text.
    pub root: Option<NodeId>,
    /// The first construct that dash, or another POSIX `sh`, reads or expands differently.
    pub bash_only: Option<&'static str>,
}

/// One command or compound command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Commands in order; the first one's [`Join`] is `Then`.
    List(Vec<(Join, NodeId)>),
    /// `a | b`, `a |& b`: each runs in a subshell of its own. Two commands at least.
    Pipeline(Vec<NodeId>),
    /// `a &`: in a subshell of its own.
    Background(NodeId),
    /// `! a`.
    Not(NodeId),
    /// `time [-p] a`, the reserved word.
    Time(NodeId),
    /// Assignments, words, redirections.
    Simple(Simple),
    /// `( list )`.
    Subshell(NodeId),
    /// `{ list; }`.
    Group(NodeId),
    /// `if`, each `elif`, and `else`.
    If {
        /// Conditions with their bodies, one at least.
        branches: Vec<(NodeId, NodeId)>,
        /// After `else`.
        otherwise: Option<NodeId>,
    },
    /// `while` and `until`.
    Loop {
        /// Runs once at least.
        condition: NodeId,
        /// May never run.
        body: NodeId,
    },
    /// `for` and `select`.
    For {
        /// The loop's variable.
        variable: String,
        /// After `in`; `None` without it, which stands for `"$@"`.
        words: Option<Vec<Word>>,
        /// May never run.
        body: NodeId,
    },
    /// `for (( a; b; c ))`.
    ArithmeticFor {
        /// All three expressions, in one word.
        expressions: Word,
        /// May never run.
        body: NodeId,
    },
    /// `case`.
    Case {
        /// What is compared.
        subject: Word,
        /// Patterns with their bodies; none for an empty one.
        arms: Vec<(Vec<Word>, Option<NodeId>)>,
    },
    /// `name () body`, `function name body`.
    Function {
        /// As written.
        name: String,
        /// Runs when it is called.
        body: NodeId,
    },
    /// `[[ ... ]]`: its words without the operators `( ) && || !`, and whether one compares as numbers
    /// (`-eq` and the like evaluate their operands as arithmetic) or asks for a variable (`-v`).
    Test {
        /// Operands and unary or binary operators, in order.
        words: Vec<Word>,
    },
    /// `(( ... ))`.
    Arithmetic(Word),
    /// `coproc [NAME] command`.
    Coproc(NodeId),
    /// A compound command with redirections behind it.
    Redirected {
        /// The compound command.
        body: NodeId,
        /// One at least.
        redirections: Vec<Redirection>,
    },
}

/// How a command depends on the one before it in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// `;`, `&`, a newline, or the first: runs whatever became of the one before.
    Then,
    /// `&&`.
    And,
    /// `||`.
    Or,
}

/// A simple command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simple {
    /// Before the first word that is none; also the arrays in the arguments of `declare`, `export`, `local`,
    /// `readonly` and `typeset`, whose names are then words.
    pub assignments: Vec<Assignment>,
    /// The program and its arguments; may be empty. Braces have been expanded.
    pub words: Vec<Word>,
    /// In order.
    pub redirections: Vec<Redirection>,
}

/// `NAME=value`, `NAME+=value`, `NAME[i]=value`, `NAME=(a b)`. Also made of the arguments of `declare`, `export`,
/// `local`, `readonly` and `typeset` only by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// A shell name.
    pub name: String,
    /// Between `[` and `]`, which bash evaluates as arithmetic.
    pub subscript: Option<Word>,
    /// `+=`.
    pub append: bool,
    /// One word, or those of an array.
    pub value: Value,
}

/// What is assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// May have no parts: the empty text.
    Scalar(Word),
    /// `( ... )`.
    Array(Vec<Word>),
}

/// One redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirection {
    /// `2>`: the descriptor's number as written; `{name}>` is `Some(None)`... kept as text.
    pub descriptor: Option<String>,
    /// What is done with the target.
    pub kind: RedirectionKind,
    /// The file, the descriptor, or the text of a here-document or here-string.
    pub target: Word,
}

/// The operators of redirection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectionKind {
    /// `<`.
    Read,
    /// `>`, `>|`, `&>`, `>& file`.
    Write,
    /// `>>`, `&>>`.
    Append,
    /// `<>`.
    ReadWrite,
    /// `<&`, `>&` with a number or `-`: no file.
    Duplicate,
    /// `<<`, `<<-`: `target` is the body, with its expansions unless the delimiter was quoted.
    HereDocument,
    /// `<<<`.
    HereString,
}

/// One word before expansion, its quotes removed into [`Part`]s.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Word {
    /// In order; adjacent texts of one kind are joined.
    pub parts: Vec<Part>,
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Unquoted text without any special character.
    Literal(String),
    /// Text from `'..'`, `".."`, `$'..'`, `$".."` or a backslash: never a glob, an option's `=`, a reserved word. May be empty.
    Quoted(String),
    /// An unquoted `~` or `~user` at the beginning of a word, or of a value behind `=` or `:` of an assignment; the user's name.
    Tilde(String),
    /// An unquoted pathname pattern: `*`, `?`, `[...]`, or an extended one `@(a|b)`, as written.
    Glob(String),
    /// `$name`, `${...}`.
    Parameter {
        /// What is expanded.
        parameter: Box<Parameter>,
        /// Within double quotes: stays one word.
        quoted: bool,
    },
    /// `$( )` and backquotes.
    Command {
        /// `None` where there is nothing in it.
        body: Option<NodeId>,
        /// Within double quotes.
        quoted: bool,
    },
    /// `<( )` and `>( )`.
    Process {
        /// `None` where there is nothing in it.
        body: Option<NodeId>,
    },
    /// `$(( ))` and `$[ ]`; its text with the expansions in it.
    Arithmetic {
        /// The expression.
        expression: Box<Word>,
        /// Within double quotes.
        quoted: bool,
    },
}

/// `${...}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// A name, a number, or one of `@ * # ? - $ ! _`.
    pub name: String,
    /// `${!name}`: what `name` names.
    pub indirect: bool,
    /// `${name[...]}`: evaluated as arithmetic unless `@` or `*`.
    pub subscript: Option<Word>,
    /// What is done with the value.
    pub operation: Operation,
}

/// What `${...}` does with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `${name}`.
    Plain,
    /// `${#name}`.
    Length,
    /// `${name:-word}`, `${name-word}`.
    Default(Word),
    /// `${name:=word}`, `${name=word}`.
    Assign(Word),
    /// `${name:+word}`, `${name+word}`.
    Alternative(Word),
    /// `${name:?word}`, `${name?word}`.
    Error(Word),
    /// `#`, `##`, `%`, `%%`, `/`, `//`, `^`, `^^`, `,`, `,,`: any expansions in their patterns. The result is not followed.
    Edit(Word),
    /// `${name:offset:length}`: evaluated as arithmetic.
    Substring(Word),
    /// `${name@P}` and the like: the letter.
    Transform(char),
}
