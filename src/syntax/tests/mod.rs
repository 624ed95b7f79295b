use super::*;
use crate::base::source::SourceMap;

/// Parses a text that is all right.
fn fine(text: &str) -> ast::File {
    let mut sources = SourceMap::default();
    let id = sources.add_text("net.resnet", text);
    let (file, diagnostics) = parse(id, text);
    assert_eq!(diagnostics, [], "{text}");
    file
}

#[test]
fn the_models_parse() {
    for entry in std::fs::read_dir("models").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "resnet") {
            let file = fine(&std::fs::read_to_string(&path).unwrap());
            assert!(file.items.len() > 1, "{path:?}");
        }
    }
}

/// The pages of this folder's codes hold one file that breaks the rule and one that is all right.
#[test]
fn the_pages_show_their_codes() {
    for code in ["E0001", "E0002", "E0003", "E0004", "E0005", "E0006", "E0007", "E0008", "E0009"] {
        let page = codes::find(code).unwrap().page;
        let files: Vec<&str> = page.split("```resnet\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert_eq!(files.len(), 2, "{code}");
        let mut sources = SourceMap::default();
        let id = sources.add_text(code, files[0]);
        let found: Vec<_> = parse(id, files[0]).1.iter().map(|diagnostic| diagnostic.code.0).collect();
        assert!(found.iter().all(|found| *found == code) && !found.is_empty(), "{code}: {found:?}");
        fine(files[1]);
    }
}
