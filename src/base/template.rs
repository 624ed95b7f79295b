//! Text templates with placeholders `@WORD@`.

/// Fills a template. It is a single pass: inserted text is not searched for placeholders, and unknown ones stay.
pub fn fill(template: &str, parts: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + parts.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('@') {
        out.push_str(before);
        let part = parts.iter().find_map(|(word, text)| Some((text, after.strip_prefix(word)?.strip_prefix('@')?)));
        rest = match part {
            Some((text, after)) => {
                out.push_str(text);
                after
            }
            None => {
                out.push('@');
                after
            }
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn placeholders_are_filled_once() {
        assert_eq!(fill("a@X@b@Y@@", &[("X", "@Y@"), ("Y", "2")]), "a@Y@b2@");
        assert_eq!(fill("@Z@ at@", &[("X", "1")]), "@Z@ at@");
    }
}
