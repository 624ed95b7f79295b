//! The words of the language: one list, for whoever asks whether a text can be a name. The grammar is held against it.

/// Words that can never be names.
pub const RESERVED: &[&str] = &["and", "as", "else", "false", "from", "if", "not", "of", "or", "then", "true"];

/// Words that open an item of a file.
pub const ITEMS: &[&str] = &["use", "network", "block", "elementwise"];

/// Words that open a statement or an item. The grammar takes them for names elsewhere; a block of such a name could not be called.
pub const STATEMENTS: &[&str] = &[
    "resnet",
    "use",
    "network",
    "block",
    "elementwise",
    "input",
    "stem",
    "head",
    "scope",
    "sequential",
    "shortcut",
    "stage",
    "repeat",
    "branch",
    "parallel",
    "let",
    "output",
    "expect",
    "preprocess",
    "precision",
    "labels",
    "weights",
    "train",
    "allow",
    "apply",
];

/// Whether a text can never be a name.
pub fn is_reserved(text: &str) -> bool {
    RESERVED.contains(&text)
}

/// Whether a text has the form of a name: letters, digits and `_`, no digit first, and no word that can never be one.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !is_reserved(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::SourceMap;
    use crate::syntax::parse;

    fn fits(text: String) -> bool {
        let file = SourceMap::default().add_text("net.resnet", text.as_str());
        parse(file, &text).1.is_empty()
    }

    #[test]
    fn the_grammar_has_the_same_words() {
        let grammar = include_str!("../../grammar/resnet.pest");
        let of = |rule: &str| {
            let body = grammar.split(&format!("\n{rule} ")).nth(1).unwrap().split('}').next().unwrap();
            body.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of("reserved"), RESERVED);
        let body = grammar.split("\nstatement_word ").nth(1).unwrap().split('}').next().unwrap();
        let rules = body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|part| part.ends_with("_word"));
        let mut opening: Vec<String> = rules.flat_map(of).collect();
        opening.sort();
        let mut known = STATEMENTS.to_vec();
        known.sort_unstable();
        assert_eq!(opening, known);
    }

    #[test]
    fn names_are_what_the_parser_takes_for_names() {
        for word in RESERVED.iter().chain(STATEMENTS).chain(&["conv", "net", "_x", "2x", "a-b", "", "iff", "True"]) {
            let taken = fits(format!("resnet 1\nnetwork {word} {{\n  input 1 x 4 x 4\n  relu\n}}\n"));
            assert_eq!(taken, is_name(word), "`{word}`");
        }
    }
}
