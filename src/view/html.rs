//! The page: one HTML file with style, script and data inside, and a Content-Security-Policy that blocks everything else.

use super::model::Content;
use crate::base::template::fill;
use crate::syntax::words;
use sha2::{Digest, Sha256};

/// The page template, with placeholders such as `@STYLE@`.
const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// The script; each file depends on those before it.
const SCRIPT: [&str; 5] = [
    include_str!("page/model.js"),
    include_str!("page/layout.js"),
    include_str!("page/graph.js"),
    include_str!("page/side.js"),
    include_str!("page/main.js"),
];

/// Whether the page receives change events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// A static file.
    No,
    /// Served by [`super::Server`], with the version of the content.
    Version(u64),
}

/// Renders the whole page. Names, labels and sources are untrusted: they are embedded as JSON without any `<`, and the script
/// only inserts them as text. The policy allows only the page's own script, by its hash, and no requests; a live page may connect
/// to its own server.
pub fn page(content: &Content, live: Live) -> Result<String, serde_json::Error> {
    let words: Vec<&str> = words::STATEMENTS.iter().chain(words::RESERVED).copied().collect();
    let script = fill(&format!("\"use strict\";\n{}", SCRIPT.join("\n")), &[("WORDS", &words.join("|"))]);
    let connect = match live {
        Live::No => "'none'",
        Live::Version(_) => "'self'",
    };
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; connect-src {connect}; \
         base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(STYLE)
    );
    let (is_live, version) = match live {
        Live::No => ("no", String::new()),
        Live::Version(version) => ("yes", version.to_string()),
    };
    let data = data(content)?;
    let parts = [
        ("POLICY", policy.as_str()),
        ("LIVE", is_live),
        ("VERSION", &version),
        ("STYLE", STYLE),
        ("SCRIPT", &script),
        ("DATA", &data),
    ];
    Ok(fill(PAGE, &parts))
}

/// The content as JSON that is safe inside a `script` element: characters with a special meaning in HTML or old versions of
/// JavaScript, all of which only occur in strings, are escaped.
pub(super) fn data(content: &Content) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(content)?;
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// The Base64-encoded SHA-256 of a text, as used in a policy.
fn hash(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for bytes in Sha256::digest(text.as_bytes()).chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|i| u32::from(bytes.get(i).copied().unwrap_or(0)));
        let word = a << 16 | b << 8 | c;
        for digit in 0..4 {
            let value = word >> (18 - 6 * digit) & 63;
            out.push(if digit <= bytes.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Broken, SourceText};

    fn broken(text: &str) -> Content {
        let sources = vec![SourceText { name: text.to_owned(), text: text.to_owned() }];
        Content::Broken(Broken { name: text.to_owned(), error: text.to_owned(), sources })
    }

    #[test]
    fn source_text_cannot_escape_its_string() {
        let evil = "</script><!--<script>alert(1)</script> ]]> @SCRIPT@ &lt; \u{2028}\u{2029} \" \\ \0";
        let page = page(&broken(evil), Live::No).unwrap();
        assert_eq!(page.matches("</script").count(), 2, "the two in the template");
        assert!(!page.contains("alert(1)</"), "{page}");
        let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
        let json = &page[start..start + page[start..].find("</script>").unwrap()];
        assert!(!json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(value["error"], evil);
        assert_eq!(value["sources"][0]["text"], evil);
    }

    #[test]
    fn the_policy_only_allows_the_page_itself() {
        for (live, connect) in [(Live::No, "connect-src 'none'"), (Live::Version(3), "connect-src 'self'")] {
            let page = page(&broken(""), live).unwrap();
            assert!(page.contains("default-src 'none'; script-src 'sha256-"), "{page}");
            assert!(page.contains(connect) && !page.contains("unsafe"), "{page}");
            // no URL except the SVG namespace, which is not fetched
            assert_eq!(page.matches("http").count() - page.matches("http-equiv").count(), 1);
            assert!(!page.contains("src=") && !page.contains("@import") && !page.contains("url("));
        }
    }

    #[test]
    fn every_part_of_the_template_is_filled() {
        let page = page(&broken(""), Live::Version(12)).unwrap();
        assert!(page.contains("data-live=\"yes\" data-version=\"12\""));
        for word in ["@POLICY@", "@LIVE@", "@VERSION@", "@STYLE@", "@SCRIPT@", "@DATA@"] {
            assert!(PAGE.contains(word) && !page.contains(word), "{word}");
        }
        assert!(page.contains("|sequential|") && page.contains("|true)") && !page.contains("@WORDS@"));
    }

    #[test]
    fn hashes_match_the_standard() {
        // FIPS 180-2, appendix B.1
        assert_eq!(hash("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
        assert_eq!(hash(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    /// The script distinguishes operators by their keywords.
    #[test]
    fn the_script_only_compares_with_operators_of_the_language() {
        let script = SCRIPT.concat();
        let mut count = 0;
        for comparison in ["op === \"", "op !== \""] {
            for rest in script.split(comparison).skip(1) {
                let word = rest.split('"').next().unwrap();
                let is_function = crate::syntax::prelude::find(word).is_some();
                assert!(is_function || crate::elaborate::operators::find(word).is_some(), "{word}");
                count += 1;
            }
        }
        assert!(count > 10, "{count}");
    }
}
