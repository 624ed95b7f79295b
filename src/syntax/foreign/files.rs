//! What a file or a line is that does not look like ours: Python, Darknet, Caffe, the command line.

use super::advice::{Advice, advice, is_single, is_word};
use crate::syntax::words::ITEMS;

/// What a file is that does not begin as a source does, if it is known.
pub fn kind(text: &str) -> Option<&'static str> {
    let starts = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    match () {
        () if starts(&["import ", "from ", "class ", "def ", "\"\"\"", "#!/"]) => Some("Python"),
        () if starts(&["[net]", "[convolutional]"]) => Some("a Darknet configuration"),
        () if starts(&["name: \"", "layer {", "layers {"]) => Some("a Caffe prototxt"),
        () => None,
    }
}

/// The advice for an item where a statement belongs.
pub fn nested(text: &str) -> Option<Advice> {
    let word = text.split(|c| !is_word(c)).next()?;
    let follows = text[word.len()..].trim_start().starts_with(|c: char| c.is_ascii_alphabetic() || c == '"');
    let help = "put it in front of this network; what is used more than once is a `block NAME { … }`";
    match word {
        _ if ITEMS.contains(&word) && follows => {
            advice(format!("`{word}` goes in a file, not in a network"), 0..word.len(), help)
        }
        _ => None,
    }
}

/// A statement that begins with a sign.
pub fn without_word(text: &str) -> Option<Advice> {
    if text.starts_with('[') && text.contains(" for ") {
        return advice("there are no loops", 0..1, "write `repeat 3 of BLOCK`, or the statement as often as it runs");
    }
    if let Some(name) = section(text) {
        return advice(
            "a section in brackets is Darknet's notation",
            0..name.len() + 2,
            "write an operator with its keys in one line: `conv 3x3, filters: 32`, then `batchnorm` and `relu` in lines of their own",
        );
    }
    option(text).map(|found| Advice { edit: found.edit.filter(|(_, own)| !own.is_empty()), ..found })
}

/// A statement among the arms of `parallel`.
pub fn arm(text: &str) -> Option<Advice> {
    let text = text.trim_end();
    advice("an arm of `parallel` goes in braces", 0..text.len(), format!("write `{{ {text} }}`"))?
        .edit(0..text.len(), format!("{{ {text} }}"))
}

/// The name of a section in the notation of Darknet: `[convolutional]`.
pub fn section(text: &str) -> Option<&str> {
    let name = text.trim_end().strip_prefix('[')?.strip_suffix(']')?;
    (name.starts_with(|c: char| c.is_ascii_lowercase()) && is_single(name)).then_some(name)
}

/// Whether a line is one of a Darknet section: `filters=32`.
pub fn is_in_section(text: &str) -> bool {
    section(text).is_some() || text.split_once('=').is_some_and(|(key, _)| is_single(key.trim_end()))
}

/// `--epochs 10`: an option in a file.
pub fn option(text: &str) -> Option<Advice> {
    if text.starts_with("-- ") {
        return advice("`--` begins no comment", 0..2, "comments begin with `//`")?.edit(0..2, "//");
    }
    if text.starts_with("--") {
        let help =
            "an option belongs to the command line (`--set train.epochs=10`), a key of a recipe into `train { … }`: `epochs 10`";
        return advice("a key has no dashes", 0..2, help)?.edit(0..2, "");
    }
    None
}
