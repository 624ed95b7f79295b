//! What every stage reports: a [`Diagnostic`] with a stable code, labels into the source, and priced fixes.

use super::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program is accepted.
    Warning,
    /// The program is refused.
    Error,
}

/// A stable code such as `E0301`. Every code has a page in `docs/errors/` (see [`super::codes`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

/// A span with something to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is to be seen there; may be empty.
    pub text: String,
    /// Whether this is where the error is (one label is), or context.
    pub primary: bool,
}

/// A proposed change, in words, and as an edit where one is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// What to do and what it costs.
    pub text: String,
    /// The text to put in place of a span.
    pub edit: Option<(Span, String)>,
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// One line: what is wrong.
    pub message: String,
    /// Where; the primary label first.
    pub labels: Vec<Label>,
    /// The rule that is broken, and facts (`= rule: …`, `= note: …`), each with its prefix word.
    pub notes: Vec<String>,
    /// What could be done.
    pub helps: Vec<Help>,
}

impl Diagnostic {
    /// An error with its primary label.
    pub fn error(code: Code, message: impl Into<String>, span: Span, label: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: vec![Label { span, text: label.into(), primary: true }],
            notes: Vec::new(),
            helps: Vec::new(),
        }
    }

    /// A warning with its primary label.
    pub fn warning(code: Code, message: impl Into<String>, span: Span, label: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message, span, label) }
    }

    /// Adds a context label.
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// Adds `= rule: text`.
    pub fn rule(mut self, text: impl std::fmt::Display) -> Self {
        self.notes.push(format!("rule: {text}"));
        self
    }

    /// Adds `= note: text`.
    pub fn note(mut self, text: impl std::fmt::Display) -> Self {
        self.notes.push(format!("note: {text}"));
        self
    }

    /// Adds `= help: text`.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.helps.push(Help { text: text.into(), edit: None });
        self
    }

    /// Adds `= help: text` with the edit that carries it out.
    pub fn fix(mut self, text: impl Into<String>, span: Span, replacement: impl Into<String>) -> Self {
        self.helps.push(Help { text: text.into(), edit: Some((span, replacement.into())) });
        self
    }

    /// The primary span.
    pub fn span(&self) -> Span {
        self.labels[0].span
    }

    /// Whether the program is refused.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
