//! The statements and keys of the language, as its reference in the documentation describes them: rows of tables, and items of lists.

/// The reference.
const TEXT: &str = include_str!("../../docs/language.md");

/// What the reference says of a statement or a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The section that it is in.
    pub section: &'static str,
    /// How it is written: `freeze: [stem, layer1]`.
    pub forms: Vec<String>,
    /// What it means.
    pub meaning: String,
    /// The words that it is found by, the first of each form first.
    pub words: Vec<String>,
}

/// The sections that describe operators and functions, which are documented by their schemas.
const OTHERS: [&str; 3] = ["Operators", "Elementwise functions", "Values"];

/// All entries, in order.
pub(super) fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    let mut section = "";
    let mut lines = TEXT.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        if OTHERS.contains(&section) {
            continue;
        }
        if let Some(row) = line.strip_prefix("| `") {
            // `\\|` is a part of a cell
            let row = format!("`{row}").replace("\\|", "\0");
            let mut cells = row.split('|').map(|cell| cell.trim().replace('\0', "|"));
            if let (Some(form), Some(meaning)) = (cells.next(), cells.next()) {
                all.push(entry(section, &form, meaning));
            }
        } else if let Some(item) = line.strip_prefix("- `") {
            let mut text = format!("`{item}");
            while let Some(more) = lines.next_if(|next| next.starts_with("  ")) {
                text.push(' ');
                text.push_str(more.trim());
            }
            let form: String = text.split_inclusive('`').take(2).collect();
            all.push(entry(section, &form, text));
        }
    }
    all
}

/// The entries that a word is found by. Those that begin with it come first.
pub(super) fn find(word: &str) -> Vec<Entry> {
    let mut found: Vec<Entry> = entries().into_iter().filter(|entry| entry.words.iter().any(|known| known == word)).collect();
    found.sort_by_key(|entry| !entry.forms.iter().any(|form| first_word(form) == word));
    found
}

fn entry(section: &'static str, cell: &str, meaning: String) -> Entry {
    let forms: Vec<String> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let firsts = forms.iter().map(|form| first_word(form).to_owned());
    let further = forms.iter().flat_map(|form| words(form));
    let words = firsts.chain(further).filter(|word| !word.is_empty()).collect();
    Entry { section, forms, meaning, words }
}

fn first_word(form: &str) -> &str {
    let end = form.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(form.len());
    &form[..end]
}

/// The words of a form, without texts in quotes and what stands in brackets.
fn words(form: &str) -> Vec<String> {
    let (mut plain, mut depth, mut quoted) = (String::new(), 0usize, false);
    for c in form.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if quoted || depth > 0 => {}
            c => plain.push(c),
        }
    }
    let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    plain.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(is_word).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::words::STATEMENTS;

    #[test]
    fn every_statement_and_key_of_a_recipe_is_found() {
        for word in STATEMENTS {
            assert!(!find(word).is_empty(), "{word}");
        }
        let recipe =
            ["init", "from", "except", "freeze", "batch", "accumulate", "epochs", "steps", "schedule", "warmup", "augment"];
        for word in
            recipe.iter().chain(&["optimizer", "clip_grad_norm", "loss", "seed", "validate", "checkpoint", "map", "dilate"])
        {
            assert!(find(word).first().is_some_and(|entry| !entry.meaning.is_empty()), "{word}");
        }
        let found = find("except");
        assert_eq!((found.len(), found[0].section), (1, "Training"));
        assert_eq!(found[0].forms, ["from: \"net.safetensors\" except [fc]"]);
        // a bar in a cell, and an item of several lines
        assert!(find("init")[0].forms[0].contains("fan: in | out"), "{:?}", find("init"));
        assert!(find("labels").iter().any(|entry| entry.meaning.contains("with another number of classes")));
    }
}
