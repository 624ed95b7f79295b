//! Whatever the text, the parser answers.

use proptest::prelude::*;

use super::super::scan;
use super::*;

/// What holds for every text.
fn holds(text: &str) {
    let mut sources = SourceMap::default();
    let id = sources.add_text("net.resnet", text);
    let (file, diagnostics) = parse(id, text);
    assert_eq!(file.damaged, !diagnostics.is_empty());
    assert!(diagnostics.is_sorted_by_key(|diagnostic| diagnostic.span().start));
    for span in diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels).map(|label| label.span) {
        assert!(text.get(span.range()).is_some(), "{span:?} of {text:?}");
    }
    assert_eq!(scan::scan(id, text).clean.len(), text.len());
    // It can be shown, dumped, and read twice with the same result.
    assert_eq!(render::terminal(&diagnostics, &sources, false).is_empty(), diagnostics.is_empty());
    let _ = dump(&file, text);
    assert_eq!(parse(id, text), (file, diagnostics));
}

/// Words and signs of the language, and some that are none.
fn token() -> impl Strategy<Value = String> {
    let words = "resnet use network block elementwise apply input stem head scope sequential shortcut stage repeat branch parallel if else let output \
        expect preprocess labels weights train allow and or not as from of then true false conv relu filters x depths 1 64 3x3 0.5 \
        1e-4 1_000 ( ) [ ] { } , : ; = == != < <= > >= + - * / % ~= . \" // @ é \\ \n \n \n";
    let words: Vec<String> = words.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    prop_oneof![8 => proptest::sample::select(words), 1 => "[a-z]{1,3}", 1 => "\"[a-z{}]{0,5}\""]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,300}") {
        holds(&text);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        holds(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_words(words in proptest::collection::vec(token(), 0..120)) {
        holds(&words.join(" "));
        holds(&format!("resnet 1\nblock b {{\n{}\n}}\n", words.join(" ")));
    }

    /// A model in which some bytes are cut out, doubled or replaced.
    #[test]
    fn any_mistake(
        model in any::<prop::sample::Index>(),
        mistakes in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..12, token()), 1..5),
    ) {
        let models = models();
        let mut text = model.get(&models).1.clone();
        for (place, length, new) in mistakes {
            let boundaries: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
            let from = place.index(boundaries.len());
            let to = (from + length).min(boundaries.len() - 1);
            text.replace_range(boundaries[from]..boundaries[to], if length % 3 == 0 { "" } else { &new });
        }
        holds(&text);
    }
}
