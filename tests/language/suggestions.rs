//! What a line in Python, or with PyTorch's keys, is told to be: `tests/data/foreign.txt`.

use resnetc::internal::base::diagnostic::Diagnostic;
use resnetc::internal::driver::Frontend;

const LIBRARY: &str = "use std.blocks: squeeze\n";

/// A network with this line, and what it uses; `a` is a value of the same size.
fn around(uses: &str, line: &str) -> String {
    let before = "input 3 x 32 x 32\n  conv 3x3, filters: c as a\n  conv 3x3, filters: c, stride, groups: 1";
    format!("resnet 1\n{uses}network net(c = 24, stride = 1, groups = 8) {{\n  {before}\n  {line}\n}}\n")
}

fn errors(text: &str) -> Vec<Diagnostic> {
    let mut front = Frontend::text("net.resnet", text);
    let names: Vec<String> = front.networks().into_iter().map(|network| network.name).collect();
    for name in names {
        front.check(&name, &[]);
    }
    front.diagnostics.into_iter().filter(Diagnostic::is_error).collect()
}

/// The lines of the list after this sign.
fn listed(sign: &str) -> Vec<(String, String)> {
    let list = std::fs::read_to_string("tests/data/foreign.txt").unwrap();
    let found = list.lines().filter_map(|line| line.strip_prefix(sign)?.trim().rsplit_once(" => "));
    found.map(|(line, own)| (line.to_owned(), own.to_owned())).collect()
}

/// The text with the first fix applied, if there is one.
fn fixed(text: &str, errors: &[Diagnostic]) -> Option<String> {
    let (span, own) = errors.iter().flat_map(|error| &error.helps).find_map(|help| help.edit.clone())?;
    let range = span.range();
    Some(format!("{}{own}{}", &text[..range.start], &text[range.end..]))
}

#[test]
fn a_suggestion_checks_in_its_place() {
    let mut wrong = Vec::new();
    for (line, own) in listed("=> ") {
        let text = around(LIBRARY, &line);
        let found = errors(&text);
        let helps: Vec<&str> = found.iter().flat_map(|error| &error.helps).map(|help| &*help.text).collect();
        let suggested = match fixed(&text, &found) {
            Some(fixed) => fixed == around(LIBRARY, &own),
            None => helps.iter().any(|help| help.contains(&format!("`{own}`"))),
        };
        // help for a norm names the key alone
        let named = own.strip_prefix("groupnorm ").is_some_and(|key| helps.iter().any(|help| help.contains(&format!("`{key}`"))));
        let left = errors(&around(LIBRARY, &own));
        if !(suggested || named) || !left.is_empty() {
            wrong.push((line, own, helps.join(" | "), fixed(&text, &found), left));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn advice_names_what_helps() {
    let mut wrong = Vec::new();
    for (line, words) in listed("?? ") {
        let found = errors(&around("", &line));
        let said: Vec<&str> =
            found.iter().flat_map(|error| error.helps.iter().map(|help| &*help.text).chain([&*error.message])).collect();
        if !said.iter().any(|text| text.contains(&words)) {
            wrong.push((line, words, said.join(" | ")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
