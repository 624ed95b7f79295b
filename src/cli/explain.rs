//! `resnetc explain`

use std::collections::BTreeSet;

use super::failure::{Done, Failure};
use super::language;
use super::output::Out;
use crate::base::codes;
use crate::elaborate::nearest;
use crate::ir::ops::{Attribute, Schema, find, operators};
use crate::syntax::prelude;

/// Prints the page of an error code: the rule, a file that breaks it, and the same file fixed; the reference of an operator: its
/// arguments and their defaults; or what a statement or a key means.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc explain E0301\n  resnetc explain conv\n  resnetc explain freeze\n  resnetc explain          list all codes and operators"
)]
pub(super) struct Args {
    /// Error code, such as E0301 or e301, operator, such as conv, or another word, such as stage or freeze [default: list all]
    #[arg(value_name = "CODE|WORD")]
    topic: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let Some(topic) = &args.topic else { return list(out) };
    if let Some(info) = codes::find(topic).or_else(|| codes::find(&whole_code(topic)?)) {
        return out.text(info.page);
    }
    if let Some(operator) = find(topic) {
        return reference(&operator.schema, out);
    }
    if let Some(activation) = prelude::find(topic) {
        out.line(format_args!("{topic}: {}\n", activation.doc))?;
        return out.line(format_args!("    {}", activation.declaration));
    }
    let found = language::find(topic);
    if !found.is_empty() {
        return meanings(&found, out);
    }
    let entries = language::entries();
    let others = entries.iter().flat_map(|entry| &entry.words).map(String::as_str);
    let near = nearest(topic, words().map(|(word, _)| word).chain(others));
    let hint = near.map_or("`resnetc explain` lists all of them".to_owned(), |near| format!("did you mean `{near}`?"));
    Err(Failure::Input(format!("`{topic}` is no error code, and no word of the language; {hint}")))
}

/// A code whose zeros are left out: `E0301` for `e301` or `301`.
fn whole_code(topic: &str) -> Option<String> {
    let digits = topic.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let letter = &topic[..topic.len() - digits.len()];
    let number: u16 = digits.parse().ok()?;
    Some(format!("{}{number:04}", if letter.is_empty() { "E" } else { letter }))
}

fn list(out: &mut Out) -> Done {
    for info in codes::ALL {
        out.line(format_args!("{}  {}", info.code.0, info.title))?;
    }
    out.line("")?;
    let entries = language::entries();
    let others: Vec<(&str, &str)> =
        entries.iter().filter_map(|entry| Some((&**entry.words.first()?, &**entry.forms.first()?))).collect();
    let width = words().map(|(word, _)| word).chain(others.iter().map(|(word, _)| *word)).map(str::len).max().unwrap_or(0);
    for (word, doc) in words() {
        out.line(format_args!("{word:width$}  {doc}"))?;
    }
    out.line("")?;
    // an operator is in the list above; `basic` is an example
    let mut seen: BTreeSet<&str> = words().map(|(word, _)| word).chain(["basic"]).collect();
    for (word, form) in others {
        if seen.insert(word) {
            out.line(format_args!("{word:width$}  {form}"))?;
        }
    }
    Ok(())
}

/// What statements and keys mean, with the sections of the reference.
fn meanings(found: &[language::Entry], out: &mut Out) -> Done {
    for (index, entry) in found.iter().enumerate() {
        if index > 0 {
            out.line("")?;
        }
        for form in &entry.forms {
            out.line(form)?;
        }
        out.line(format_args!("    {}", entry.meaning))?;
        out.line(format_args!("    (docs/language.md, \"{}\")", entry.section))?;
    }
    Ok(())
}

/// The operators, then the functions that every file has, with their descriptions.
fn words() -> impl Iterator<Item = (&'static str, &'static str)> {
    let activations = prelude::activations().iter().map(|activation| (activation.name, activation.doc));
    operators().map(|operator| (operator.schema.word, operator.schema.doc)).chain(activations)
}

/// An operator's description, examples and arguments.
fn reference(schema: &Schema<'_>, out: &mut Out) -> Done {
    out.line(format_args!("{}: {}\n", schema.word, schema.doc))?;
    for example in schema.examples {
        out.line(format_args!("    {example}"))?;
    }
    for attribute in schema.attributes {
        out.line(format_args!("\n{}: {}\n    {}", attribute.key, takes(attribute), sentence(attribute.doc)))?;
    }
    Ok(())
}

/// What an argument takes, and what it is if it is not given.
fn takes(attribute: &Attribute<'_>) -> String {
    let first = if attribute.is_positional { "; first, without its key" } else { "" };
    let default = attribute.default_text().map_or("; must be given".to_owned(), |text| format!("; default: {text}"));
    format!("{}{first}{default}", attribute.kind.takes())
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    format!("{}{}.", first.map(String::from).unwrap_or_default(), letters.as_str())
}
