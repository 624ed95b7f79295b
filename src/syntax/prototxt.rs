//! Parses the text format of Protocol Buffers, as in Caffe's `.prototxt`.

// The code that pest generates has no documentation.
#![allow(missing_docs)]

use std::borrow::Cow;
use std::ops::Range;

use pest::Parser as _;
use pest::iterators::Pair;
use pest_derive::Parser;

use super::limits::{MAX_NESTING, MAX_SOURCE, MAX_TOKENS};
use super::text_error::TextError;

#[derive(Parser)]
#[grammar = "../grammar/prototxt.pest"]
struct Grammar;

/// The fields between a pair of brackets, or those of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message<'a> {
    /// In the order of the text. A list of values is as many fields of the same name.
    pub fields: Vec<Field<'a>>,
}

/// A name and a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Field<'a> {
    /// The name.
    pub name: &'a str,
    /// The value.
    pub value: Value<'a>,
    /// The bytes of the field.
    pub range: Range<usize>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Fields in brackets.
    Message(Message<'a>),
    /// A text in quotes.
    Text(Cow<'a, str>),
    /// A number, or a word such as `true` or `MAX`.
    Word(&'a str),
}

/// Parses a text.
///
/// # Errors
/// The first place that does not match, or what exceeds a limit.
pub fn parse(text: &str) -> Result<Message<'_>, TextError> {
    limit(text)?;
    let word = |rule: Rule| match rule {
        Rule::field | Rule::name => Some("a field"),
        Rule::message => Some("`{`"),
        Rule::colon => Some("`:`"),
        Rule::list => Some("`[`"),
        Rule::brace => Some("`}`"),
        Rule::angle => Some("`>`"),
        Rule::bracket => Some("`]`"),
        Rule::string => Some("a text in quotes"),
        Rule::word => Some("a number or a word"),
        Rule::EOI => Some("the end of the file"),
        _ => None,
    };
    let mut pairs = Grammar::parse(Rule::file, text).map_err(|error| TextError::expected(text, &error, word))?;
    Ok(pairs.next().map(message).unwrap_or_default())
}

/// Checks the size and the depth of a text before it is parsed, since the parser recurses and its result takes memory.
fn limit(text: &str) -> Result<(), TextError> {
    let too = |at: usize, message: String| Err(TextError { at, message });
    if text.len() > MAX_SOURCE {
        return too(0, format!("the text is {} bytes long; at most {MAX_SOURCE} are read", text.len()));
    }
    let (mut depth, mut tokens, mut quote, mut escaped, mut comment) = (0usize, 0usize, None, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if comment || quote.is_some() {
            match byte {
                b'\n' => (comment, quote) = (false, None),
                _ if escaped => escaped = false,
                b'\\' if quote.is_some() => escaped = true,
                _ if quote == Some(byte) => quote = None,
                _ => {}
            }
            continue;
        }
        match byte {
            b'#' => comment = true,
            b'"' | b'\'' => quote = Some(byte),
            b'{' | b'<' => depth += 1,
            b'}' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        tokens += usize::from(matches!(byte, b':' | b'{' | b'<' | b','));
        if depth > MAX_NESTING {
            return too(at, format!("brackets are nested more than {MAX_NESTING} deep"));
        }
        if tokens > MAX_TOKENS {
            return too(at, format!("the text has more than {MAX_TOKENS} fields"));
        }
    }
    Ok(())
}

/// The fields of a `file` or `message`.
fn message(pair: Pair<'_, Rule>) -> Message<'_> {
    let mut fields = Vec::new();
    for field in pair.into_inner().filter(|pair| pair.as_rule() == Rule::field) {
        let range = field.as_span().start()..field.as_span().end();
        let mut parts = field.into_inner().filter(|pair| pair.as_rule() != Rule::colon);
        let (Some(name), Some(found)) = (parts.next(), parts.next()) else { continue };
        let name = name.as_str();
        let one = |pair| Field { name, value: value(pair), range: range.clone() };
        match found.as_rule() {
            Rule::list => fields.extend(found.into_inner().filter(|pair| pair.as_rule() != Rule::bracket).map(one)),
            _ => fields.push(one(found)),
        }
    }
    Message { fields }
}

fn value(pair: Pair<'_, Rule>) -> Value<'_> {
    match pair.as_rule() {
        Rule::message => Value::Message(message(pair)),
        Rule::string => Value::Text(unescaped(pair.into_inner().next().map_or("", |inner| inner.as_str()))),
        _ => Value::Word(pair.as_str()),
    }
}

/// The text that a string stands for. Escapes of bytes, which names do not have, stay as they are.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(next @ ('"' | '\'' | '\\'))) => {
                result.push(next);
                chars.next();
            }
            _ => result.push(c),
        }
    }
    Cow::Owned(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields as a short text.
    fn shown(message: &Message<'_>) -> String {
        let one = |field: &Field<'_>| match &field.value {
            Value::Message(inner) => format!("{} {{{}}}", field.name, shown(inner)),
            Value::Text(text) => format!("{} {text:?}", field.name),
            Value::Word(word) => format!("{} {word}", field.name),
        };
        message.fields.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn fails(text: &str) -> (usize, String) {
        let error = parse(text).unwrap_err();
        (error.at, error.message)
    }

    #[test]
    fn fields_of_all_kinds() {
        let text = "name: \"a \\\"b\\\"\" # the end: {\nlayer { type: 'ReLU' blob < dim: [1, 2,3] > }\ninput_dim:-1;eps : 1e-5,\nshape: { }";
        let expected = r#"name "a \"b\"", layer {type "ReLU", blob {dim 1, dim 2, dim 3}}, input_dim -1, eps 1e-5, shape {}"#;
        assert_eq!(shown(&parse(text).unwrap()), expected);
        assert_eq!(shown(&parse("").unwrap()), "");
        assert_eq!(parse("a: 1 b {\n}").unwrap().fields[1].range, 5..10);
    }

    #[test]
    fn what_does_not_match_is_shown_where_it_is() {
        assert_eq!(fails("layer {\n  name: \"a\"\n"), (20, "expected `}` or a field, found the end of the file".into()));
        assert_eq!(fails("a: }").0, 3);
        assert_eq!(fails("a 1"), (2, "expected `:` or `{`, found `1`".into()));
        assert!(fails("a: \"b\nc\"").1.contains("found"));
        assert_eq!(fails("}").0, 0);
    }

    #[test]
    fn depth_and_size_are_limited() {
        let nested = format!("{}{}", "a{".repeat(MAX_NESTING), "}".repeat(MAX_NESTING));
        assert!(parse(&nested).is_ok());
        let (at, message) = fails(&"a{".repeat(100_000));
        assert_eq!((at, message.as_str()), (2 * MAX_NESTING + 1, "brackets are nested more than 64 deep"));
        assert!(fails(&"a:1\n".repeat(MAX_TOKENS + 1)).1.contains("more than 500000 fields"));
        assert!(fails(&" ".repeat(MAX_SOURCE + 1)).1.contains("bytes long"));
        assert!(parse(&format!("a: \"{}\" # {{{{", "{".repeat(1000))).is_ok());
    }
}
