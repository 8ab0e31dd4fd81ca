//! What the parser is in the middle of. Frames lie on one stack; none is visited by recursion.

use super::ast::{
    Assignment, Join, Node, NodeId, Part, Redirection, RedirectionKind, Simple, Word,
};

/// One construct that has begun and not ended.
#[derive(Debug)]
pub(super) enum Frame {
    List(ListFrame),
    Simple(SimpleFrame),
    Redirects(Redirects),
    If(IfFrame),
    While { condition: Option<NodeId> },
    Group { subshell: bool },
    For(ForFrame),
    ArithmeticFor(Word),
    Case(CaseFrame),
    Function(String),
    Test(TestFrame),
    Array(ArrayFrame),
    Substitution(Substitution),
    Word(Box<WordFrame>),
    HereDocument(usize),
}

/// What a construct that ended hands to the one around it.
#[derive(Debug)]
pub(super) enum Done {
    Word(WordOut),
    Parts(Vec<Part>),
    Subscript(Word),
    /// A command, and whether a reserved word may follow it at once.
    Node(NodeId, bool),
    List(Option<NodeId>, Reserved),
    Array(AssignmentHead, Vec<Word>),
}

/// Reserved words, and the other things that end a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserved {
    Not,
    Open,
    Close,
    Test,
    EndTest,
    If,
    Then,
    Elif,
    Else,
    Fi,
    For,
    Select,
    In,
    Case,
    Esac,
    While,
    Until,
    Do,
    Done,
    Function,
    Time,
    Coproc,
    /// `)`, `;;` and the like, or the end of the text: no word.
    Mark,
}

impl Reserved {
    pub(super) fn of(text: &str) -> Option<Self> {
        Some(match text {
            "!" => Self::Not,
            "{" => Self::Open,
            "}" => Self::Close,
            "[[" => Self::Test,
            "]]" => Self::EndTest,
            "if" => Self::If,
            "then" => Self::Then,
            "elif" => Self::Elif,
            "else" => Self::Else,
            "fi" => Self::Fi,
            "for" => Self::For,
            "select" => Self::Select,
            "in" => Self::In,
            "case" => Self::Case,
            "esac" => Self::Esac,
            "while" => Self::While,
            "until" => Self::Until,
            "do" => Self::Do,
            "done" => Self::Done,
            "function" => Self::Function,
            "time" => Self::Time,
            "coproc" => Self::Coproc,
            _ => return None,
        })
    }
}

impl Reserved {
    /// Whether it begins a compound command.
    pub(super) fn begins_compound(self) -> bool {
        matches!(
            self,
            Self::Open
                | Self::Test
                | Self::If
                | Self::While
                | Self::Until
                | Self::For
                | Self::Select
                | Self::Case
        )
    }
}

/// What ends a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Paren,
    Brace,
    Then,
    Do,
    Done,
    IfBody,
    Fi,
    Arm,
}

impl End {
    pub(super) fn ends(self, word: Reserved) -> bool {
        match self {
            Self::Source | Self::Paren => false,
            Self::Brace => word == Reserved::Close,
            Self::Then => word == Reserved::Then,
            Self::Do => word == Reserved::Do,
            Self::Done => word == Reserved::Done,
            Self::IfBody => matches!(word, Reserved::Elif | Reserved::Else | Reserved::Fi),
            Self::Fi => word == Reserved::Fi,
            Self::Arm => word == Reserved::Esac,
        }
    }
}

/// Where a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A command, or the end.
    Start,
    /// A command, newlines before it: behind `&&`, `||`.
    Needed,
    /// A command, newlines before it: behind `|`.
    Piped,
    /// A command on this line: behind `!` and `time`.
    Prefixed,
    /// An operator or the end; whether a reserved word may stand here.
    Operator(bool),
}

/// What stands before a pipeline.
#[derive(Debug, Clone, Copy)]
pub(super) enum Prefix {
    Not,
    Time,
}

/// A list of commands.
#[derive(Debug)]
pub(super) struct ListFrame {
    pub(super) end: End,
    pub(super) may_be_empty: bool,
    pub(super) items: Vec<(Join, NodeId)>,
    /// Where in `items` the last `&&`/`||` chain begins.
    pub(super) chain: usize,
    pub(super) join: Join,
    pub(super) prefixes: Vec<Prefix>,
    pub(super) pipeline: Vec<NodeId>,
    pub(super) coproc: bool,
    pub(super) next: Next,
}

impl ListFrame {
    pub(super) fn new(end: End, may_be_empty: bool) -> Self {
        Self {
            end,
            may_be_empty,
            items: Vec::new(),
            chain: 0,
            join: Join::Then,
            prefixes: Vec::new(),
            pipeline: Vec::new(),
            coproc: false,
            next: Next::Start,
        }
    }
}

/// A redirection whose target is still to come.
#[derive(Debug, Clone)]
pub(super) struct PendingRedirection {
    pub(super) descriptor: Option<String>,
    pub(super) kind: RedirectionKind,
    /// `>&` and `<&`: the target says which kind it is.
    pub(super) duplicates: bool,
    /// `<<-`.
    pub(super) strip_tabs: bool,
}

/// A simple command.
#[derive(Debug, Default)]
pub(super) struct SimpleFrame {
    pub(super) simple: Simple,
    pub(super) pending: Option<PendingRedirection>,
    /// `declare` and the like: arrays may be assigned in its arguments.
    pub(super) declares: bool,
    /// The command's name as written, where it is plain text and nothing else came.
    pub(super) only: Option<String>,
}

/// A compound command and what is redirected behind it.
#[derive(Debug)]
pub(super) struct Redirects {
    pub(super) body: NodeId,
    pub(super) redirections: Vec<Redirection>,
    pub(super) pending: Option<PendingRedirection>,
    /// It ended with a word or operator behind which reserved words are read.
    pub(super) closes: bool,
}

/// `if`.
#[derive(Debug, Default)]
pub(super) struct IfFrame {
    pub(super) condition: Option<NodeId>,
    pub(super) branches: Vec<(NodeId, NodeId)>,
}

/// `for` and `select`.
#[derive(Debug)]
pub(super) struct ForFrame {
    pub(super) variable: String,
    pub(super) words: Option<Vec<Word>>,
    pub(super) in_words: bool,
}

/// Where `case` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaseStage {
    Subject,
    In,
    Arm,
    Pattern,
    AfterPattern,
}

/// `case`.
#[derive(Debug)]
pub(super) struct CaseFrame {
    pub(super) stage: CaseStage,
    pub(super) subject: Word,
    pub(super) arms: Vec<(Vec<Word>, Option<NodeId>)>,
    pub(super) patterns: Vec<Word>,
}

/// Where `[[` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TestStage {
    Term,
    Unary,
    Binary,
    Right,
    AfterTerm,
}

/// `[[`.
#[derive(Debug)]
pub(super) struct TestFrame {
    pub(super) words: Vec<Word>,
    pub(super) stage: TestStage,
    pub(super) parens: usize,
}

/// `NAME=( ... )`.
#[derive(Debug)]
pub(super) struct ArrayFrame {
    pub(super) head: AssignmentHead,
    pub(super) words: Vec<Word>,
}

/// What stands before the value of an assignment.
#[derive(Debug, Clone, Default)]
pub(super) struct AssignmentHead {
    pub(super) name: String,
    pub(super) subscript: Option<Word>,
    pub(super) append: bool,
}

/// A command within a word.
#[derive(Debug, Clone, Copy)]
pub(super) enum Substitution {
    Command { quoted: bool },
    Backquoted { quoted: bool },
    Process,
}

/// A word that ended.
#[derive(Debug, Default)]
pub(super) struct WordOut {
    pub(super) parts: Vec<Part>,
    pub(super) head: Option<AssignmentHead>,
    /// An extended pattern or a regular expression's group stands in it.
    pub(super) grouped: bool,
    /// `$'..'` or `$".."` stands in it.
    pub(super) dollar_quoted: bool,
    /// Braces, quotes or escapes stand within a `${...}` of it.
    pub(super) braces_unclear: bool,
    pub(super) from: usize,
}

/// What a word is read for.
#[derive(Debug)]
pub(super) enum Mode {
    /// Ends at a metacharacter.
    Bare(Bare),
    /// Ends at `"`.
    Double,
    /// Ends at `}`.
    Operand(Operand),
    /// Ends at `))` or `]`.
    Arithmetic(Arithmetic),
    /// Ends at `]`.
    Subscript(Subscript),
    /// Ends with its text.
    HereDocument,
}

/// A word outside of quotes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bare {
    /// `NAME=` may begin it.
    pub(super) assigns: bool,
    /// `NAME=(` may begin it.
    pub(super) assigns_array: bool,
    /// An element of an array: `[i]=` may begin it.
    pub(super) element: bool,
    /// `@(` and the like are patterns here.
    pub(super) extended: bool,
    /// Behind `=~`.
    pub(super) regex: bool,
    /// Parentheses open in a pattern.
    pub(super) groups: usize,
}

/// What `${...}` holds before its operand.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) indirect: bool,
    pub(super) length: bool,
    pub(super) subscript: Option<Word>,
    pub(super) quoted: bool,
    /// In a here-document.
    pub(super) in_document: bool,
}

/// What an operand is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OperandKind {
    Default,
    Assign,
    Alternative,
    Error,
    Edit,
    Substring,
}

/// The operand of `${...}`.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) header: Header,
    pub(super) kind: OperandKind,
}

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArithmeticOf {
    Part { quoted: bool },
    Command,
    For,
}

/// An arithmetic expression.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arithmetic {
    pub(super) of: ArithmeticOf,
    /// `$[`.
    pub(super) bracket: bool,
    pub(super) depth: usize,
}

/// A subscript.
#[derive(Debug)]
pub(super) struct Subscript {
    /// In `${...}`; else of an assignment.
    pub(super) header: Option<Header>,
    pub(super) depth: usize,
}

/// A word that is being read.
#[derive(Debug)]
pub(super) struct WordFrame {
    pub(super) mode: Mode,
    pub(super) out: WordOut,
}

/// A node with the redirections that may be here-documents.
pub(super) fn redirections_of(node: &mut Node) -> &mut [Redirection] {
    match node {
        Node::Simple(simple) => &mut simple.redirections,
        Node::Redirected { redirections, .. } => redirections,
        _ => &mut [],
    }
}

/// An assignment of what was read.
pub(super) fn assignment(head: AssignmentHead, value: super::ast::Value) -> Assignment {
    Assignment {
        name: head.name,
        subscript: head.subscript,
        append: head.append,
        value,
    }
}
