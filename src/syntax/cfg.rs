//! Parses Darknet's `.cfg`: sections with options.

// The code that pest generates has no documentation.
#![allow(missing_docs)]

use std::ops::Range;

use pest::Parser as _;
use pest::iterators::Pair;
use pest_derive::Parser;

use super::limits::{MAX_SOURCE, MAX_TOKENS};
use super::text_error::TextError;

#[derive(Parser)]
#[grammar = "../grammar/cfg.pest"]
struct Grammar;

/// A section: `[convolutional]` and the options below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Section<'a> {
    /// The name between the brackets.
    pub name: &'a str,
    /// The options, in the order of the text.
    pub options: Vec<Setting<'a>>,
    /// The bytes of its header.
    pub range: Range<usize>,
}

/// An option: `filters=64`.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting<'a> {
    /// What is before the equals sign.
    pub key: &'a str,
    /// What is after it, without spaces around it.
    pub value: &'a str,
    /// The bytes of the option.
    pub range: Range<usize>,
}

/// Parses a text.
///
/// # Errors
/// The first line that does not match, or what exceeds a limit.
pub fn parse(text: &str) -> Result<Vec<Section<'_>>, TextError> {
    if text.len() > MAX_SOURCE {
        let message = format!("the text is {} bytes long; at most {MAX_SOURCE} are read", text.len());
        return Err(TextError { at: 0, message });
    }
    if let Some((at, _)) = text.match_indices(['[', '=']).nth(MAX_TOKENS) {
        return Err(TextError { at, message: format!("the text has more than {MAX_TOKENS} sections and options") });
    }
    let word = |rule: Rule| match rule {
        Rule::section | Rule::header => Some("a section such as `[net]`"),
        Rule::option | Rule::key => Some("an option such as `filters=64`"),
        Rule::equals => Some("`=`"),
        Rule::name => Some("a name"),
        Rule::bracket => Some("`]`"),
        Rule::EOI => Some("the end of the file"),
        _ => None,
    };
    let pairs = Grammar::parse(Rule::file, text).map_err(|error| TextError::expected(text, &error, word))?;
    Ok(pairs.flat_map(Pair::into_inner).filter(|pair| pair.as_rule() == Rule::section).filter_map(section).collect())
}

fn section(pair: Pair<'_, Rule>) -> Option<Section<'_>> {
    let mut parts = pair.into_inner();
    let header = parts.next()?;
    let range = header.as_span().start()..header.as_span().start() + header.as_str().trim_end().len();
    let name = header.into_inner().next()?.as_str();
    let options = parts.filter_map(setting).collect();
    Some(Section { name, options, range })
}

fn setting(pair: Pair<'_, Rule>) -> Option<Setting<'_>> {
    let start = pair.as_span().start();
    let mut parts = pair.into_inner();
    let (key, _, value) = (parts.next()?, parts.next()?, parts.next()?);
    let end = value.as_span().start() + value.as_str().trim_end().len();
    Some(Setting { key: key.as_str(), value: value.as_str().trim(), range: start..end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_options() {
        let text = "# a comment\n\n[net]\r\nwidth = 32 # wide\r\n; another\nheight=32\n[route]\nlayers = -1, 61\nempty=\n[yolo]";
        let sections = parse(text).unwrap();
        let shown: Vec<String> = sections
            .iter()
            .map(|s| {
                format!(
                    "{}({})",
                    s.name,
                    s.options.iter().map(|o| format!("{}={}", o.key, o.value)).collect::<Vec<_>>().join(";")
                )
            })
            .collect();
        assert_eq!(shown, ["net(width=32;height=32)", "route(layers=-1, 61;empty=)", "yolo()"]);
        assert_eq!(&text[sections[0].range.clone()], "[net]");
        assert_eq!(&text[sections[0].options[0].range.clone()], "width = 32");
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn lines_that_do_not_match() {
        for (text, at, message) in [
            ("[net]\nwidth 32\n", 12, "expected `=`, found `32`"),
            ("width=32\n", 0, "`width=32` was not expected"),
            ("[net\nwidth=3", 4, "`]`"),
            ("[]", 1, "expected a name, found `]`"),
            ("[net]\n=3\n", 6, "found `=3`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.at == at && error.message.contains(message), "{text:?}: {error:?}");
        }
        assert!(parse(&"a".repeat(MAX_SOURCE + 1)).unwrap_err().message.contains("bytes long"));
        assert!(parse(&format!("[a]\n{}", "a=1\n".repeat(MAX_TOKENS))).unwrap_err().message.contains("more than 500000"));
    }
}
