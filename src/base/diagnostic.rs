//! [`Diagnostic`]: what every stage reports. It has a stable code, labels into the source, and fixes with their cost.

use super::source::Span;

/// How serious a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program is accepted.
    Warning,
    /// The program is rejected.
    Error,
}

/// A stable code such as `E0301`. Every code has a page in `docs/errors/` (see [`super::codes`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

/// A labeled span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// The text shown at the span; may be empty.
    pub text: String,
    /// Whether this is the location of the error (exactly one label is primary) or context.
    pub primary: bool,
}

/// A proposed change: a description, and an edit where one is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// What to do and what it costs.
    pub text: String,
    /// The span to replace and its replacement.
    pub edit: Option<(Span, String)>,
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// One-line summary of the problem.
    pub message: String,
    /// Where; the primary label first.
    pub labels: Vec<Label>,
    /// The rule that was broken and other facts (`= rule: …`, `= note: …`), each with its prefix.
    pub notes: Vec<String>,
    /// Possible fixes.
    pub helps: Vec<Help>,
    /// Whether only a word is written differently here: the edit of its help is then all that it needs.
    pub renamed: bool,
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
            renamed: false,
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

    /// Adds `= help: text` with an edit that applies it.
    pub fn fix(mut self, text: impl Into<String>, span: Span, replacement: impl Into<String>) -> Self {
        self.helps.push(Help { text: text.into(), edit: Some((span, replacement.into())) });
        self
    }

    /// Marks an error that the edit of its help mends, since only a word is written differently here.
    pub fn renamed(mut self) -> Self {
        self.renamed = true;
        self
    }

    /// The primary span.
    pub fn span(&self) -> Span {
        self.labels[0].span
    }

    /// Whether the program is rejected.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
