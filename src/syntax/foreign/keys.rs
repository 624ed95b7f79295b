//! Colons and commas where they do not belong: `filters: 64` as a statement, `input: 3 x 32 x 32`, `conv, 3x3`.

use super::advice::{Advice, advice, is_label, is_single, is_statement, is_word};

/// `conv, 3x3, filters: 8` and `relu, relu`.
pub fn comma(text: &str, word: &str, at: usize) -> Option<Advice> {
    let message = format!("no comma follows `{word}`");
    let words: Vec<&str> = text.trim_end().trim_end_matches(',').split(',').map(str::trim).collect();
    if words.len() > 1 && words.iter().all(|word| word.starts_with(|c: char| c.is_ascii_lowercase()) && is_single(word)) {
        let found = advice(message, at..at + 1, "statements go on lines of their own, or with `;` between them")?;
        return found.edit(0..text.trim_end().len(), words.join("; "));
    }
    let after = &text[at + 1..];
    let blank = if after.starts_with(is_word) { " " } else { "" };
    let is_argument = after.trim_start().starts_with(|c: char| c.is_ascii_digit()) || after.trim().is_empty();
    let key = after.trim_start().trim_start_matches(is_word);
    let found = advice(message, at..at + 1, "delete the comma")?;
    if is_argument || key.starts_with(':') { found.edit(at..at + 1, blank) } else { Some(found) }
}

/// `input: 3 x 32 x 32`: the words of statements take no colon.
pub fn colon(text: &str, word: &str) -> Option<Advice> {
    let rest = text[word.len()..].trim_start();
    let at = text.len() - rest.len();
    let after = rest.strip_prefix(':')?;
    if matches!(word, "shortcut" | "expect") {
        return None;
    }
    let message = format!("no colon follows `{word}`");
    if after.lines().next().unwrap_or("").trim().is_empty() {
        let help = format!("braces hold what belongs to it, not indentation: `{word} {{ … }}`");
        return advice(message, at..at + 1, help);
    }
    advice(message, at..at + 1, "delete the colon")?.edit(at..at + 1, "")
}

/// `filters: 64`, `conv: 3x3, filters: 64`: what begins with a word and a colon.
pub fn key(text: &str, word: &str) -> Option<Advice> {
    const OF_OPERATORS: &str = "a key goes after its operator (`conv 3x3, filters: 64`)";
    let found = |help: &str| advice(format!("no statement begins with `{word}:`"), 0..word.len(), help);
    match word {
        "block" | "blocks" | "depths" | "layers" | "num_layers" | "num_blocks" | "depth" => {
            return found("a stage names its block and states how many: `stage layer1: 2 of basic { filters: 64 }`");
        }
        "filters" | "kernel" | "kernel_size" | "stride" | "strides" | "padding" | "pad" | "size" | "dilation" | "groups"
        | "bias" => {
            return found(OF_OPERATORS);
        }
        "map" | "dilate" | "width" | "planes" | "channels" => {
            return found("a key of a stage goes in its braces: `stage layer2: 2 of basic { filters: 128, map: halve }`");
        }
        "activation" => return found("an activation is an operator in its own line: `relu`"),
        "classes" | "num_classes" => return found("the last layer states it: `linear 10`"),
        "input_shape" | "input_size" | "image_size" | "inputs" => {
            return found("write `input 3 x 224 x 224`: channels, height and width");
        }
        "name" => return found("the name goes after `network`: `network NAME { … }`"),
        "epochs" | "lr" | "learning_rate" | "batch" | "batch_size" | "optimizer" | "scheduler" | "loss" | "momentum"
        | "weight_decay" => {
            return found("training is described in `train { … }`: `train { optimizer sgd { lr: 0.1 }, batch 128, epochs 90 }`");
        }
        _ => {}
    }
    // `conv1: conv 3x3`
    let value = text[word.len()..].trim_start().strip_prefix(':')?.trim();
    if is_statement(value) {
        let message = format!("`{word}:` comes before no statement");
        if !is_label(word) {
            return advice(message, 0..word.len(), "`as NAME` at the statement's end names its result");
        }
        return Advice::own(message, 0..text.trim_end().len(), format!("{value} as {word}"));
    }
    // with keys of its own, it is an operator or block
    let at = word.len() + text[word.len()..].find(':')?;
    let has_keys = text[at + 1..].split(',').skip(1).any(|argument| argument.contains(':'));
    if has_keys && value.starts_with(|c: char| c.is_ascii_digit() || c == '(') {
        return advice(format!("no colon follows `{word}`"), at..at + 1, "delete the colon")?.edit(at..at + 1, "");
    }
    found(&format!("{OF_OPERATORS} or in the braces of a stage; no `:` follows an operator itself"))
}
