//! "Did you mean" suggestions: the closest valid name.

/// The maximum number of candidates, so that suggestions stay fast in a file with a hundred thousand blocks.
const MAX_CANDIDATES: usize = 2000;

/// The candidate closest to `name`, if it differs in at most a third of the letters, and at most three.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .take(MAX_CANDIDATES)
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= 4 * limit) // a character has up to four bytes
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|&(d, _)| d <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance (Levenshtein) with adjacent transpositions (the restricted Damerau variant).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let mut best =
                    (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        assert_eq!(nearest("filtres", ["filters", "stride"]), Some("filters"));
        assert_eq!(nearest("strid", ["filters", "stride"]), Some("stride"));
        assert_eq!(nearest("bottelneck", ["basic", "bottleneck"]), Some("bottleneck"));
        assert_eq!(nearest("dropout", ["filters", "stride"]), None);
        assert_eq!(nearest("n", ["batchnorm", "relu"]), None);
    }
}
