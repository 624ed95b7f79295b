//! What is wrong with a text of another format than `.resnet`.

use pest::RuleType;
use pest::error::{Error, ErrorVariant, InputLocation};

/// Where a text does not match its format, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The byte.
    pub at: usize,
    /// What is wrong there.
    pub message: String,
}

/// How many characters of a text a message shows.
const SHOWN: usize = 20;

impl TextError {
    /// From a failed match; `word` says what a rule stands for, and nothing for those that a user would not name.
    pub(super) fn expected<R: RuleType>(text: &str, error: &Error<R>, word: impl Fn(R) -> Option<&'static str>) -> TextError {
        let (InputLocation::Pos(at) | InputLocation::Span((at, _))) = error.location;
        let rest = text.get(at..).unwrap_or("");
        let line = rest.lines().next().unwrap_or("").trim();
        let found: String = line.chars().take(SHOWN).collect();
        let found = match (rest.trim().is_empty(), found.is_empty()) {
            (true, _) => "the end of the file".to_owned(),
            (_, true) => "the end of the line".to_owned(),
            _ => format!("`{found}{}`", if line.chars().count() > SHOWN { "…" } else { "" }),
        };
        let mut words: Vec<&str> = match &error.variant {
            ErrorVariant::ParsingError { positives, .. } => positives.iter().filter_map(|rule| word(*rule)).collect(),
            ErrorVariant::CustomError { .. } => Vec::new(),
        };
        words.sort_unstable();
        words.dedup();
        let message = match words.split_last() {
            None => format!("{found} was not expected"),
            Some((last, [])) => format!("expected {last}, found {found}"),
            Some((last, others)) => format!("expected {} or {last}, found {found}", others.join(", ")),
        };
        TextError { at, message }
    }
}
