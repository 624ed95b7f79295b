//! The public API, as rustdoc documents it: a snapshot of its items and their signatures, without internal types.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;

/// The folder of the crate's documentation, built with every feature and without a warning.
fn documentation() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["doc", "--locked", "--offline", "--no-deps", "--lib", "--all-features", "--target-dir"])
        .arg(target)
        .current_dir(root)
        .env("RUSTDOCFLAGS", "-D warnings")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("doc/resnetc")
}

/// The text of a piece of HTML.
fn text(html: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => out.push(c),
            _ => {}
        }
    }
    let plain = out.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'").replace("&quot;", "\"").replace("&amp;", "&");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What stands between `from` and `to`, each time.
fn between<'a>(html: &'a str, from: &'a str, to: &'a str) -> impl Iterator<Item = &'a str> {
    html.split(from).skip(1).filter_map(move |rest| rest.split(to).next())
}

/// An item's declaration, the signatures of its methods, and the traits that it implements. What rustdoc lists for every type, and
/// auto traits other than `Send` and `Sync`, are left out: they differ between compilers.
fn signatures(page: &str) -> Vec<String> {
    const AUTO: [&str; 6] = ["Freeze", "RefUnwindSafe", "StructuralPartialEq", "Unpin", "UnsafeUnpin", "UnwindSafe"];
    let own = page.split("id=\"blanket-implementations\"").next().unwrap_or(page);
    let declaration = between(own, "<pre class=\"rust item-decl\"><code>", "</code></pre>").next().unwrap_or_default();
    let mut list = vec![text(declaration).replace("#[non_exhaustive]", "#[non_exhaustive] ")];
    let methods = between(own, "<h4 class=\"code-header\">", "</h4>").map(text);
    list.extend(methods.filter(|text| text.starts_with("pub ")).map(|text| format!("    {text}")));
    let traits = between(own, "<h3 class=\"code-header\">", "</h3>").map(text).filter(|text| text.contains(" for "));
    let is_auto =
        |text: &str| AUTO.iter().any(|name| text.trim_start_matches("impl !").trim_start_matches("impl ").starts_with(name));
    list.extend(traits.filter(|text| !is_auto(text)).map(|text| format!("    {text}")));
    list
}

/// The pages of the crate's items.
fn pages() -> Vec<(String, String)> {
    let folder = documentation();
    let all = fs::read_to_string(folder.join("all.html")).unwrap();
    let list = all.split("<section id=\"main-content\"").nth(1).unwrap();
    let mut pages: Vec<(String, String)> = between(list, "href=\"", "\"")
        .filter(|link| link.ends_with(".html"))
        .map(|link| (link.to_owned(), fs::read_to_string(folder.join(link)).unwrap()))
        .collect();
    pages.sort();
    pages
}

#[test]
fn the_public_items_are_those_of_the_snapshot() {
    let pages = pages();
    let text: Vec<String> = pages.iter().map(|(_, page)| signatures(page).join("\n")).collect();
    assert_snapshot!(text.join("\n\n"));

    // types of the compiler have no page, so that no signature may name one
    let items: BTreeSet<&str> = pages.iter().filter_map(|(link, _)| link.split('.').nth(1)).collect();
    let foreign = [
        "Any",
        "ArrayD",
        "ArrayViewD",
        "AsRef",
        "Box",
        "Clone",
        "Copy",
        "Debug",
        "Default",
        "Display",
        "Eq",
        "Error",
        "Err",
        "F",
        "Formatter",
        "Freeze",
        "From",
        "Hash",
        "H",
        "Hasher",
        "Into",
        "IntoIter",
        "IntoIterator",
        "Item",
        "Iterator",
        "None",
        "NonZero",
        "NonZeroUsize",
        "Ok",
        "Option",
        "Ordering",
        "Output",
        "P",
        "PartialEq",
        "Path",
        "PathBuf",
        "RefUnwindSafe",
        "Result",
        "Self",
        "Send",
        "Some",
        "String",
        "StructuralPartialEq",
        "Sync",
        "Unpin",
        "UnsafeUnpin",
        "UnwindSafe",
        "Vec",
    ];
    let declared: BTreeSet<String> = pages.iter().flat_map(|(_, page)| variants(page)).collect();
    let internal: BTreeSet<&str> = text
        .iter()
        .flat_map(|t| t.split(|c: char| !(c.is_alphanumeric() || c == '_')))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter(|word| !items.contains(word) && !foreign.contains(word) && !declared.contains(*word))
        .collect();
    assert!(internal.is_empty(), "types in signatures that are not public: {internal:?}");
}

/// The variants of an enum's page.
fn variants(page: &str) -> Vec<String> {
    between(page, "id=\"variant.", "\"").map(|id| id.split('.').next().unwrap_or(id).to_owned()).collect()
}
